"""Write planned flight lines as a data set that the workflow takes from its raw files on.

In: a `TrackPlan` and a folder. Out, in the folder: ``raw/{survey}.csv``, ``grids.nc`` with the covariates,
``surveys.tsv``, ``coverage.tsv`` and ``region.yaml``, the configuration overlay to run it with. No more
than `CHUNK` points, or one line, are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.errors import BedsieveError
from bedsieve.files import sha256_of, write_text
from bedsieve.ingest.coverage import TileTally, as_table
from bedsieve.ingest.projection import project
from bedsieve.ingest.sheet import SURVEY_COLUMNS, CoverageRow, tiling
from bedsieve.kernels import in_threads
from bedsieve.progress import Progress
from bedsieve.simulate.bedmap_csv import write_bedmap_csv
from bedsieve.simulate.fields import Frame
from bedsieve.simulate.grids import write_grid
from bedsieve.simulate.scale import fill
from bedsieve.simulate.scale_kernels import fill_grids, terrain_waves, to_lon_lat
from bedsieve.simulate.scale_plan import TrackPlan, plan_tracks
from bedsieve.tile_names import MAX_REACH

CHUNK = 1_000_000
GRID_STEP = 5_000.0  # m: shows all that the generator's gridded products resolve
_CRS = "EPSG:3031"
_INSTITUTION = "Simulated"
_COVARIATES = {  # a configuration's name for each grid, and its units
    "vx": "meter/year",
    "vy": "meter/year",
    "ith_bm": "meters",
    "z": "meters",
    "smb": "kg m-2 yr-1",
    "temp": "K",
}


def write_scale(
    folder: Path,
    points: int,
    surveys: int | None = None,
    *,
    seed: int = 0,
    tile_size: float = 500_000.0,
) -> None:
    """Write a data set of any size, one survey and one chunk of lines at a time.

    Parameters
    ----------
    folder : Path
        Within the working folder.
    points : int
    surveys : int, optional
        In proportion to Bedmap's 151 by default.
    seed : int
    tile_size : float
        Side of the tiles that the coverage table counts (m).

    Raises
    ------
    ValueError
        If there are fewer points than surveys.
    BedsieveError
        If the folder cannot be written, or lies outside the working folder.
    """
    folder = _relative(folder)
    plan = plan_tracks(points, surveys, seed)
    progress = Progress("Simulating flight lines", points)
    coverage: list[CoverageRow] = []
    sheet = ["\t".join(SURVEY_COLUMNS)]
    for number, name in enumerate(survey_names(plan)):
        year = int(plan.year[plan.lines_of(number)[0]])
        tally = TileTally(tile_size, MAX_REACH)
        digest = write_survey(folder, name, plan, number, seed, tally, progress)
        coverage += [CoverageRow(name, tile, n, gap, digest) for tile, n, gap in tally.rows()]
        sheet.append(sheet_row(number + 1, name, year, digest))
    _write_covariates(folder / "grids.nc", plan.radius, seed)
    write_text("\n".join(sheet) + "\n", folder / "surveys.tsv")
    write_text(as_table(coverage, tiling(tile_size, _CRS)), folder / "coverage.tsv")
    write_text(_overlay(folder, tile_size), folder / "region.yaml")


def survey_names(plan: TrackPlan) -> list[str]:
    """Names of the surveys, in the order of their numbers: ``SIM_1994_S017_AIR``."""
    firsts = np.searchsorted(plan.survey, np.arange(int(plan.survey[-1]) + 1))
    return [f"SIM_{plan.year[first]}_S{at + 1:03d}_AIR" for at, first in enumerate(firsts)]


def write_survey(
    folder: Path,
    name: str,
    plan: TrackPlan,
    number: int,
    seed: int,
    tally: TileTally | None,
    progress: Progress,
) -> str:
    """Write survey `number` of a plan as ``raw/{name}.csv``, counted where there is a tally; its SHA-256."""
    raw = folder / "raw" / f"{name}.csv"
    year = int(plan.year[plan.lines_of(number)[0]])
    write_bedmap_csv(raw, _header(year), _rows(plan, number, seed, tally, progress))
    return sha256_of(raw)


def _chunks(plan: TrackPlan, number: int, seed: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Points of a survey, some `CHUNK` at a time in whole lines, with track and position."""
    first, stop = plan.lines_of(number)
    while first < stop:
        ends = np.cumsum(plan.points[first:stop])
        last = first + max(1, int(np.searchsorted(ends, CHUNK, side="right")))
        points = fill(plan, first, last, seed)
        n = len(points["east"])
        counts = plan.points[first:last]
        points["track_id"] = np.repeat(plan.track_id[first:last], counts).astype(np.int32)
        points["lon"], points["lat"] = np.empty((2, n))
        columns = ("east", "north", "lon", "lat")
        in_threads(to_lon_lat, tuple(points[c] for c in columns), len(points["east"]))
        yield points
        first = last


