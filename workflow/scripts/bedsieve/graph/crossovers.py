"""The crossovers of a tile: double hits and exact crossings, each owned by one tile.

In: a tile's points and halo. Out: one row a crossover, with both thicknesses, their difference
(the mis-tie), and what is needed to judge it. A crossing belongs to the tile that it lies in, a
double hit to the tile of its midpoint; tiles are half-open, so over all tiles each comes once.
What is said of a point, and not counted, needs every crossover of that point: those that lie just
beyond the tile stand in a table of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.errors import BedsieveError
from bedsieve.files import write_parquet
from bedsieve.graph.crossings import crossings
from bedsieve.graph.double_hits import double_hits
from bedsieve.graph.lines import line_of
from bedsieve.graph.segments import track_segments
from bedsieve.graph.tile_geometry import TileBox
from bedsieve.graph.tiles import YEAR_SECONDS

KINDS = pl.Enum(["double_hit", "crossing"])
_COLUMNS = [
    "point_id", "survey_no", "track_id", "track_seq", "east", "north", "ice_thickness",
    "year", "timestamp",
]  # fmt: skip
_LAST = ["dt_s", "internal", "self_crossing", "line_a", "line_b", "survey_no_a", "survey_no_b"]

Floats = NDArray[np.float64]
Rows = NDArray[np.int32]
Bools = NDArray[np.bool_]


class Crossovers(NamedTuple):
    """Crossovers that a tile owns, and those of its points that lie beyond it, which others own."""

    owned: pl.DataFrame
    beyond: pl.DataFrame


def write_crossovers(
    points_path: str | Path,
    halo_path: str | Path,
    out_path: str | Path,
    beyond_path: str | Path,
    *,
    tile: str,
    tile_size: float,
    reach: float,
    radius: float = 25.0,
    max_gap: float = 1000.0,
) -> None:
    """Find the double hits and crossings of a tile and write those that it owns, and the others.

    Parameters
    ----------
    points_path, halo_path : path
        The tile's points and the points around it.
    out_path, beyond_path : path
        Parquet to write: crossovers that the tile owns, and those of its points that lie beyond it;
        see `crossover_tables`.
    tile, tile_size : str, float
        The tile's name and side (m).
    reach : float
        Width of the halo (m).
    radius : float
        Largest distance of a double hit (m).
    max_gap : float
        Length of the longest segment that is crossed (m).

    Raises
    ------
    BedsieveError
        If the halo is too narrow for what crosses a segment that reaches out of the tile.
    """
    # A segment out of the tile is crossed up to max_gap beyond it, by segments that end as far again;
    # from there on a segment that only seems one, its points lying outside the halo, stays clear.
    needed = max(radius, 3 * max_gap)
    if reach < needed:
        raise BedsieveError(
            f"{halo_path}: the halo of tile {tile} is {reach:.0f} m wide, but crossovers need "
            f"{needed:.0f} m. Set graph.max_neighbour_distance or hops to reach that far."
        )
    box = TileBox.from_name(tile, tile_size)
    frame = pl.concat(
        [pl.read_parquet(path, columns=_COLUMNS) for path in (points_path, halo_path)]
    )
    tables = crossover_tables(frame, box, radius=radius, max_gap=max_gap)
    write_parquet(tables.owned, out_path)
    write_parquet(tables.beyond, beyond_path)


def crossover_tables(
    frame: pl.DataFrame, box: TileBox, *, radius: float = 25.0, max_gap: float = 1000.0
) -> Crossovers:
    """Crossovers that a tile owns, and those beyond it.

    Parameters
    ----------
    frame : DataFrame
        Points of the tile and its halo, with the columns of a tile's points.
    box : TileBox
        The tile.
    radius, max_gap : float
        As in `write_crossovers`.

    Returns
    -------
    owned, beyond : DataFrame
        Crossovers that lie in the tile; and those that lie outside although one of the points, or one
        end of a segment, lies in the tile. A row each: kind; point_id_a < point_id_b (of a crossing: the points that its segments start from,
        with end_id_a, end_id_b and fraction_a, fraction_b along the segments; else null); east,
        north (m; of a double hit the midpoint); distance (m; 0 at a crossing); h_a, h_b (m;
        interpolated at a crossing); mistie = h_a - h_b (m); angle (degrees, 0 to 90, acute; null
        at a double hit); dt_s = time of a - time of b (s; from timestamps where both have one,
        else from years, else null); internal (same survey); self_crossing (same line); line_a,
        line_b; survey_no_a, survey_no_b. Double hits come first.
    """
    points = _Points(frame)
    core = box.owns(points.east, points.north)
    hits = _double_hits(points, box, core, radius)
    crossed = _crossings(points, box, core, max_gap)
    owned, beyond = (pl.concat(both, rechunk=False) for both in zip(hits, crossed, strict=True))
    return Crossovers(owned, beyond)


class _Points:
    """Columns of a tile's points and halo as arrays."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.point_id = frame["point_id"].to_numpy()
        self.survey_no = frame["survey_no"].to_numpy()
        self.line = line_of(self.survey_no, frame["track_id"].to_numpy())
        self.track_seq = frame["track_seq"].to_numpy()
        self.east, self.north = frame["east"].to_numpy(), frame["north"].to_numpy()
        self.thickness = frame["ice_thickness"].to_numpy()
        self.year = frame["year"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        self.seconds = frame["timestamp"].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _double_hits(points: _Points, box: TileBox, core: Bools, radius: float) -> Crossovers:
    near = np.flatnonzero(box.distance(points.east, points.north) <= radius)
    a, b = double_hits(
        points.east[near], points.north[near], points.line[near], points.point_id[near], radius
    )
    a, b = near[a].astype(np.int32), near[b].astype(np.int32)
    east = 0.5 * (points.east[a] + points.east[b])
    north = 0.5 * (points.north[a] + points.north[b])
    owned = box.owns(east, north)
    beyond = ~owned & (core[a] | core[b])
    return Crossovers(
        *(_hit_table(points, a[of], b[of], east[of], north[of]) for of in (owned, beyond))
    )


def _hit_table(points: _Points, a: Rows, b: Rows, east: Floats, north: Floats) -> pl.DataFrame:
    dx, dy = points.east[b] - points.east[a], points.north[b] - points.north[a]
    none = pl.lit(None)
    return _table(
        points, a, b, east, north, points.thickness[a], points.thickness[b], _dt(points, a, b)
    ).select(
        pl.lit("double_hit", KINDS).alias("kind"),
        "point_id_a",
        "point_id_b",
        none.cast(pl.UInt64).alias("end_id_a"),
        none.cast(pl.UInt64).alias("end_id_b"),
        none.cast(pl.Float64).alias("fraction_a"),
        none.cast(pl.Float64).alias("fraction_b"),
        "east",
        "north",
        pl.Series("distance", np.sqrt(dx * dx + dy * dy)),
        "h_a",
        "h_b",
        "mistie",
        none.cast(pl.Float64).alias("angle"),
        *_LAST,
    )


def _crossings(points: _Points, box: TileBox, core: Bools, max_gap: float) -> Crossovers:
    start, end = _segments_near(points, box, max_gap)
    found = crossings(points.east, points.north, points.line, points.point_id, start, end)
    fa, fb = found.fraction_a, found.fraction_b
    a, b, end_a, end_b = start[found.a], start[found.b], end[found.a], end[found.b]
    east, north = _between(points.east, a, end_a, fa), _between(points.north, a, end_a, fa)
    seconds = _between(points.seconds, a, end_a, fa) - _between(points.seconds, b, end_b, fb)
    years = _between(points.year, a, end_a, fa) - _between(points.year, b, end_b, fb)
    h_a = _between(points.thickness, a, end_a, fa)
    h_b = _between(points.thickness, b, end_b, fb)
    dt = np.where(np.isnan(seconds), years * YEAR_SECONDS, seconds)
    table = _table(points, a, b, east, north, h_a, h_b, dt).select(
        pl.lit("crossing", KINDS).alias("kind"),
        "point_id_a",
        "point_id_b",
        pl.Series("end_id_a", points.point_id[end_a]),
        pl.Series("end_id_b", points.point_id[end_b]),
        pl.Series("fraction_a", fa),
        pl.Series("fraction_b", fb),
        "east",
        "north",
        pl.lit(0.0).alias("distance"),
        "h_a",
        "h_b",
        "mistie",
        pl.Series("angle", found.angle),
        *_LAST,
    )
    owned = box.owns(east, north)
    beyond = ~owned & (core[a] | core[end_a] | core[b] | core[end_b])
    return Crossovers(table.filter(pl.Series(owned)), table.filter(pl.Series(beyond)))


def _segments_near(points: _Points, box: TileBox, max_gap: float) -> tuple[Rows, Rows]:
    """Segments whose own box comes as near the tile as a segment out of it can be crossed."""
    start, end = track_segments(points.east, points.north, points.line, points.track_seq, max_gap)
    west, south, right, top = box.bounds
    e0, e1, n0, n1 = points.east[start], points.east[end], points.north[start], points.north[end]
    near = (np.maximum(e0, e1) >= west - max_gap) & (np.minimum(e0, e1) <= right + max_gap)
    near &= (np.maximum(n0, n1) >= south - max_gap) & (np.minimum(n0, n1) <= top + max_gap)
    return start[near], end[near]


def _between(values: Floats, start: Rows, end: Rows, fraction: Floats) -> Floats:
    between: Floats = values[start] + fraction * (values[end] - values[start])
    return between


def _dt(points: _Points, a: Rows, b: Rows) -> Floats:
    seconds: Floats = points.seconds[a] - points.seconds[b]
    years: Floats = points.year[a] - points.year[b]
    return np.where(np.isnan(seconds), years * YEAR_SECONDS, seconds)


def _table(
    points: _Points,
    a: Rows,
    b: Rows,
    east: Floats,
    north: Floats,
    h_a: Floats,
    h_b: Floats,
    dt: Floats,
) -> pl.DataFrame:
    """The columns that both kinds share."""
    line_a, line_b = points.line[a], points.line[b]
    survey_a, survey_b = points.survey_no[a], points.survey_no[b]
    return pl.DataFrame(
        {
            "point_id_a": points.point_id[a],
            "point_id_b": points.point_id[b],
            "east": east,
            "north": north,
            "h_a": h_a,
            "h_b": h_b,
            "mistie": h_a - h_b,
            "dt_s": pl.Series(dt, nan_to_null=True),
            "internal": survey_a == survey_b,
            "self_crossing": line_a == line_b,
            "line_a": line_a,
            "line_b": line_b,
            "survey_no_a": survey_a,
            "survey_no_b": survey_b,
        }
    )
