"""Which tiles a survey lies in and how near it comes to the others: the scan behind coverage.tsv.

In goes one survey's CSV, read once as a stream; out come its rows of the coverage table, from
which the workflow knows every job before any other file is opened. What is counted is a superset
of what cleaning keeps (a usable position and H > 0), so no tile can be missed.

The table that a fresh clone starts with is a guess, made by

    python -m bedsieve.ingest.coverage provisional config/surveys.tsv > config/coverage.tsv
"""

from __future__ import annotations

import fcntl
import io
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bedsieve.errors import ConfigError
from bedsieve.files import sha256_of, write_text
from bedsieve.ingest.csv import BLOCK, read_batches, read_header
from bedsieve.ingest.projection import Crs, Floats, check_metres, outside_area, project
from bedsieve.ingest.sheet import (
    COVERAGE_COLUMNS,
    PROVISIONAL,
    CoverageRow,
    Survey,
    read_coverage,
    read_sheet,
    read_tiling,
    tiling,
)
from bedsieve.ingest.whereabouts import Whereabouts
from bedsieve.progress import Progress
from bedsieve.tile_names import MAX_REACH, tile_index, tile_name

# Points of each release, as its data record states them (doi:10.5194/essd-15-2695-2023).
EVERY = 6  # a survey that nobody has scanned is guessed to lie in one of so many tiles
RELEASE_POINTS = {"BM1": 2_000_000, "BM2": 25_000_000, "BM3": 50_000_000}

Tile = tuple[int, int]


def scan(
    path: str | Path, survey: str, crs: Crs, tile_size: float, max_gap: float = MAX_REACH
) -> list[CoverageRow]:
    """Find the tiles of a survey.

    Parameters
    ----------
    path : path-like
        Its CSV.
    survey : str
        Its name.
    crs : str or int or pyproj.CRS
        The CRS that tiles are cut in.
    tile_size : float
        Side of a tile (m).
    max_gap : float
        Tiles without a point of the survey are listed if it comes this near (m).

    Returns
    -------
    list of CoverageRow
        Sorted by tile. A file without a usable point gives one row with n = 0 and an infinite
        gap, so that it counts as scanned.

    Raises
    ------
    InputError
        If the file is no Bedmap CSV, naming its line; if all its positions lie outside the area of the CRS.
    ConfigError
        If the CRS is unknown or not in metres.
    """
    check_metres(str(crs))
    tally = TileTally(tile_size, max_gap)
    where = Whereabouts()
    for lon, lat in _positions(path):
        placed = np.isfinite(lat)
        outside = outside_area(lon, lat, crs)
        where = where.joined(Whereabouts.of(lat, placed, outside))
        here = placed & ~outside
        east, north = project(lon[here], lat[here], crs)
        mapped = np.isfinite(east) & np.isfinite(north)
        tally.add(east[mapped], north[mapped])
    where.check(path, crs)
    digest = sha256_of(path)
    rows = [CoverageRow(survey, name, n, gap, digest) for name, n, gap in tally.rows()]
    return rows or [CoverageRow(survey, tile_name(0, 0), 0, math.inf, digest)]


def _positions(path: str | Path) -> Iterator[tuple[Floats, Floats]]:
    """Longitudes and latitudes of the rows with a thickness, batch by batch."""
    columns = ("lon", "lat", "ice_thickness")
    progress = Progress(f"Scanning {Path(path).name}", Path(path).stat().st_size / 1e6, "MB")
    for batch in read_batches(path, read_header(path), columns):
        # Missing values are null, and a comparison with null is not true.
        usable = batch.filter((batch["ice_thickness"] > 0) & batch["lon"].is_not_null())
        yield usable["lon"].to_numpy(), usable["lat"].to_numpy()
        progress.advance(BLOCK / 1e6)


class TileTally:
    """Counts by tile, and least distances to the tiles around, over batches of positions.

    Parameters
    ----------
    tile_size, max_gap : float
        In metres, as `scan`.
    """

    def __init__(self, tile_size: float, max_gap: float) -> None:
        if not (tile_size > 0 and max_gap >= 0):
            raise ConfigError(f"tile_size {tile_size} and max_gap {max_gap} must be positive.")
        self.tile_size, self.max_gap = float(tile_size), float(max_gap)
        self.counts: dict[Tile, int] = {}
        self.gaps: dict[Tile, float] = {}

    def add(self, east: Floats, north: Floats) -> None:
        """Count positions (m), each of shape (n,)."""
        if not len(east):
            return
        columns, rows = np.floor(east / self.tile_size), np.floor(north / self.tile_size)
        for tile, n in _by_tile(columns, rows, None):
            self.counts[tile] = self.counts.get(tile, 0) + int(n)
        rings = math.floor(self.max_gap / self.tile_size) + 1
        offsets = range(-rings, rings + 1)
        for step in offsets:
            away = _distance(east, columns + step, self.tile_size)
            near = np.flatnonzero(away <= self.max_gap)
            for climb in offsets:
                if step or climb:
                    self._note_gaps(
                        north[near], rows[near] + climb, columns[near] + step, away[near]
                    )

    def _note_gaps(self, north: Floats, rows: Floats, columns: Floats, away: Floats) -> None:
        gap = np.hypot(away, _distance(north, rows, self.tile_size))
        near = gap <= self.max_gap
        for tile, least in _by_tile(columns[near], rows[near], gap[near]):
            self.gaps[tile] = min(self.gaps.get(tile, math.inf), least)

    def rows(self) -> Iterator[tuple[str, int, float]]:
        """Name, count and distance (0 inside) of every tile met, in order of place."""
        for tile in sorted(self.counts.keys() | self.gaps.keys()):
            n = self.counts.get(tile, 0)
            yield tile_name(*tile), n, 0.0 if n else self.gaps[tile]


