"""The first pass over a survey: the CSV in, plain columns in a scratch folder out.

Everything that a row says by itself is settled here: missing values, the position on the map,
the time, and whether the row is good enough to go on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedsieve.ingest.cell_kernels import CLOCK, DATE, IDENTITY, LENIENT, NUMBER
from bedsieve.ingest.cells import Cells
from bedsieve.ingest.csv import BLOCK, read_cells
from bedsieve.ingest.duplicates import Suspects
from bedsieve.ingest.header import Header
from bedsieve.ingest.ledger import (
    KEPT,
    NO_POSITION,
    NO_THICKNESS,
    NONPOSITIVE,
    OUTSIDE_CRS,
)
from bedsieve.ingest.projection import normalised_longitude, outside_area, project
from bedsieve.ingest.scratch import Scratch
from bedsieve.ingest.whereabouts import Whereabouts
from bedsieve.progress import Progress

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SCRATCH_COLUMNS = {
    "code": "u1",
    "lon": "f8",
    "lat": "f8",
    "east": "f8",
    "north": "f8",
    "ice_thickness": "f8",
    "bed_elev": "f8",
    "surface_alt": "f8",
    "atd": "f8",
    "trace_number": "f8",
    "trajectory_id": "u8",
    "timestamp": "f8",
}
WANTED = {
    "trajectory_id": IDENTITY,
    "trace_number": LENIENT,
    "lon": NUMBER,
    "lat": NUMBER,
    "date": DATE,
    "time": CLOCK,
    "surface_alt": NUMBER,
    "ice_thickness": NUMBER,
    "bed_elev": NUMBER,
    "atd": NUMBER,
}
# A row of twelve columns that are all -9999 takes this many bytes; few rows take less.
_SHORTEST_ROW = 60


def expected_rows(path: str | Path) -> int:
    """About how many rows a file has at most, by its size."""
    return Path(path).stat().st_size // _SHORTEST_ROW


def parse_into(
    scratch: Scratch,
    suspects: Suspects,
    path: str | Path,
    header: Header,
    crs: str,
    threads: int = 2,
) -> None:
    """Parse, judge and project every row of a survey file.

    Parameters
    ----------
    scratch : Scratch
        Takes every row of the file, in order, under `SCRATCH_COLUMNS`. Missing numbers are NaN,
        a missing trajectory is 0.
    suspects : Suspects
        Takes the position of every good row.
    path : path-like
        The CSV.
    header : Header
        Its header.
    crs : str
        CRS of east and north.
    threads : int
        Blocks of the file to treat at the same time.

    Raises
    ------
    InputError
        As `read_cells`; also where rows have positions, but all of them outside the CRS's area.
    """

    def work(cells: Cells) -> tuple[dict[str, NDArray[Any]], Whereabouts]:
        return _judged(cells, crs)

    where = Whereabouts()
    progress = Progress(f"Reading {Path(path).name}", Path(path).stat().st_size / 1e6, "MB")
    for columns, part in read_cells(path, header, WANTED, work, threads):
        where = where.joined(part)
        suspects.add(columns["east"], columns["north"], columns["code"] == KEPT)
        scratch.append(columns)
        progress.advance(BLOCK / 1e6)
    where.check(path, crs)


def _judged(cells: Cells, crs: str) -> tuple[dict[str, NDArray[Any]], Whereabouts]:
    columns = dict(cells.columns)
    for name, kind in WANTED.items():
        if name not in columns:
            empty = np.zeros(cells.rows, np.uint64) if kind == IDENTITY else np.nan
            columns[name] = np.broadcast_to(empty, cells.rows)
    lon, lat = normalised_longitude(columns["lon"]), columns["lat"]
    placed = np.isfinite(lon) & np.isfinite(lat)
    outside = placed & outside_area(columns["lon"], lat, crs)
    here = Whereabouts.of(lat, placed, outside)
    lon, lat = np.where(outside, np.nan, lon), np.where(outside, np.nan, lat)
    # One thread: the blocks are already treated side by side.
    east, north = project(lon, lat, crs, threads=1)
    outside |= placed & ~(np.isfinite(east) & np.isfinite(north))
    code = _codes(columns["ice_thickness"], placed, outside)
    time = columns.pop("date") * 86_400 + columns.pop("time")
    placing = {"lon": lon, "lat": lat, "east": east, "north": north}
    return columns | placing | {"code": code, "timestamp": time}, here


def _codes(thickness: Floats, placed: Mask, outside: Mask) -> NDArray[np.uint8]:
    missing = np.isnan(thickness)
    reasons = (missing, thickness <= 0, ~placed, outside)
    codes = (NO_THICKNESS, NONPOSITIVE, NO_POSITION, OUTSIDE_CRS)
    return np.select(reasons, codes, KEPT).astype(np.uint8)
