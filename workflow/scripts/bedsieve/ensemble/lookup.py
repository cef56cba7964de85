"""Values of score tables at given points.

A detector's tables cover whole surveys or single tiles, in any order; a tile wants its own points'
values in its own order. Goes in: point ids and the tables. Comes out: one row a point. Row groups whose
range of ids holds none of the points are not read, so that a tile pays for its share of a survey only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bedsieve.errors import BedsieveError, InputError


def values_at(
    point_ids: NDArray[np.uint64], tables: Sequence[str | Path], columns: Sequence[str]
) -> pl.DataFrame:
    """Look points up in the tables of one detector.

    Parameters
    ----------
    point_ids : (n,) uint64
        The points, each once, in any order.
    tables : sequence of path-like
        Parquet files with a column point_id; a point stands in one of them at most.
    columns : sequence of str
        What to look up. A column that a table lacks counts as null there.

    Returns
    -------
    DataFrame, n rows
        The columns in the order of `point_ids`, null where no table holds the point, and `found` (bool).

    Raises
    ------
    InputError
        If a table is missing.
    BedsieveError
        If two rows of the tables are the same point.
    """
    order = np.argsort(point_ids, kind="stable")
    ascending = point_ids[order]
    source = np.full(len(point_ids), -1, dtype=np.int64)
    parts: list[pl.DataFrame] = []
    height, follows = 0, 0
    for table in tables:
        for part in _row_groups(Path(table), ascending, columns):
            ids = part["point_id"].to_numpy()
            # A tile's own tables hold its points in its order: nothing to look for.
            if np.array_equal(ids, point_ids[follows : follows + len(ids)]):
                target = np.arange(follows, follows + len(ids))
                follows += len(ids)
            else:
                place = np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)
                match = ascending[place] == ids
                target = order[place[match]]
                part = part.filter(pl.Series(match))
            rows = height + np.arange(len(target))
            free = (source[target] < 0).all()
            source[target] = rows
            if not free or (source[target] != rows).any():
                raise BedsieveError(
                    f"{table}: holds a point that stands in the detector's tables twice. "
                    "Delete the detector's score tables and run again."
                )
            parts.append(part.drop("point_id"))
            height += len(target)
    return _gather(parts, source, columns)


def _gather(
    parts: list[pl.DataFrame], source: NDArray[np.int64], columns: Sequence[str]
) -> pl.DataFrame:
    found = pl.Series("found", source >= 0)
    if not parts:
        return pl.DataFrame({name: [None] * len(source) for name in columns}).with_columns(found)
    stacked = pl.concat(parts, how="diagonal_relaxed")
    lacking = [pl.lit(None).alias(name) for name in columns if name not in stacked.columns]
    stacked = stacked.with_columns(lacking).select(columns)
    index = pl.Series(source).set(pl.Series(source < 0), None)
    return stacked.select(pl.all().gather(index)).with_columns(found)


def _row_groups(
    table: Path, ascending: NDArray[np.uint64], columns: Sequence[str]
) -> Iterator[pl.DataFrame]:
    if len(ascending) == 0:
        return
    if not table.exists():
        raise InputError(table, "the score table is missing", "Run the workflow for it first")
    with pq.ParquetFile(table) as file:
        names = file.schema_arrow.names
        wanted = ["point_id", *(name for name in columns if name in names)]
        key = names.index("point_id")
        for group in range(file.metadata.num_row_groups):
            statistics = file.metadata.row_group(group).column(key).statistics
            if statistics is not None and statistics.has_min_max:
                first = np.searchsorted(ascending, np.uint64(statistics.min), "left")
                last = np.searchsorted(ascending, np.uint64(statistics.max), "right")
                if first == last:
                    continue
            frame = pl.from_arrow(file.read_row_group(group, columns=wanted))
            assert isinstance(frame, pl.DataFrame)
            yield frame
