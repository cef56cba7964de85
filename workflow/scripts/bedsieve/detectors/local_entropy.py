"""How much less sure a classifier is of a point than of the known points most like it.

In: class probabilities over passes with dropout, and the entropies of a point's nearest known points. Out:
entropy, mutual information, the z-score of the entropy among its neighbours, a score. Nothing here knows
of networks or tiles, so that digits and ice are judged by the same lines.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]


def entropy(probability: Floats) -> Doubles:
    """−Σ p ln p over the last axis, in nats; 0 ln 0 = 0.

    Parameters
    ----------
    probability : ndarray (…, classes)
    """
    p = np.asarray(probability, np.float64)
    # Where p is 0 the logarithm of 1 stands in: 0 either way.
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(-1) + 0.0)


class PassMean:
    """Mean of class probabilities over passes, and what their spread says."""

    def __init__(self) -> None:
        self._passes = 0
        self._probability: Doubles = np.zeros(())
        self._entropy: Doubles = np.zeros(())

    def add(self, probability: Floats) -> None:
        """Take in one pass: probabilities (n, classes)."""
        self._probability = self._probability + probability
        self._entropy = self._entropy + entropy(probability)
        self._passes += 1

    @property
    def probability(self) -> Doubles:
        """p̄, shape (n, classes)."""
        return self._probability / self._passes

    @property
    def entropy(self) -> Doubles:
        """H = −Σ p̄ ln p̄, shape (n,) (seed 003: total uncertainty)."""
        return entropy(self.probability)

    @property
    def mutual_information(self) -> Doubles:
        """H less the mean entropy of the passes, shape (n,): what the network disagrees with itself about.

        Notes
        -----
        Houlsby et al. 2011; never negative but for rounding, which is cut off.
        """
        return np.maximum(self.entropy - self._entropy / self._passes, 0.0)


def local_z(own: Floats, neighbours: Floats, floor: float) -> tuple[Doubles, Doubles, Doubles]:
    """z = (H − mean)/max(std, floor) among neighbours.

    Parameters
    ----------
    own : ndarray (n,)
        H of each point.
    neighbours : ndarray (n, k)
        H of its neighbours, k ≥ 2.
    floor : float
        Least standard deviation; sure neighbours differ by next to nothing.

    Returns
    -------
    z, mean, std : float64 ndarray (n,)
        std with k − 1 in the denominator, before the floor.

    Notes
    -----
    Seed 003, "We declare a source anomalous if it's more than 3σ from the local entropy".
    """
    values = np.asarray(neighbours, np.float64)
    mean, std = values.mean(1), values.std(1, ddof=1)
    return (own - mean) / np.maximum(std, floor), mean, std


def shrunk_z(
    own: Floats,
    neighbours: Floats,
    near: npt.NDArray[np.bool_],
    mean_of_all: float,
    std_of_all: float,
    strength: float,
    floor: float,
) -> tuple[Doubles, Doubles, Doubles]:
    """`local_z` for sparse regions: neighbours out of reach give way to what holds everywhere.

    Parameters
    ----------
    own : ndarray (n,)
    neighbours : ndarray (n, k)
    near : bool ndarray (n, k)
        Which neighbours are within reach.
    mean_of_all, std_of_all : float
        Of the entropies of all known points.
    strength : float
        So many points' worth of them is mixed in.
    floor : float

    Returns
    -------
    z, mean, std : float64 ndarray (n,)

    Notes
    -----
    Ours; seed 003 asks for such a thing. With m neighbours in reach, mean m̄ and sum of squares S about it,
    strength κ and μ, σ of all: mean = (m m̄ + κ μ)/(m + κ), variance = (S + κ σ² + m κ/(m + κ) (m̄ − μ)²)
    / (max(m − 1, 0) + κ), as a normal-inverse-gamma prior of κ observations gives. m = 0 leaves the
    distance from the mean of all; κ → 0 is `local_z` over those in reach.
    """
    values = np.asarray(neighbours, np.float64)
    m = near.sum(1).astype(np.float64)
    centre = np.where(near, values, 0.0).sum(1) / np.maximum(m, 1.0)
    squares = np.where(near, (values - centre[:, None]) ** 2, 0.0).sum(1)
    mean = (m * centre + strength * mean_of_all) / (m + strength)
    between = m * strength / (m + strength) * (centre - mean_of_all) ** 2
    variance = squares + strength * std_of_all**2 + between
    std = np.sqrt(variance / (np.maximum(m - 1, 0.0) + strength))
    return (own - mean) / np.maximum(std, floor), mean, std


def score_of_z(z: Floats, sigma: float) -> npt.NDArray[np.float32]:
    """Score in (0, 1), rising with z and ½ at `sigma`: ½(1 + u/√(1 + u²)), u = z − sigma.

    Notes
    -----
    Ours. Fixed, so that nothing scored beside a point matters; unlike tanh or σ it still tells z = 20 from
    z = 30 in single precision.
    """
    u = np.asarray(z, np.float64) - sigma
    return (0.5 * (1 + u / np.sqrt(1 + u**2))).astype(np.float32)
