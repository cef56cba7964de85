"""The points of a tile: its own and those around it within reach, straight from the surveys, sorted in space.

Copies of one measurement in two surveys (two releases of one file, say) are found here, because only here do
surveys meet. Every tile that sees such a place sees all its copies, so all tiles decide alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from bedsieve.errors import BedsieveError
from bedsieve.files import write_json, write_parquet
from bedsieve.graph.grid import space_order
from bedsieve.graph.tile_geometry import TileBox
from bedsieve.ingest.duplicates import MERGED, Suspects, merge_positions
from bedsieve.progress import Progress

YEAR_SECONDS = 365.2425 * 86400.0
_MIDDLE_OF_YEARS = (pl.col("year_start") + pl.col("year_end") + 1) / 2
_KEPT = [
    "point_id",
    "survey_no",
    "track_id",
    "track_seq",
    "east",
    "north",
    "lon",
    "lat",
    "ice_thickness",
    "bed_elev",
    "bed_reconstructed",
    "surface_alt",
    "year",
    "timestamp",
    "vx",
    "vy",
    "v",
    "ith_bm",
    "smb",
    "z",
    "s",
    "temp",
]


def write_tile(
    survey_paths: Sequence[str | Path],
    *,
    tile: str,
    tile_size: float,
    reach: float,
    max_neighbour_distance: float,
    points_path: str | Path,
    halo_path: str | Path,
    duplicates_path: str | Path,
    ledger_path: str | Path,
) -> None:
    """Write a tile's points, its halo, the cross-survey duplicates taken out and their ledger.

    Parameters
    ----------
    survey_paths : sequence of path
        Harmonised surveys that lie in the tile or within its reach.
    tile, tile_size : str, float
        The tile's name and side (m).
    reach : float
        Width of the halo (m).
    max_neighbour_distance : float
        Width of one ring of the halo (m).
    points_path, halo_path, duplicates_path, ledger_path : path
        What is written; the ledger last.
    """
    box = TileBox.from_name(tile, tile_size)
    gathered = _gather(survey_paths, box, reach)
    kept, removed = merge_across_surveys(gathered)
    east, north = kept["east"].to_numpy(), kept["north"].to_numpy()
    inside = box.owns(east, north)
    # Rings beyond the detectors' hops are all alike, and a u8 must not wrap.
    ring = np.clip(np.ceil(box.distance(east, north) / max_neighbour_distance), 1, 255)
    core = _sorted(kept.filter(inside))
    halo = kept.with_columns(ring=pl.Series(ring.astype(np.uint8))).filter(~inside)
    halo = _sorted(halo).sort("ring", maintain_order=True)
    removed_inside = removed.filter(
        box.owns(removed["east"].to_numpy(), removed["north"].to_numpy())
    )
    write_parquet(core, points_path)
    write_parquet(halo, halo_path)
    write_parquet(removed_inside.select("point_id", "code", "kept_point_id"), duplicates_path)
    write_json(
        {"tile": tile, "surveys": _ledger(core, removed_inside), "halo": halo.height}, ledger_path
    )


def merge_across_surveys(points: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Merge points of different surveys at exactly the same place, as the cleaning of study B does.

    First by (lon, lat), then by (east, north): copies whose thicknesses have a relative standard deviation of at
    most 10 % become one point with their mean, under the lowest point_id; others are all taken out.

    Parameters
    ----------
    points : DataFrame
        Columns of a tile's points, any order.

    Returns
    -------
    kept : DataFrame
        What remains, by point_id.
    removed : DataFrame
        Columns of `points` and ``code`` (``duplicate_merged`` or ``duplicate_conflict``) and
        ``kept_point_id``, a point of `kept` or null; by point_id.
    """
    points = points.sort("point_id")
    lon, lat, east, north, thickness, order = (
        points[name].to_numpy()
        for name in ("lon", "lat", "east", "north", "ice_thickness", "point_id")
    )
    # Equal (lon, lat) give equal (east, north), so few rows can have a copy, and only they are sorted.
    suspects, every = Suspects(points.height), np.ones(points.height, dtype=bool)
    suspects.add(east, north, every)
    at = np.flatnonzero(suspects.among(east, north, every))
    found = merge_positions((lon[at], lat[at]), (east[at], north[at]), thickness[at], order[at])
    gone = ~found.kept
    code = np.where(found.code[gone] == MERGED, "duplicate_merged", "duplicate_conflict")
    into = [int(order[at[row]]) if row >= 0 else None for row in found.kept_row[gone]]
    removed = points[at[gone]].with_columns(
        code=pl.Series(code, dtype=pl.String), kept_point_id=pl.Series(into, dtype=pl.UInt64)
    )
    merged = thickness.astype(np.float64)
    merged[at] = found.ice_thickness
    every[at] = found.kept
    return points.with_columns(ice_thickness=merged).filter(every), removed


def _gather(paths: Sequence[str | Path], box: TileBox, reach: float) -> pl.DataFrame:
    west, south, right, top = box.bounds
    progress = Progress(f"Gathering tile x{box.ix}_y{box.iy}", len(paths), "surveys")
    frames = []
    for path in paths:
        frame = (
            pl.scan_parquet(path)
            .filter(
                pl.col("east").is_between(west - reach, right + reach),
                pl.col("north").is_between(south - reach, top + reach),
            )
            .with_columns(year=_year())
            .select(_KEPT)
            .collect()
        )
        near = box.distance(frame["east"].to_numpy(), frame["north"].to_numpy()) <= reach
        frames.append(frame.filter(pl.Series(near)))
        progress.advance(1)
    if not frames:
        raise BedsieveError(
            f"tile x{box.ix}_y{box.iy}: no survey lies in it. Run `snakemake register`."
        )
    return pl.concat(frames)


def _year() -> pl.Expr:
    """Decimal year of a point: from its time where it has one, else the middle of its survey's years."""
    from_time = 1970.0 + pl.col("timestamp") / YEAR_SECONDS
    return pl.coalesce(from_time, _MIDDLE_OF_YEARS).cast(pl.Float32).alias("year")


def _sorted(points: pl.DataFrame) -> pl.DataFrame:
    order = space_order(
        points["east"].to_numpy(), points["north"].to_numpy(), points["point_id"].to_numpy()
    )
    return points[order]


def _ledger(core: pl.DataFrame, removed: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Per survey number: points of the tile kept, and taken out under each code."""
    kept = dict(core.group_by("survey_no").len().iter_rows())
    counts = {str(number): {"kept": count} for number, count in sorted(kept.items())}
    for number, code, count in (
        removed.group_by("survey_no", "code").len().sort("survey_no", "code").iter_rows()
    ):
        counts.setdefault(str(number), {"kept": 0})[f"cross_survey_{code}"] = count
    return counts