def _rows(
    plan: TrackPlan, number: int, seed: int, tally: TileTally | None, progress: Progress
) -> Iterator[pl.DataFrame]:
    """A survey's rows for its CSV; their tiles are counted on the way, where asked."""
    for chunk in _chunks(plan, number, seed):
        # As whoever reads the file will see them.
        lon, lat = chunk["lon"].round(6), chunk["lat"].round(6)
        if tally is not None:
            tally.add(*project(lon, lat, _CRS))
        surface, thickness = chunk["surface_alt"].round(2), chunk["ice_thickness"].round(2)
        yield pl.DataFrame(
            {
                "trajectory_id": chunk["track_id"],
                "lon": lon,
                "lat": lat,
                "surface": surface,
                "thickness": thickness,
                "bed": surface - thickness,
                "along": chunk["atd"],
            }
        )
        progress.advance(float(len(lon)))


def _write_covariates(target: Path, radius: float, seed: int) -> None:
    nodes = 2 * int(np.ceil(1.05 * radius / GRID_STEP)) + 1
    corner = -GRID_STEP * (nodes // 2)
    values = np.empty((len(_COVARIATES), nodes, nodes), np.float32)
    in_threads(fill_grids, (corner, GRID_STEP, radius, terrain_waves(seed), values), nodes)
    grids = {
        name: (grid, units) for (name, units), grid in zip(_COVARIATES.items(), values, strict=True)
    }
    write_grid(target, Frame(corner, corner, GRID_STEP, nodes), grids)


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


def sheet_row(survey_no: int, name: str, year: int, digest: str) -> str:
    """A simulated survey's line of the sample sheet."""
    cells = {
        "survey_no": str(survey_no),
        "survey": name,
        "sha256": digest,
        "institution": _INSTITUTION,
        "year_start": str(year),
        "year_end": str(year + 1),
        "order": "file",
        "status": "active",
    }
    return "\t".join(cells.get(column, "") for column in SURVEY_COLUMNS)


def _relative(folder: Path) -> Path:
    """The folder as seen from here: Snakemake runs here, and its lock covers relative paths only."""
    try:
        return folder.resolve().relative_to(Path.cwd())
    except ValueError:
        raise BedsieveError(
            f"{folder} lies outside {Path.cwd()}, where snakemake will run: name a folder within it "
            "(resources/scale, say), or start from the folder that holds the Snakefile."
        ) from None


def _overlay(folder: Path, tile_size: float) -> str:
    return (
        f"# snakemake --configfile {folder}/region.yaml\n"
        f"region:\n  name: Simulated flight lines\n  tile_size: {tile_size:g}\n"
        f"paths:\n  surveys: {folder}/surveys.tsv\n  coverage: {folder}/coverage.tsv\n"
        f"  raw: {folder}/raw\n  results: {folder}/results\n"
        "covariates:\n"
        + "".join(
            f'  {name}: {{path: {folder}/grids.nc, variable: {name}, crs: "{_CRS}"}}\n'
            for name in _COVARIATES
        )
        + "simulate: null\n"
    )
