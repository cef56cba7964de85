"""Three small surveys in two tiles that do not reach each other, and more to add: made by code, dropped in as raw files.

survey   tile        flown
A, B     x4_y4       across each other
C        x8_y4       alone; D lies across it
E        x20_y4      far from all others
F        x8_y4, x9_y4  from C's tile into the next
MANY     x4_y4, x5_y4  small ones, each across its neighbours: many jobs, little work
"""

from __future__ import annotations

import numpy as np
import polars as pl

from bedsieve.files import sha256_of
from bedsieve.ingest.coverage import register, scan_to_file
from bedsieve.ingest.projection import unproject
from bedsieve.simulate.bedmap_csv import write_bedmap_csv
from tests.workflow.conftest import Project

CRS, TILE = "EPSG:3031", 50_000
BASE = ("A", "B", "C")
MANY = tuple(f"S{number}" for number in range(10, 68))
NUMBERS = {name: number for number, name in enumerate((*"ABCDEF", *MANY), start=1)}
# Middle of each survey (km), heading (0 along east, 1 along north) and length of its lines (km).
_FLOWN = {
    "A": (224.0, 224.0, 0, 8.0),
    "B": (224.0, 224.0, 1, 8.0),
    "C": (424.0, 224.0, 0, 8.0),
    "D": (424.0, 224.0, 1, 8.0),
    "E": (1024.0, 224.0, 0, 8.0),
    "F": (450.0, 224.0, 0, 30.0),
} | {
    name: (210.0 + number % 12 * 7, 212.0 + number // 12 * 7, (number + number // 12) % 2, 9.0)
    for number, name in enumerate(MANY)
}
_LINES, _APART, _STEP = 6, 1000.0, 100.0


def write_survey(project: Project, name: str, lower: float = 0.0) -> None:
    """Drop a survey's file in, its bed `lower` (m) than it is, and register it."""
    middle_east, middle_north, heading, length = _FLOWN[name]
    along = np.arange(-length * 500.0, length * 500.0, _STEP)
    across = (np.arange(_LINES) - _LINES / 2) * _APART
    line = np.repeat(np.arange(_LINES), len(along))
    sides = (np.tile(along, _LINES), np.repeat(across, len(along)))
    east = sides[heading] + 1000.0 * middle_east
    north = sides[1 - heading] + 1000.0 * middle_north
    noise = np.random.default_rng(NUMBERS[name]).normal(0, 5, len(east))
    thickness = 1800 + 200 * np.sin(east / 3000) + 150 * np.cos(north / 2500) + noise + lower
    surface = 2500 + 30 * np.cos(east / 5000) + 20 * np.sin(north / 4000)
    lon, lat = unproject(east, north, CRS, threads=1)
    table = pl.DataFrame(
        {
            "trajectory_id": line,
            "trace_number": np.arange(len(east)) - line * len(along) + 1,
            "lon": lon,
            "lat": lat,
            "surface": surface,
            "thickness": thickness,
            "bed": surface - thickness,
        }
    )
    raw = project.path(f"raw/{name}.csv")
    raw.parent.mkdir(exist_ok=True)
    years = {"time_coverage_start": "2007", "time_coverage_end": "2008"}
    write_bedmap_csv(raw, {"project": f"Survey {name}", "platform": "airborne"} | years, table)
    # What `snakemake register` runs, without Snakemake's seconds.
    scanned = project.path(f"scanned/{name}.tsv")
    scan_to_file(raw, scanned, survey=name, crs=CRS, tile_size=TILE)
    register(project.path("coverage.tsv"), [scanned])


def write_sheet(project: Project, names: tuple[str, ...], retired: str = "") -> None:
    """Write the sample sheet, with the checksums of the files that lie there."""
    lines = ["survey_no\tsurvey\tsha256\tstatus"]
    for name in names:
        sha256 = sha256_of(project.path(f"raw/{name}.csv"))
        status = "retired" if name == retired else "active"
        lines.append(f"{NUMBERS[name]}\t{name}\t{sha256}\t{status}")
    project.path("surveys.tsv").write_text("\n".join([*lines, ""]))


def add(project: Project, name: str) -> None:
    """Add a survey as a user does."""
    write_survey(project, name)
    write_sheet(project, (*BASE, name))


def make_region(project: Project, names: tuple[str, ...] = BASE) -> None:
    """Put surveys, their tables and a configuration of quick members into a project."""
    project.configure(
        region={"name": "a small region", "tile_size": TILE},
        paths={
            "surveys": "surveys.tsv",
            "coverage": "coverage.tsv",
            "raw": "raw",
            "results": "results",
        },
        ensemble={"members": ["along_track", "pca", "segments"]},
        detectors={"pca": {"min_points": 300}},
    )
    for name in names:
        write_survey(project, name)
    write_sheet(project, names)
