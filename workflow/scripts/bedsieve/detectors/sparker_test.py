"""SparKer's test: is what is inspected like the reference? By toys that are refitted.

In: a pool of anomaly-free points. Out: t of toys (inspected points and reference both from the
pool, disjoint), and from them the p-value of a fit. Toys are numbered, and a toy depends on its
number and the seed alone: they may be made in batches, anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bedsieve.detectors.sparker_fit import Fits, Rows, SparkerSettings, fit
from bedsieve.detectors.sparker_kernels import Floats
from bedsieve.errors import BedsieveError


@dataclass(frozen=True)
class Verdict:
    """What the toys say of one fit.

    Parameters
    ----------
    p_value : float
        Rank of A among the toys' A; never below 1 / (toys + 1).
    aggregate : float
        A = -½ min ln p_c - ½ mean ln p_c over the checkpoints c.
    p_checkpoint : ndarray of float64, shape (checkpoints,)
        p_c = (1 + #{t_toy ≥ t}) / (toys + 1).
    excess : float
        Largest distance of t from the toys' mean over the checkpoints, in the toys' standard
        deviations (of at least 1): it still orders fits that beat every toy.
    """

    p_value: float
    aggregate: float
    p_checkpoint: Floats
    excess: float


def draw(pool_size: int, n_data: int, n_reference: int, seed: int, number: int) -> Rows:
    """Rows of a toy: the inspected ones first, then the reference, none twice.

    Raises
    ------
    BedsieveError
        If the pool holds too few points.
    """
    if pool_size < n_data + n_reference:
        raise BedsieveError(
            f"A toy needs {n_data + n_reference} different points, but the reference has "
            f"{pool_size}. Inspect fewer points, or use a smaller reference."
        )
    rng = np.random.default_rng([seed, number])
    return rng.permutation(pool_size)[: n_data + n_reference]


def toys(
    pool: Floats,
    n_data: int,
    n_reference: int,
    width: float,
    settings: SparkerSettings,
    *,
    seed: int,
    numbers: Sequence[int],
) -> Floats:
    """t of the toys with these numbers, shape (len(numbers), checkpoints).

    Parameters
    ----------
    pool : ndarray of float64, shape (points, d)
        Anomaly-free points.
    n_data, n_reference : int
        Points of a toy, as many as the fit that it is compared with has.
    width : float
        First width, that of the fit.
    settings : SparkerSettings
        Those of the fit.
    seed : int
    numbers : sequence of int
        Which toys.

    Raises
    ------
    BedsieveError
        If the pool holds too few points.
    """
    members = np.stack([draw(len(pool), n_data, n_reference, seed, n) for n in numbers])
    seeds = np.array([np.random.SeedSequence([seed, n, 1]).generate_state(1)[0] for n in numbers])
    return fit(pool, members, n_data, width, settings, seeds.astype(np.int64)).t


def inspect(
    data: Floats, reference: Floats, width: float, settings: SparkerSettings, seed: int
) -> Fits:
    """Fit the inspected data (n, d) against a reference (m, d): one set."""
    pool = np.concatenate([data, reference])
    rows = np.arange(len(pool))[None]
    return fit(pool, rows, len(data), width, settings, np.array([seed]))


def verdict(t: Floats, t_toys: Floats) -> Verdict:
    """Compare a fit with its toys.

    Every A, the toys' too, comes from ranks among the fit and all toys together. So under the null
    hypothesis, where they are exchangeable, p is uniform on 1/(n+1), …, 1, whatever the number of
    toys and however the checkpoints depend on one another.

    Parameters
    ----------
    t : ndarray of float64, shape (checkpoints,)
    t_toys : ndarray of float64, shape (toys, checkpoints)
    """
    every = np.concatenate([t[None], t_toys])
    ordered = np.sort(every, axis=0)
    below = [np.searchsorted(ordered[:, c], every[:, c]) for c in range(t.size)]
    p = 1.0 - np.stack(below, axis=1) / len(every)
    aggregate = -0.5 * np.log(p.min(axis=1)) - 0.5 * np.log(p).mean(axis=1)
    # Sums of the same logarithms in another order may differ in the last bit.
    reached = aggregate >= aggregate[0] - 1e-12
    # t is twice a log likelihood ratio; toys without any anomaly to fit may not differ at all.
    spread = np.maximum(t_toys.std(axis=0, ddof=1), 1.0)
    excess = float(((t - t_toys.mean(axis=0)) / spread).max())
    return Verdict(float(reached.mean()), float(aggregate[0]), p[0], excess)
