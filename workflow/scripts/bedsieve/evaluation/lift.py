"""Whether high scores stand where other signs of trouble do, where no truth is known: the lift of the top scores.

In: scores, signs that something may be wrong (how far a point is from a reference grid, how much the points of a pixel
differ) and the relief around each point. Out: how many times larger a sign is among the highest hundredth of a score
than among all points, with an interval. Both grow with relief, so the same is told within strata of it, and relief
itself stands in the table as a score: a detector that only finds rough ground has no lift within strata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.evaluation.metrics import TrackBootstrap

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TOP = 0.01
"""Share of the points that counts as the top."""
STRATA = 10
"""Strata of relief, of as many points each (ours)."""
BLOCK = 10_000.0
"""Side (m) of the squares that the intervals draw as a whole: errors and relief reach over kilometres (ours)."""
RELIEF = "relief"


@dataclass(frozen=True)
class Signs:
    """Points with scores and what else is known of them; NaN where unknown.

    Attributes
    ----------
    scores : dict of str to (n,) float64
    signs : dict of str to (n,) float64
        m, larger = worse.
    relief : (n,) float64
        m.
    east, north : (n,) float64
        m.
    """

    scores: Mapping[str, Floats]
    signs: Mapping[str, Floats]
    relief: Floats
    east: Floats
    north: Floats


class Lift:
    """Mean of a sign among the top scores over its mean among all, for any weighting of the points.

    Parameters
    ----------
    score, sign : (n,) float64
        Finite.
    stratum : (n,) int64
        From 0; the top is taken within each stratum, so that its points come from all strata alike.
    top : float
    """

    def __init__(self, score: Floats, sign: Floats, stratum: Ints, top: float = TOP) -> None:
        self._parts = []
        for number in range(int(stratum.max(initial=-1)) + 1):
            mine = np.flatnonzero(stratum == number)
            order = mine[np.argsort(-score[mine], kind="stable")]
            # Of equal scores at the border of the top each counts with the same share.
            ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True)[: len(order)])
            self._parts.append((order, ends))
        self._sign, self._top = sign, top

    def __call__(self, weight: Floats | None = None) -> float:
        """The lift; NaN where the sign is 0 everywhere."""
        weight = np.ones(len(self._sign)) if weight is None else weight
        above = total = 0.0
        for order, ends in self._parts:
            mass = np.concatenate([[0.0], np.cumsum(weight[order])[ends]])
            found = np.cumsum(weight[order] * self._sign[order])[ends]
            found = np.concatenate([[0.0], found])
            above += float(np.interp(self._top * mass[-1], mass, found))
            total += float(found[-1])
        return above / (self._top * total) if total > 0 else float("nan")


def strata_of(relief: Floats, strata: int = STRATA) -> Ints:
    """Stratum of each point, of as many points each, from the flattest to the roughest."""
    edges = np.quantile(relief, np.linspace(0, 1, strata + 1)[1:-1]) if len(relief) else relief
    return np.searchsorted(edges, relief, side="right").astype(np.int64)


def blocks_of(east: Floats, north: Floats, side: float = BLOCK) -> Ints:
    """Number of the square of the map that each point lies in."""
    column, row = (np.floor(values / side).astype(np.int64) for values in (east, north))
    return column * 2**32 + row


def lift_table(points: Signs, *, replicates: int = 200, seed: int = 0) -> pl.DataFrame:
    """Lift of the top scores, plain and within strata of relief.

    Parameters
    ----------
    points : Signs
    replicates, seed : int
        Of the bootstrap over squares of the map.

    Returns
    -------
    DataFrame
        sign, score (`RELIEF` last), points (with both), mean_m (of the sign over them), lift, lift_low,
        lift_high, and the same for lift_within (95 % intervals; null where it is not defined).
    """
    rows = []
    scores = {**points.scores, RELIEF: points.relief}
    for sign_name, sign in points.signs.items():
        for name, score in scores.items():
            known = np.isfinite(sign) & np.isfinite(score) & np.isfinite(points.relief)
            s, value = score[known], sign[known]
            strata = strata_of(points.relief[known])
            blocks = blocks_of(points.east[known], points.north[known])
            bootstrap = TrackBootstrap(blocks, replicates, seed)
            row = {
                "sign": sign_name,
                "score": name,
                "points": len(value),
                "mean_m": float(value.mean()) if len(value) else None,
            }
            for column, stratum in (("lift", np.zeros_like(strata)), ("lift_within", strata)):
                found = bootstrap.interval(Lift(s, value, stratum))
                ends = zip(("", "_low", "_high"), (found.value, found.low, found.high), strict=True)
                row |= {f"{column}{end}": v if np.isfinite(v) else None for end, v in ends}
            rows.append(row)
    return pl.DataFrame(rows, schema=_SCHEMA)


_SCHEMA = {
    "sign": pl.String,
    "score": pl.String,
    "points": pl.Int64,
    "mean_m": pl.Float64,
    **{
        f"{column}{end}": pl.Float64
        for column in ("lift", "lift_within")
        for end in ("", "_low", "_high")
    },
}
