"""Survey files in Bedmap's format for tests, and the way through ingest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from bedsieve.ingest.harmonise import harmonise
from bedsieve.ingest.header import COLUMNS

FIELDS = {
    "project": "Test",
    "time_coverage_start": "2007",
    "time_coverage_end": "2008",
    "institution": "AWI",
    "platform": "airborne",
    "instrument": "EMR",
}
HEADINGS = {name: heading for heading, name in COLUMNS.items()}
FIRST_DATA_LINE = len(FIELDS) + 2


def header_text(fields: Mapping[str, str] | None = None) -> str:
    """The lines above the rows."""
    lines = [f"#{key}: {value}" for key, value in (FIELDS if fields is None else fields).items()]
    return "\n".join([*lines, ",".join(COLUMNS)]) + "\n"


def row(**cells: Any) -> str:
    """One row; columns that are not given hold -9999."""
    return ",".join(str(cells.get(name, -9999)) for name in COLUMNS.values())


def survey_file(path: Path, rows: list[str], fields: Mapping[str, str] | None = None) -> Path:
    """Write a survey file."""
    path.write_text(header_text(fields) + "".join(f"{line}\n" for line in rows))
    return path


def line_of_points(n: int, thickness: float = 1000.0, **cells: Any) -> list[str]:
    """Rows along a meridian, 20 m apart."""
    return [
        row(lon=10.0, lat=round(-71.0 - 0.00018 * i, 6), ice_thickness=thickness + i % 7, **cells)
        for i in range(n)
    ]


class Harmonised(NamedTuple):
    """What ingest writes."""

    points: pl.DataFrame
    dropped: pl.DataFrame
    ledger: Mapping[str, Any]


def through_ingest(path: Path, **options: Any) -> Harmonised:
    """Harmonise a file into a folder beside it."""
    folder = path.parent / "results"
    options = {"crs": "EPSG:3031", "survey": "TEST_2007", "survey_no": 3} | options
    ledger = harmonise(
        path,
        points_path=folder / "points.parquet",
        ledger_path=folder / "ledger.json",
        dropped_path=folder / "dropped.parquet",
        **options,
    )
    return Harmonised(
        pl.read_parquet(folder / "points.parquet"),
        pl.read_parquet(folder / "dropped.parquet"),
        ledger,
    )


def left_behind(path: Path) -> list[str]:
    """What stands in the results folder, hidden files too."""
    folder = path.parent / "results"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def points_at(*places: tuple[float, float, float]) -> list[str]:
    """Rows of points given by longitude, latitude and thickness."""
    return [row(lon=lon, lat=lat, ice_thickness=h) for lon, lat, h in places]