def _distance(values: Floats, cells: Floats, size: float) -> Floats:
    """How far (m) coordinates lie outside cells along one axis; 0 within."""
    low = cells * size
    return np.maximum(np.maximum(low - values, values - (low + size)), 0.0)


def _by_tile(columns: Floats, rows: Floats, values: Floats | None) -> Iterator[tuple[Tile, float]]:
    """Least value (or, without values, the number of points) of each tile."""
    keys = (columns.astype(np.int64) << 32) + rows.astype(np.int64)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1)) if len(keys) else np.empty(0, int)
    if values is None:
        found = np.diff(starts, append=len(keys)).astype(np.float64)
    else:
        found = np.minimum.reduceat(values[order], starts) if len(keys) else np.empty(0)
    for at, value in zip(order[starts], found, strict=True):
        yield (int(columns[at]), int(rows[at])), float(value)


def as_table(rows: Iterable[CoverageRow], tiles: str = "") -> str:
    """The coverage table as text, by survey and then by tile, under the line that says which `tiling` it is of."""
    out = io.StringIO()
    out.write(tiles + "\n" if tiles else "")
    out.write("\t".join(COVERAGE_COLUMNS) + "\n")
    for row in sorted(rows, key=lambda row: (row.survey, tile_index(row.tile))):
        # repr keeps every digit: a rounded distance could put a survey out of a tile's reach.
        gap = repr(row.gap_m).removesuffix(".0")
        out.write(f"{row.survey}\t{row.tile}\t{row.n}\t{gap}\t{row.sha256}\n")
    return out.getvalue()


def scan_to_file(
    path: str | Path,
    target: str | Path,
    survey: str,
    crs: Crs,
    tile_size: float,
    max_gap: float = MAX_REACH,
) -> None:
    """Write what `scan` finds to a table of its own, for `register` to take up."""
    rows = scan(path, survey, crs, tile_size, max_gap)
    write_text(as_table(rows, tiling(tile_size, crs)), target)


def register(coverage: str | Path, scans: Iterable[str | Path]) -> None:
    """Put scans into the coverage table, in place of what it held on those surveys, or of all if it counts other tiles.

    Parameters
    ----------
    coverage : path-like
        The table; made if there is none. Its other surveys stay as they are.
    scans : iterable of path-like
        Tables that `scan_to_file` wrote, of the same tiles.

    Raises
    ------
    InputError
        If one of the tables cannot be read; nothing is changed then.
    """
    coverage, scans = Path(coverage), list(scans)
    found = {name: rows for path in scans for name, rows in read_coverage(path).items()}
    tiles = read_tiling(scans[0]) if scans else ""
    with _locked(coverage):
        stands = coverage.exists() and (not tiles or read_tiling(coverage) in ("", tiles))
        table = read_coverage(coverage) if stands else {}
        table |= found
        rows = (row for each in table.values() for row in each.values())
        write_text(as_table(rows, tiles), coverage)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Let one process at a time change a file; the system frees the lock of one that dies."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.with_name(f".{target.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def provisional(
    surveys: Iterable[Survey],
    tiles: Sequence[Tile],
    points: Mapping[str, int] = RELEASE_POINTS,
) -> list[CoverageRow]:
    """Guess the coverage of surveys that nobody has scanned: every sixth tile, with an even share.

    Which tiles a survey really lies in is not known before its file is there. A sixth of them, 13 of 80,
    is more than most surveys cover; they are spread evenly, and shifted by one from survey to survey.

    Parameters
    ----------
    surveys : iterable of Survey
        Each of a release that `points` knows.
    tiles : sequence of (int, int)
        Columns and rows to spread them over.
    points : mapping of str to int
        Points of each release, shared evenly among its surveys and the tiles.

    Returns
    -------
    list of CoverageRow
        With the word ``provisional`` for the sha256 and no gap.

    Raises
    ------
    ConfigError
        If a release's number of points is not known.
    """
    surveys = list(surveys)
    releases = [survey.release for survey in surveys]
    rows = []
    for number, survey in enumerate(surveys):
        if survey.release not in points:
            known = ", ".join(points)
            raise ConfigError(f"{survey.survey}: release {survey.release!r} is none of {known}.")
        mine = tiles[number % EVERY :: EVERY] or tiles
        n = max(round(points[survey.release] / releases.count(survey.release) / len(mine)), 1)
        rows += [CoverageRow(survey.survey, tile_name(*tile), n, 0.0, PROVISIONAL) for tile in mine]
    return rows


def main(arguments: list[str]) -> None:
    """Write the provisional table for the active surveys of a sheet, on 500 km tiles."""
    if len(arguments) != 2 or arguments[0] != "provisional":
        sys.exit("usage: python -m bedsieve.ingest.coverage provisional SHEET > COVERAGE")
    from bedsieve.ingest.continent import ice_tiles

    active = [survey for survey in read_sheet(arguments[1]) if survey.status == "active"]
    rows = provisional(active, ice_tiles("EPSG:3031", 500_000))
    sys.stdout.write(as_table(rows, tiling(500_000, "EPSG:3031")))


if __name__ == "__main__":
    main(sys.argv[1:])
