"""The points of one tile with their scores and labels, row by row.

In: the tile's points, ensemble and pseudo-labels. Out: one table for counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bedsieve.errors import BedsieveError
from bedsieve.products.bins import ENSEMBLE, LABELS, REFERENCE, VARIABLES

NO_LABEL = LABELS.index("none")


@dataclass(frozen=True)
class TileFiles:
    """A tile's points.parquet, ensemble.parquet (rows in the same order) and labels.parquet."""

    points: str | Path
    ensemble: str | Path
    labels: str | Path


def score_column(detector: str) -> str:
    """Column of ensemble.parquet that holds a detector's score, or the ensemble's."""
    return "score" if detector == ENSEMBLE else f"score_{detector}"


def read_points(tile: TileFiles, members: Sequence[str]) -> pl.DataFrame:
    """Read the points of a tile.

    Returns
    -------
    DataFrame
        point_id, east, north (m), the reference grid, the variables of `bins.VARIABLES`, score, score_{member},
        flag, label (0 inlier, 1 outlier, 2 none).

    Raises
    ------
    BedsieveError
        If the ensemble does not hold the points in their order.
    """
    places = ["point_id", "east", "north", REFERENCE, *VARIABLES]
    points = pl.read_parquet(tile.points, columns=places)
    scores = ["flag", *map(score_column, (*members, ENSEMBLE))]
    ensemble = pl.read_parquet(tile.ensemble, columns=["point_id", *scores])
    if not ensemble["point_id"].equals(points["point_id"]):
        raise BedsieveError(
            f"{tile.ensemble}: does not hold the points of {tile.points} in their order. "
            "Delete it and run again."
        )
    labels = pl.read_parquet(tile.labels, columns=["point_id", "label"])
    return (
        points.hstack(ensemble.drop("point_id"))
        .join(labels, on="point_id", how="left", maintain_order="left")
        .with_columns(pl.col("label").fill_null(NO_LABEL))
    )
