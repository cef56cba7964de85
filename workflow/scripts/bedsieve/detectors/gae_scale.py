"""From reconstruction error and gradient to a score, with constants frozen with the model version.

In: for all points of a version the error of the rebuilt thickness, the distance to the neighbours and
the gradient towards them. Out: the largest error, the ranks of gradients and the range of the sum, and
with them the score of any point, now or later. What lies beyond is clipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[np.floating[Any]]

_DECAY = 1000.0  # m; study B: w = exp(−neighbour_dist / 1000)
_LEVELS = 4097


@dataclass(frozen=True)
class ScoreScale:
    """What a score is measured by.

    Parameters
    ----------
    largest : float
        Largest ln(1 + error in m).
    low, high : float
        Least and largest v = 2 ae + w · rank.
    gradient, rank : tuple of float
        Gradients in rising order, and the share of points up to each.
    """

    largest: float
    low: float
    high: float
    gradient: tuple[float, ...]
    rank: tuple[float, ...]

    def score(self, error: Array, distance: Array, gradient: Array) -> npt.NDArray[np.float32]:
        """Score of each point in [0, 1].

        Parameters
        ----------
        error : ndarray (n,)
            |H − rebuilt H|, m.
        distance, gradient : ndarray (n,)
            See `bedsieve.detectors.gae_neighbours.Surroundings`.
        """
        v = self._sum(error, distance, gradient)
        share = (v - self.low) / (self.high - self.low)
        return np.clip(share, 0, 1).astype(np.float32)

    def _sum(self, error: Array, distance: Array, gradient: Array) -> Floats:
        """v = 2 ae + w · rank(gradient), w = exp(−distance / 1000 m)."""
        ae = np.minimum(np.log1p(error.astype(np.float64)) / self.largest, 1.0)
        w = np.exp(-distance.astype(np.float64) / _DECAY)
        return np.asarray(2 * ae + w * np.interp(gradient, self.gradient, self.rank))

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "largest": self.largest,
            "low": self.low,
            "high": self.high,
            "gradient": list(self.gradient),
            "rank": list(self.rank),
        }

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> ScoreScale:
        """From what `to_mapping` gave."""
        return cls(
            document["largest"],
            document["low"],
            document["high"],
            tuple(document["gradient"]),
            tuple(document["rank"]),
        )


def fit_score_scale(error: Array, distance: Array, gradient: Array) -> ScoreScale:
    """Constants of a model version from all its points.

    Parameters
    ----------
    error, distance, gradient : ndarray (n,)
        As in `ScoreScale.score`, n > 0.

    Notes
    -----
    Study B, seed 000, "Graph – Autoencoder (AE)": ae = ln(1 + AE)/max, v = 2 ae + w · rank(gradient),
    min–max. There all points are scored at once; here the constants stay.
    """
    largest = float(np.log1p(np.float64(error.max()))) or 1.0
    levels, rank = rank_table(gradient)
    unscaled = ScoreScale(largest, 0.0, 1.0, tuple(levels.tolist()), tuple(rank.tolist()))
    v = unscaled._sum(error, distance, gradient)
    low, high = float(v.min()), float(v.max())
    return replace(unscaled, low=low, high=high if high > low else low + 1.0)


def rank_table(values: Array) -> tuple[Floats, Floats]:
    """Ranks as a table to interpolate in: exact for up to 4,097 distinct values.

    Parameters
    ----------
    values : ndarray (n,)

    Returns
    -------
    levels : float64 ndarray (m,)
        Some of the values, rising, the least and the largest among them.
    rank : float64 ndarray (m,)
        Mean rank of the values that equal the level, as a share of n.
    """
    ordered = np.sort(values)
    distinct = np.unique(ordered)
    among = np.linspace(0, distinct.size - 1, min(distinct.size, _LEVELS)).round()
    levels = distinct[among.astype(np.int64)]
    first = np.searchsorted(ordered, levels, side="left")
    last = np.searchsorted(ordered, levels, side="right")
    return levels.astype(np.float64), (first + last + 1) / 2 / ordered.size
