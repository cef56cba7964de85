"""Terrain types, and who of each trains: rare terrain must weigh as much as the common one.

In: scaled features. Out: the centres of k-means strata, each point's stratum, and for each stratum the
draw up to which its points are taken, so that none gives more than the cap (study B, seed 000: "100
terrain types", "balanced: 3–5 M training nodes"). Sums run in a fixed order, so threads change nothing,
and draws depend on point ids alone, so tiles don't either.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numba import njit

from bedsieve.kernels import in_threads

Values = npt.NDArray[np.float32]
Centres = npt.NDArray[np.float64]
Strata = npt.NDArray[np.int16]
Draws = npt.NDArray[np.uint64]

_MOST_ROUNDS = 100
_CONVERGED = 1e-4  # mean squared move of the centres, as a share of the features' variance


def find_strata(X: Values, count: int, seed: int) -> Centres:
    """Centres of k-means strata (k-means++ start, then Lloyd's rounds).

    Parameters
    ----------
    X : float32 ndarray (n, columns)
        Scaled features of a sample; NaN counts as 0, the median.
    count : int
        Strata wanted; fewer if the sample has fewer distinct points.
    seed : int

    Returns
    -------
    float64 ndarray (strata, columns)
        By the first column, then the next.
    """
    X = np.nan_to_num(X, nan=0.0)
    centres = _spread_out(X, count, np.random.default_rng(seed))
    enough = _CONVERGED * float(X.var(axis=0, dtype=np.float64).mean())
    for _ in range(_MOST_ROUNDS):
        stratum = stratum_of(X, centres)
        size = np.bincount(stratum, minlength=len(centres))
        total = np.column_stack([np.bincount(stratum, x, len(centres)) for x in X.T])
        moved = np.where(size[:, None] > 0, total / np.maximum(size, 1)[:, None], centres)
        step = float(((moved - centres) ** 2).mean())
        centres = moved
        if step <= enough:
            break
    return centres[np.lexsort(centres.T[::-1])]


def _spread_out(X: Values, count: int, rng: np.random.Generator) -> Centres:
    """Points of X far from one another: each drawn by its squared distance to those before."""
    chosen = [X[rng.integers(len(X))].astype(np.float64)]
    nearest = np.full(len(X), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ((X - chosen[-1]) ** 2).sum(1))
        reach = np.cumsum(nearest)
        if reach[-1] <= 0:
            break
        at = int(np.searchsorted(reach, rng.random() * reach[-1], side="right"))
        chosen.append(X[min(at, len(X) - 1)].astype(np.float64))
    return np.stack(chosen)


def stratum_of(X: Values, centres: Centres) -> Strata:
    """Nearest centre of each point, the first of equals; NaN counts as 0."""
    stratum = np.empty(len(X), np.int16)
    in_threads(_nearest, (X, centres, stratum), len(X))
    return stratum


@njit(cache=True, nogil=True)
def _nearest(X, centres, stratum, first, last):  # type: ignore[no-untyped-def]
    for i in range(first, last):
        least = np.inf
        for s in range(centres.shape[0]):
            apart = 0.0
            for c in range(centres.shape[1]):
                x = 0.0 if np.isnan(X[i, c]) else np.float64(X[i, c])
                apart += (x - centres[s, c]) ** 2
            if apart < least:
                least, stratum[i] = apart, s


class Caps:
    """The lowest draws of each stratum, gathered tile by tile.

    Parameters
    ----------
    strata, cap : int
    """

    def __init__(self, strata: int, cap: int) -> None:
        self.cap = cap
        self.size = np.zeros(strata, np.int64)
        self._lowest: list[Draws] = [np.empty(0, np.uint64) for _ in range(strata)]

    def add(self, stratum: Strata, draw: Draws) -> None:
        """Take in the points of a tile: their strata and draws."""
        self.size += np.bincount(stratum, minlength=self.size.size)
        order = np.argsort(stratum, kind="stable")
        bounds = np.searchsorted(stratum[order], np.arange(self.size.size + 1))
        for s, (first, last) in enumerate(pairwise(bounds)):
            self._lowest[s] = lowest(
                np.concatenate([self._lowest[s], draw[order[first:last]]]), self.cap
            )

    def limits(self) -> Draws:
        """Draw up to which the points of each stratum are taken, shape (strata,)."""
        return np.array([draws.max() if draws.size else 0 for draws in self._lowest], np.uint64)


def lowest(draws: Draws, most: int) -> Draws:
    """The `most` lowest draws, in any order."""
    return np.partition(draws, most - 1)[:most] if draws.size > most else draws
