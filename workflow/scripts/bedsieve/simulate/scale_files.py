"""Write planned flight lines as a data set: harmonised surveys for a rehearsal, or CSVs for a small one.

In: a `TrackPlan` and a folder. Out, in the folder: ``raw/{survey}.csv``, ``surveys.tsv`` and ``region.yaml``
(the configuration overlay to run it with), and, unless CSVs are asked for, ``coverage.tsv`` and
``results/surveys/`` with each survey's points, dropped rows and ledger, as if harmonised. The raw files
then hold a header only; they stand for the CSVs in the workflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.files import sha256_of, write_json, write_parquet, write_text
from bedsieve.ingest.coverage import TileTally, as_table
from bedsieve.ingest.header import Header
from bedsieve.ingest.ledger import CODES, DROPPED_SCHEMA, KEPT, ledger
from bedsieve.ingest.output import POINTS_SCHEMA, sink
from bedsieve.ingest.sheet import SURVEY_COLUMNS, CoverageRow
from bedsieve.progress import Progress
from bedsieve.simulate.bedmap_csv import write_bedmap_csv
from bedsieve.simulate.scale import fill
from bedsieve.simulate.scale_kernels import fill_covariates, to_lon_lat
from bedsieve.simulate.scale_plan import TrackPlan, plan_tracks
from bedsieve.tile_names import MAX_REACH

CHUNK = 1_000_000
FORMATS = ("harmonised", "csv")
_INSTITUTION = "Simulated"
_COVARIATES = ("vx", "vy", "v", "smb", "s", "temp")
_FLIGHT_SPEED = 70.0


def write_scale(
    folder: Path,
    points: int,
    surveys: int | None = None,
    *,
    seed: int = 0,
    form: str = "harmonised",
    tile_size: float = 500_000.0,
) -> None:
    """Write a data set of any size, one survey and one chunk of lines at a time.

    Parameters
    ----------
    folder : Path
    points : int
    surveys : int, optional
        In proportion to Bedmap's 151 by default.
    seed : int
    form : {"harmonised", "csv"}
        CSVs are to be registered and harmonised like any others.
    tile_size : float
        Side of the tiles that the coverage table counts (m).

    Raises
    ------
    ValueError
        If the form is unknown or there are fewer points than surveys.
    BedsieveError
        If the folder cannot be written.
    """
    if form not in FORMATS:
        raise ValueError(f"form {form!r} is none of {', '.join(FORMATS)}")
    plan = plan_tracks(points, surveys, seed)
    names = survey_names(plan)
    progress = Progress("Simulating flight lines", points)
    coverage: list[CoverageRow] = []
    sheet = ["\t".join(SURVEY_COLUMNS)]
    for number, name in enumerate(names):
        raw = folder / "raw" / f"{name}.csv"
        first, _ = plan.lines_of(number)
        year = int(plan.year[first])
        if form == "csv":
            _write_csv(raw, plan, number, year, seed)
            progress.advance(float(plan.points[plan.survey == number].sum()))
        else:
            write_bedmap_csv(raw, _header(year), pl.DataFrame())
            coverage += _write_harmonised(folder, plan, number, name, seed, tile_size, progress)
        sheet.append(_sheet_row(number, name, year, sha256_of(raw)))
    write_text("\n".join(sheet) + "\n", folder / "surveys.tsv")
    if form == "harmonised":
        write_text(as_table(coverage), folder / "coverage.tsv")
    write_text(_overlay(folder, tile_size), folder / "region.yaml")


def survey_names(plan: TrackPlan) -> list[str]:
    """Names of the surveys, in the order of their numbers: ``SIM_1994_S017_AIR``."""
    firsts = np.searchsorted(plan.survey, np.arange(int(plan.survey[-1]) + 1))
    return [f"SIM_{plan.year[first]}_S{at + 1:03d}_AIR" for at, first in enumerate(firsts)]


def _chunks(plan: TrackPlan, number: int, seed: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Points of a survey, some `CHUNK` at a time in whole lines, with row, track and position."""
    first, stop = plan.lines_of(number)
    row = 0
    while first < stop:
        ends = np.cumsum(plan.points[first:stop])
        last = first + max(1, int(np.searchsorted(ends, CHUNK, side="right")))
        points = fill(plan, first, last, seed)
        n = len(points["east"])
        counts = plan.points[first:last]
        points["row"] = np.arange(row, row + n, dtype=np.uint32)
        points["track_id"] = np.repeat(plan.track_id[first:last], counts).astype(np.int32)
        points["lon"], points["lat"] = np.empty((2, n))
        to_lon_lat(points["east"], points["north"], points["lon"], points["lat"])
        yield points
        first, row = last, row + n


