"""A tile's tables, made of an ensemble alone, and its tallies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from bedsieve.products.bins import REFERENCE, VARIABLES
from bedsieve.products.tallies import count_tile, write_tallies
from bedsieve.products.tile_points import TileFiles, read_points


def tally(home: Path, ensemble: pl.DataFrame, members: Mapping[str, Sequence[str | Path]]) -> Path:
    """Write an ensemble with points that have a place and no more, and no labels; count them."""
    home.mkdir(parents=True, exist_ok=True)
    n = ensemble.height
    ids = pl.col("point_id").cast(pl.UInt64)
    flat = {name: np.full(n, np.nan) for name in (REFERENCE, *VARIABLES)}
    places = {"east": np.arange(n, dtype=float), "north": np.zeros(n)}
    ensemble.select(ids).with_columns(
        **{name: pl.Series(values) for name, values in (flat | places).items()}
    ).write_parquet(home / "points.parquet")
    ensemble.with_columns(ids).write_parquet(home / "ensemble.parquet")
    pl.DataFrame(schema={"point_id": pl.UInt64, "label": pl.Int8}).write_parquet(
        home / "labels.parquet"
    )
    files = TileFiles(*(home / f"{name}.parquet" for name in ("points", "ensemble", "labels")))
    points = read_points(files, list(members))
    write_tallies(count_tile(points, members), home / "tallies.parquet")
    return home / "tallies.parquet"
