"""The fit of SparKer's kernels: Adam while the width shrinks, many data sets of one pool at a time.

In: a pool of points, and for each data set which of them are inspected and which are the reference.
Out: the test statistic t = -2L at checkpoints along the way, and the kernels at the end. A fit is
one thread's work and depends on its own seed alone, so toys may be made in any order and anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bedsieve.detectors.sparker_kernels import Floats, Kernels, loss_and_gradients
from bedsieve.detectors.sparker_moves import move
from bedsieve.errors import BedsieveError

Rows = NDArray[np.int64]

_BETA_1, _BETA_2, _TINY = 0.9, 0.999, 1e-8  # Adam's own defaults
_PAIRS = 20_000
_CANDIDATES = 128  # inspected places that a kernel may move to


@dataclass(frozen=True)
class SparkerSettings:
    """Constants of the fit; seed 004 gives none of them but the form, so they are ours.

    Parameters
    ----------
    kernels : int
        M. A handful suffices (seed 004).
    steps : int
        Of Adam, each over all points.
    learning_rate : float
        Adam's; a centre's step is that many widths, so that its pace fits the width.
    narrowing : float
        Last width as a share of the first; 1 keeps the width (an ablation).
    narrowing_steps : float
        Share of the steps in which the width shrinks, linearly.
    ridge : float
        Penalty on amplitudes: ridge x number of inspected points x Σ a².
    signed : bool
        Whether a kernel may also mark a lack of points, as in the source. Off: a lack is no bad point, and
        without moves such kernels hold one another away from the anomalies (docs/explanation/sparker.md).
    moves : int
        How often, evenly spread while the width shrinks, the kernel that is missed least may move to
        where it promises more: see `sparker_moves.move`. 0: never (an ablation).
    checkpoints : int
        Steps, evenly spread up to the last, at which t is noted.
    softmax : bool
        Whether the kernels compete; without, f is their plain sum (an ablation).
    """

    kernels: int = 16
    steps: int = 300
    learning_rate: float = 0.03
    narrowing: float = 0.1
    narrowing_steps: float = 0.9
    ridge: float = 0.001
    signed: bool = False
    moves: int = 20
    checkpoints: int = 8
    softmax: bool = True

    def widths(self, first: float) -> Floats:
        """The width of each step, shape (steps,)."""
        shrinking = max(int(self.narrowing_steps * self.steps), 1)
        share = np.minimum(np.arange(self.steps) / shrinking, 1.0)
        return np.asarray(first * (1.0 - (1.0 - self.narrowing) * share))

    def moments(self) -> Rows:
        """The steps before which a kernel may move, shape (moves,)."""
        shrinking = self.narrowing_steps * self.steps
        return np.linspace(0, shrinking, self.moves + 2)[1:-1].astype(np.int64)

    def marks(self) -> Rows:
        """The steps at which t is noted, shape (checkpoints,)."""
        return np.linspace(0, self.steps - 1, self.checkpoints + 1)[1:].round().astype(np.int64)


@dataclass(frozen=True)
class Fits:
    """Fits of several data sets.

    Parameters
    ----------
    t : ndarray of float64, shape (sets, checkpoints)
        -2L, without penalties.
    kernels : list of Kernels
        At the end, one ensemble a set.
    """

    t: Floats
    kernels: list[Kernels]


def first_width(X: Floats, seed: int = 0, alike: float | None = None) -> float:
    """Median distance of pairs of points of X (n, d); of those apart where most coincide.

    The pairs are a random few, so that they may all coincide although some points differ.

    Parameters
    ----------
    X : ndarray of float64, shape (n, d)
    seed : int
        Of the pairs.
    alike : float, optional
        What to return where the points of each pair coincide.

    Raises
    ------
    BedsieveError
        If the points of each pair coincide and `alike` is not given.
    """
    one, other = np.random.default_rng(seed).integers(0, X.shape[0], (2, _PAIRS))
    distance = np.sqrt(((X[one] - X[other]) ** 2).sum(axis=1))[one != other]
    if distance.size and np.median(distance) > 0:
        return float(np.median(distance))
    apart = distance[distance > 0]
    if apart.size == 0 and alike is not None:
        return alike
    if apart.size == 0:
        raise BedsieveError("All points have the same features: there is nothing to compare.")
    return float(np.median(apart))


def fit(
    pool: Floats,
    members: Rows,
    n_data: int,
    width: float,
    settings: SparkerSettings,
    seeds: Rows,
) -> Fits:
    """Fit several data sets drawn from one pool.

    Parameters
    ----------
    pool : ndarray of float64, shape (points, d)
        Finite features, of like scale.
    members : ndarray of int64, shape (sets, n)
        Rows of the pool: the inspected data first, then the reference.
    n_data : int
        Inspected points of each set.
    width : float
        First width: see `first_width`. The same for all sets that are to be compared.
    settings : SparkerSettings
    seeds : ndarray of int64, shape (sets,)
        For the first centres and the places that kernels may move to, random inspected points both.

    Raises
    ------
    BedsieveError
        If there are fewer inspected points than kernels, no reference, or features that are not
        finite.
    """
    sets, n = members.shape
    if not settings.kernels <= n_data < n:
        raise BedsieveError(
            f"{settings.kernels} kernels need at least as many inspected points, and a reference; "
            f"there are {n_data} of {n} points. Inspect more points, or use fewer kernels."
        )
    if not np.isfinite(pool).all():
        raise BedsieveError("Features must be finite numbers: leave out rows that lack one.")
    t = np.empty((sets, settings.checkpoints))
    widths, marks, moments = settings.widths(width), settings.marks(), settings.moments()
    kernels = []
    places, place = distinct_rows(pool)
    for number, rows in enumerate(members):
        counts = _counts(place[rows], n_data, len(places))
        used = counts.any(axis=0)
        inspected, reference = counts[:, used]
        here = places[used]
        x = np.ascontiguousarray(here.T)
        rng = np.random.default_rng(int(seeds[number]))
        # Kernels that start at one place would stay together for ever.
        distinct = here[inspected > 0]
        order = rng.permutation(len(distinct))
        a = np.zeros(settings.kernels)
        mu = distinct[order[np.arange(settings.kernels) % len(distinct)]]
        elsewhere = distinct[rng.permutation(len(distinct))[:_CANDIDATES]]
        _descend(
            x, inspected, reference, widths, marks, moments, settings.learning_rate,
            settings.ridge * n_data, settings.softmax, -1.0 if settings.signed else 0.0, elsewhere,
            a, mu, t[number],
        )  # fmt: skip
        kernels.append(Kernels(a, mu, float(widths[-1]), settings.softmax))
    return Fits(t, kernels)


def distinct_rows(X: Floats) -> tuple[Floats, Rows]:
    """Rows of X (n, d) without repeats, in order of their columns, and each row's place among them (n,).

    As `numpy.unique` with ``axis=0``, but compared as bytes, which many columns make much faster.
    """
    X = np.ascontiguousarray(X + 0.0)  # -0 becomes 0: what is equal has equal bytes
    rows = X.view(np.dtype((np.void, X.itemsize * X.shape[1]))).reshape(-1)
    _, first, place = np.unique(rows, return_index=True, return_inverse=True)
    order = np.lexsort(X[first].T[::-1])
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return X[first[order]], rank[place.reshape(-1)]


def _counts(place: Rows, n_data: int, places: int) -> Floats:
    """How many inspected points and how many of the reference each place holds, shape (2, places)."""
    parts = (place[:n_data], place[n_data:])
    return np.stack([np.bincount(part, minlength=places) for part in parts]).astype(np.float64)


@njit(cache=True, nogil=True)
def _descend(  # type: ignore[no-untyped-def]
    x,
    inspected,
    reference,
    widths,
    marks,
    moments,
    rate,
    ridge,
    softmax,
    least,
    elsewhere,
    a,
    mu,
    noted,
):
    """Adam over all steps; a and mu are changed in place, noted is filled with t."""
    grad_a, grad_mu = np.empty_like(a), np.empty_like(mu)
    m_a, v_a = np.zeros_like(a), np.zeros_like(a)
    m_mu, v_mu = np.zeros_like(mu), np.zeros_like(mu)
    mark, moment = 0, 0
    for step in range(widths.size):
        sigma = widths[step]
        while moment < moments.size and moments[moment] == step:
            moment += 1
            moved = move(x, inspected, reference, a, mu, sigma, softmax, ridge, elsewhere)
            if moved >= 0:
                m_a[moved] = v_a[moved] = 0.0
                m_mu[moved] = v_mu[moved] = 0.0
        loss = loss_and_gradients(x, inspected, reference, a, mu, sigma, softmax, grad_a, grad_mu)
        while mark < marks.size and marks[mark] == step:
            noted[mark] = -2.0 * loss
            mark += 1
        if step == widths.size - 1:
            break  # the kernels stay as they were when the last t was noted
        one, two = 1.0 - _BETA_1 ** (step + 1), 1.0 - _BETA_2 ** (step + 1)
        for i in range(a.size):
            g = grad_a[i] + 2.0 * ridge * a[i]
            m_a[i] += (1.0 - _BETA_1) * (g - m_a[i])
            v_a[i] += (1.0 - _BETA_2) * (g * g - v_a[i])
            a[i] -= rate * (m_a[i] / one) / (np.sqrt(v_a[i] / two) + _TINY)
            a[i] = min(max(a[i], least), 1.0)
            for c in range(mu.shape[1]):
                g = grad_mu[i, c]
                m_mu[i, c] += (1.0 - _BETA_1) * (g - m_mu[i, c])
                v_mu[i, c] += (1.0 - _BETA_2) * (g * g - v_mu[i, c])
                mu[i, c] -= rate * sigma * (m_mu[i, c] / one) / (np.sqrt(v_mu[i, c] / two) + _TINY)