def _write_harmonised(
    folder: Path,
    plan: TrackPlan,
    number: int,
    name: str,
    seed: int,
    tile_size: float,
    progress: Progress,
) -> list[CoverageRow]:
    tally = TileTally(tile_size, MAX_REACH)
    first, stop = plan.lines_of(number)
    year = int(plan.year[first])
    total = int(plan.points[first:stop].sum())

    def frames() -> Iterator[pl.DataFrame]:
        for chunk in _chunks(plan, number, seed):
            tally.add(chunk["east"], chunk["north"])
            yield _harmonised(chunk, plan.radius, number + 1, name, year)
            progress.advance(float(len(chunk["east"])))

    target = folder / "results" / "surveys" / f"{name}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    sink(frames(), POINTS_SCHEMA, target)
    write_parquet(pl.DataFrame(schema=DROPPED_SCHEMA), target.with_suffix(".dropped.parquet"))
    counts = np.zeros(len(CODES), np.int64)
    counts[KEPT] = total
    digest = sha256_of(folder / "raw" / f"{name}.csv")
    document = ledger(
        survey=name,
        survey_no=number + 1,
        file=f"{name}.csv",
        sha256=digest,
        counts=counts,
        track_method="flight",
        tracks=stop - first,
        order="file",
        header=Header(_header(year), (), (), 20),
        notes=["simulated directly in harmonised form; the CSV holds a header only"],
    )
    write_json(document, target.with_suffix(".ledger.json"))
    return [CoverageRow(name, tile, n, gap, digest) for tile, n, gap in tally.rows()]


def _harmonised(
    chunk: dict[str, NDArray[Any]], radius: float, survey_no: int, name: str, year: int
) -> pl.DataFrame:
    n = len(chunk["east"])
    covariates = np.empty((len(_COVARIATES), n), np.float32)
    fill_covariates(chunk["east"], chunk["north"], chunk["surface_alt"], radius, covariates)
    start = int(datetime(year, 12, 1, tzinfo=UTC).timestamp())
    columns = {
        **chunk,
        **dict(zip(_COVARIATES, covariates, strict=True)),
        "z": chunk["surface_alt"].astype(np.float32),
        "point_id": np.uint64(survey_no << 32) + chunk["row"].astype(np.uint64),
        "track_seq": chunk["row"],
        "bed_elev": chunk["surface_alt"] - chunk["ice_thickness"],
        "timestamp": start + 3_600 * chunk["track_id"] + (chunk["atd"] / _FLIGHT_SPEED).astype(int),
    }
    constants = {
        "survey": name,
        "survey_no": survey_no,
        "bed_reconstructed": False,
        "year_start": year,
        "year_end": year + 1,
        "track_method": "flight",
        "platform": "airborne radar",
        "institution": _INSTITUTION,
        "instrument": "simulated radar",
    }
    return pl.DataFrame(columns).select(
        pl.lit(constants[column], dtype).alias(column)
        if column in constants
        else pl.col(column).cast(dtype)
        for column, dtype in POINTS_SCHEMA.items()
    )


def _write_csv(target: Path, plan: TrackPlan, number: int, year: int, seed: int) -> None:
    """One survey as CSV; it has to fit in memory."""
    parts = [
        pl.DataFrame(
            {
                "trajectory_id": chunk["track_id"],
                "lon": chunk["lon"],
                "lat": chunk["lat"],
                "surface": chunk["surface_alt"],
                "thickness": chunk["ice_thickness"],
                "bed": chunk["surface_alt"].round(2) - chunk["ice_thickness"].round(2),
                "along": chunk["atd"],
            }
        )
        for chunk in _chunks(plan, number, seed)
    ]
    write_bedmap_csv(target, _header(year), pl.concat(parts))


def _header(year: int) -> dict[str, str]:
    return {
        "project": "Simulated flight lines at the scale of Bedmap",
        "time_coverage_start": str(year),
        "time_coverage_end": str(year + 1),
        "institution": _INSTITUTION,
        "platform": "airborne radar",
        "instrument": "simulated radar",
        "comment": "Made-up measurements; not for science",
    }


def _sheet_row(number: int, name: str, year: int, digest: str) -> str:
    cells = {
        "survey_no": str(number + 1),
        "survey": name,
        "sha256": digest,
        "institution": _INSTITUTION,
        "year_start": str(year),
        "year_end": str(year + 1),
        "order": "file",
        "status": "active",
    }
    return "\t".join(cells.get(column, "") for column in SURVEY_COLUMNS)


def _overlay(folder: Path, tile_size: float) -> str:
    return (
        f"# snakemake --configfile {folder}/region.yaml\n"
        f"region:\n  name: Simulated flight lines\n  tile_size: {tile_size:g}\n"
        f"paths:\n  surveys: {folder}/surveys.tsv\n  coverage: {folder}/coverage.tsv\n"
        f"  raw: {folder}/raw\n  results: {folder}/results\n"
        "simulate: null\n"
    )
