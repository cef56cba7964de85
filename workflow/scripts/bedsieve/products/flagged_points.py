"""The flagged points of a tile, with what is said of them.

In: the tile's points and ensemble. Out: a table of the few rows that the GeoParquet of all flagged points and the
worst sections of tracks are made of, so that neither reads the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from bedsieve.errors import BedsieveError

POINT_COLUMNS = ["point_id", "track_id", "lon", "lat", "ice_thickness", "east", "north"]


def flagged_points(
    points: str | Path, ensemble: str | Path, members: Sequence[str]
) -> pl.DataFrame:
    """Pick the flagged points of a tile.

    Parameters
    ----------
    points, ensemble : path-like
        The tile's points.parquet and ensemble.parquet, rows in the same order.
    members : sequence of str
        The detectors of the ensemble.

    Returns
    -------
    DataFrame
        point_id, track_id, lon, lat, ice_thickness, east, north (m), score, score_{member}, line_bias_m (m),
        reason; in the order of the points.

    Raises
    ------
    BedsieveError
        If the tables do not hold the same points.
    """
    scores = ["score", *(f"score_{member}" for member in members), "line_bias_m", "reason"]
    table = pl.read_parquet(ensemble, columns=["point_id", "flag", *scores])
    flagged = table.with_row_index("place").filter("flag")
    frame = pl.read_parquet(points, columns=POINT_COLUMNS)
    if frame.height != table.height:
        raise _differ(points, ensemble)
    frame = frame[flagged["place"]]
    if not frame["point_id"].equals(flagged["point_id"]):
        raise _differ(points, ensemble)
    return frame.hstack(flagged.select(scores))


def _differ(points: str | Path, ensemble: str | Path) -> BedsieveError:
    return BedsieveError(
        f"{ensemble}: does not hold the points of {points} in their order. Delete it and run again."
    )
