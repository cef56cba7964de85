"""Signs of trouble at each point that need no truth: reference difference, pixel spread and relief.

In: the tiles' points, halos, edges and ensembles. Out: a `Signs` of all points. Relief is that of the reference grid at
the point's nearest neighbours, never of the measured thickness, so that no error makes its own stratum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.evaluation.lift import Signs
from bedsieve.graph.edges import read_edges
from bedsieve.products.bins import ENSEMBLE
from bedsieve.progress import Progress

Floats = npt.NDArray[np.float64]

PIXEL = 500.0
"""Side (m) of the pixels whose points are compared."""
REFERENCE = "reference difference"
SPREAD = "pixel spread"
_COLUMNS = ["survey_no", "track_id", "east", "north", "ice_thickness", "ith_bm"]


@dataclass(frozen=True)
class LiftFiles:
    """A tile's points.parquet, halo.parquet, edges.arrow and ensemble.parquet (rows as the points)."""

    points: str | Path
    halo: str | Path
    edges: str | Path
    ensemble: str | Path


def read_signs(tiles: Sequence[LiftFiles], members: Sequence[str]) -> Signs:
    """Read all points with their scores and signs.

    Parameters
    ----------
    tiles : sequence of LiftFiles
    members : sequence of str
        The detectors of the ensemble.
    """
    columns = {**{member: f"score_{member}" for member in members}, ENSEMBLE: "score"}
    parts = []
    progress = Progress("lift: points", len(tiles), "tiles")
    for tile in sorted(tiles, key=lambda tile: str(tile.points)):
        core = pl.read_parquet(tile.points, columns=_COLUMNS)
        halo = pl.read_parquet(tile.halo, columns=_COLUMNS)
        both = pl.concat([core, halo])
        reference = both["ith_bm"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        neighbour = read_edges(tile.edges).neighbour[: core.height]
        parts.append(
            core.hstack(pl.read_parquet(tile.ensemble, columns=list(columns.values())))
            .with_columns(
                pl.Series("relief", relief(reference, neighbour)),
                pl.Series("spread", pixel_spread(both)[: core.height]),
            )
            .drop("survey_no", "track_id")
        )
        progress.advance(1)
    every = pl.concat(parts)

    def values(name: str) -> Floats:
        return every[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    return Signs(
        {name: values(column) for name, column in columns.items()},
        {
            REFERENCE: np.abs(values("ice_thickness") - values("ith_bm")),
            SPREAD: values("spread"),
        },
        values("relief"),
        values("east"),
        values("north"),
    )


def relief(reference: Floats, neighbour: npt.NDArray[np.int32]) -> Floats:
    """Standard deviation (m) of the reference thickness at a point and its neighbours.

    Parameters
    ----------
    reference : (n,) float64
        m, of all nodes; NaN where the grid has none.
    neighbour : (rows, k) int32
        Neighbours of the first `rows` nodes; -1 for an empty slot.

    Returns
    -------
    (rows,) float64
        NaN where fewer than three values are known.
    """
    around = np.where(neighbour >= 0, reference[neighbour], np.nan)
    values = np.column_stack([reference[: len(neighbour)], around])
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=1), 1)
    filled = np.where(known, values, 0.0)
    mean = filled.sum(axis=1) / count
    squares = np.where(known, (values - mean[:, None]) ** 2, 0.0).sum(axis=1)
    return np.where(known.sum(axis=1) >= 3, np.sqrt(squares / count), np.nan)


def pixel_spread(points: pl.DataFrame, pixel: float = PIXEL) -> Floats:
    """Standard deviation (m) of the thickness in each point's pixel; NaN where only one track passes.

    Parameters
    ----------
    points : DataFrame, n rows
        survey_no, track_id, east, north, ice_thickness.
    pixel : float
        m.
    """
    cell = [(pl.col(axis) / pixel).floor().cast(pl.Int64) for axis in ("east", "north")]
    tracks = pl.struct("survey_no", "track_id").n_unique().over(cell)
    spread = pl.col("ice_thickness").std(ddof=0).over(cell)
    found = points.select(spread=pl.when(tracks > 1).then(spread))
    return found["spread"].fill_null(float("nan")).to_numpy()
