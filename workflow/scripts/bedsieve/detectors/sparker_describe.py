"""What SparKer's kernels stand for: which residual, how many points, where.

In: a survey's fitted kernels, its inspected points and their reference, and the residuals of all its
points. Out: a row a kernel, in the residuals' own units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from bedsieve.detectors import sparker_residuals as residuals
from bedsieve.detectors.sparker_fit import Rows
from bedsieve.detectors.sparker_kernels import Floats, Kernels
from bedsieve.tile_names import tile_name

_LIVE = 0.05  # amplitude from which a kernel counts
_REACH = 2.0  # widths within which a point belongs to its nearest kernel


def describe(
    kernels: Kernels,
    data: Floats,
    reference: Floats,
    table: pl.DataFrame,
    X: Floats,
    standard: Mapping[str, tuple[float, float]],
    tile_size: float,
) -> pl.DataFrame:
    """What each kernel that counts stands for.

    Returns
    -------
    DataFrame
        kernel; amplitude; track, neighbour (in standard errors) and crossing (m) at its centre, as
        in the residuals' table; feature (the one farthest from the usual); surplus_share (share of
        the inspected points within its reach, less that of the reference); points (of the survey
        within reach); tile (where most of them lie), east, north (their median there, m). The
        largest surplus first.
    """
    live = np.flatnonzero(np.abs(kernels.amplitude) > _LIVE)
    mine = _nearest(kernels, live, np.nan_to_num(X))
    mine[np.isnan(X[:, 0])] = -1
    shares = [
        np.bincount(own[own >= 0], minlength=len(kernels.amplitude)) / len(own)
        for own in (_nearest(kernels, live, part) for part in (data, reference))
    ]
    rows = []
    for number in live:
        centre = kernels.centre[number]
        inside = table.filter(pl.Series(mine == number))
        rows.append(
            {
                "kernel": int(number),
                "amplitude": float(kernels.amplitude[number]),
                **residuals.back(centre, standard),
                "feature": residuals.FEATURES[int(np.abs(centre).argmax())],
                "surplus_share": float(shares[0][number] - shares[1][number]),
                "points": inside.height,
                **_place(inside, tile_size),
            }
        )
    schema = {
        "kernel": pl.Int64, "amplitude": pl.Float64,
        **dict.fromkeys(residuals.FEATURES, pl.Float64),
        "feature": pl.String, "surplus_share": pl.Float64, "points": pl.Int64,
        "tile": pl.String, "east": pl.Float64, "north": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema).sort("surplus_share", descending=True)


def _nearest(kernels: Kernels, live: Rows, X: Floats) -> Rows:
    """The counting kernel that is nearest to each point, -1 where none is within reach."""
    if live.size == 0:
        return np.full(len(X), -1)
    squared = np.stack([((X - kernels.centre[number]) ** 2).sum(axis=1) for number in live])
    within = squared.min(axis=0) <= (_REACH * kernels.width) ** 2
    return np.where(within, live[squared.argmin(axis=0)], -1)


def _place(inside: pl.DataFrame, tile_size: float) -> dict[str, Any]:
    if inside.height == 0:
        return {"tile": None, "east": None, "north": None}
    index = inside.select(
        ix=(pl.col("east") / tile_size).floor().cast(pl.Int64),
        iy=(pl.col("north") / tile_size).floor().cast(pl.Int64),
    )
    ix, iy, _ = index.group_by("ix", "iy").len().sort("len", "ix", "iy", descending=True).row(0)
    there = inside.filter((index["ix"] == ix) & (index["iy"] == iy))
    east, north = there.select(pl.col("east").median(), pl.col("north").median()).row(0)
    return {"tile": tile_name(ix, iy), "east": east, "north": north}
