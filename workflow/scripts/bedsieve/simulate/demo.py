"""The embedded demo: eight survey files, four grids, and the truth about every row.

In: a seed, a size and an error mix. Out: Bedmap CSV files and NetCDF grids like those a user has, and
beside them a table with the honest thickness of each row and, for bad rows, the kind of error.
The same arguments give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.errors import ConfigError
from bedsieve.files import write_parquet
from bedsieve.ingest.projection import unproject
from bedsieve.simulate.bedmap_csv import write_bedmap_csv
from bedsieve.simulate.error_mix import KINDS, ErrorMix
from bedsieve.simulate.fields import Frame
from bedsieve.simulate.fleet import REGION, SIZES, Survey, plan_fleet
from bedsieve.simulate.grids import write_grids
from bedsieve.simulate.injection import Injected, inject
from bedsieve.simulate.measure import Flown, fly
from bedsieve.simulate.terrain import Terrain, make_terrain

Floats: TypeAlias = NDArray[np.float64]

CRS = "EPSG:3031"
_MARGIN = 12_000.0
_STEP = 200.0
_WAVE_SPEED = 1.684e8


@dataclass(frozen=True)
class Region:
    """A simulated region before it is written: terrain, surveys, what they recorded, and the errors.

    `injected` holds all surveys' points one after the other, in the order of `flown`.
    """

    terrain: Terrain
    surveys: list[Survey]
    flown: list[Flown]
    injected: Injected


def simulate_region(seed: int, size: str = "demo", mix: ErrorMix | None = None) -> Region:
    """Make terrain, surveys and errors in memory.

    Parameters
    ----------
    seed : int
        Terrain, flight lines, noise and errors all follow from it.
    size : {"demo", "tiny"}
        ``tiny`` (some 6,000 points) is for tests.
    mix : ErrorMix, optional

    Returns
    -------
    Region

    Raises
    ------
    ConfigError
        If there is no such size.
    """
    if size not in SIZES:
        raise ConfigError(f"simulate.size: {size!r} is not one of {', '.join(SIZES)}.")
    # Streams of their own, so that another mix of errors leaves terrain and lines as they are.
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)]
    side = REGION.east - REGION.west + 2 * _MARGIN
    step = _STEP if size == "demo" else 2.5 * _STEP
    frame = Frame(REGION.west - _MARGIN, REGION.south - _MARGIN, step, round(side / step) + 1)
    terrain = make_terrain(frame, streams[0])
    surveys = plan_fleet(SIZES[size], streams[1])
    flown = [fly(survey, terrain, streams[2]) for survey in surveys]
    return Region(terrain, surveys, flown, flawed(terrain, surveys, flown, streams[3], mix))


def flawed(
    terrain: Terrain,
    surveys: list[Survey],
    flown: list[Flown],
    rng: np.random.Generator,
    mix: ErrorMix | None,
) -> Injected:
    """All surveys' points one after the other, with errors."""
    lines = [len(survey.lines) for survey in surveys]
    first_line = np.concatenate([[0], np.cumsum(lines)])
    return inject(
        _joined(flown, "thickness"),
        _joined(flown, "east"),
        _joined(flown, "north"),
        np.concatenate([part.line + first_line[at] for at, part in enumerate(flown)]),
        rng=rng,
        mix=mix,
        surface=_joined(flown, "surface"),
        bed=_joined(flown, "bed"),
        thickness_at=terrain.thickness_at,
    )


def simulate_demo(
    out_raw: Path,
    out_grids: Path,
    out_truth: Path,
    *,
    seed: int,
    size: str = "demo",
    errors: ErrorMix | None = None,
) -> dict[str, int]:
    """Write the demo: ``{survey}.csv`` files, the grids of `grids.GRIDS`, and the truth.

    Parameters
    ----------
    out_raw, out_grids : Path
        Folders for the surveys and the grids; made if they do not exist.
    out_truth : Path
        Parquet file: survey, row (0-based data row, uint32), kind and event_id (null for an honest row),
        delta_m (recorded minus honest thickness, null for an honest row), true_ice_thickness (m, of the
        terrain at the recorded position).
    seed : int
    size : {"demo", "tiny"}
    errors : ErrorMix, optional

    Returns
    -------
    dict of str to int
        Rows of each survey.

    Raises
    ------
    ConfigError
        If there is no such size.
    """
    region = simulate_region(seed, size, errors)
    rng = np.random.default_rng([seed, 5])
    write_grids(Path(out_grids), region.terrain, rng)
    truth, rows = write_surveys(region, Path(out_raw), seed, rng)
    write_parquet(truth, out_truth)
    return rows


def write_surveys(
    region: Region, folder: Path, seed: int, rng: np.random.Generator
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Write a CSV for each survey of a region.

    Parameters
    ----------
    region : Region
    folder : Path
    seed : int
        Told in the files.
    rng : numpy Generator
        Source of exact copies of rows.

    Returns
    -------
    truth : DataFrame
        See `simulate_demo`.
    rows : dict of str to int
        Rows of each survey.
    """
    truths, rows, first = [], {}, 0
    for survey, flown in zip(region.surveys, region.flown, strict=True):
        table = _table(survey, flown, region, slice(first, first + len(flown.east)), rng)
        first += len(flown.east)
        write_bedmap_csv(
            folder / f"{survey.name}.csv", _header(survey, seed), table, survey.habits.missing
        )
        truths.append(_truth(survey.name, table))
        rows[survey.name] = table.height
    return pl.concat(truths), rows


def _joined(flown: list[Flown], name: str) -> Floats:
    return np.concatenate([getattr(part, name) for part in flown])


def _table(
    survey: Survey, flown: Flown, region: Region, rows: slice, rng: np.random.Generator
) -> pl.DataFrame:
    """Rows of a survey's file, with the truth in columns that the file does not take."""
    injected, habits = region.injected, survey.habits
    east, north = injected.east[rows], injected.north[rows]
    lon, lat = unproject(east, north, CRS, threads=1)
    if habits.longitude_360:
        lon = np.where(lon < 0, lon + 360.0, lon)
    thickness = injected.ice_thickness[rows]
    columns: dict[str, Any] = {
        "lon": lon,
        "lat": lat,
        "thickness": np.round(thickness) if habits.whole_metres else thickness,
        "surface": injected.surface[rows],
        "bed": injected.bed[rows],
        **_identity(survey, flown),
    }
    if habits.travel_time:
        columns["travel_time"] = 2 * thickness / _WAVE_SPEED
    if habits.aircraft:
        columns["aircraft"] = injected.surface[rows] + 480.0 + 30.0 * np.sin(flown.along / 4e3)
    if habits.along:
        columns["along"] = flown.along
    kind = injected.kind[rows]
    names = np.array([*KINDS, None], dtype=object)
    table = pl.DataFrame(columns, nan_to_null=True).with_columns(
        pl.Series("kind", names[kind].tolist(), pl.String),
        pl.Series("event_id", injected.event[rows], pl.Int32).replace(-1, None),
        pl.Series("delta_m", injected.delta_m[rows]),
        pl.Series("true_ice_thickness", region.terrain.thickness_at(east, north)),
    )
    if habits.whole_metres:
        table = table.with_columns(pl.col("thickness").cast(pl.Int32))
    return _with_duplicates(table, rng) if habits.duplicates else table


def _identity(survey: Survey, flown: Flown) -> dict[str, Any]:
    """Trajectory, trace number, date and time, as far as the survey has them."""
    habits, line = survey.habits, flown.line
    columns: dict[str, Any] = {}
    flights = np.array([one.flight for one in survey.lines])
    if habits.trajectory == "line":
        label = np.array([f"F{flight:02d}_L{at:03d}" for at, flight in enumerate(flights)])
        columns["trajectory_id"] = label[line]
    elif habits.trajectory == "number":
        columns["trajectory_id"] = survey.year * 1000 + line
    within = np.arange(len(line)) - np.searchsorted(line, line)
    if habits.trace == "restart":
        columns["trace_number"] = within + 1
    elif habits.trace == "jump":
        columns["trace_number"] = np.arange(len(line)) + 1_000 * line
    if habits.time:
        start = datetime(survey.year, 12, 3, 4, 0, 0)
        moments = [start + timedelta(seconds=round(s)) for s in flown.seconds.tolist()]
        columns["date"] = [moment.strftime("%Y-%m-%d") for moment in moments]
        columns["time"] = [moment.strftime("%H:%M:%S") for moment in moments]
        if habits.odd_dates:
            # Some dates of Bedmap are none.
            columns["date"][40:46] = ["2012-13-45"] * 6
    return columns


def _with_duplicates(table: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Repeat rows at their exact position: most agree, some do not; and set some thicknesses to 0."""
    honest = table["kind"].is_null() & table["thickness"].is_not_null()
    places = rng.choice(np.flatnonzero(honest.to_numpy()), 150, replace=False)
    agreeing, conflicting, zero = places[:60], places[60:75], places[75:]
    factor = np.ones(table.height)
    factor[agreeing] = rng.uniform(0.98, 1.02, len(agreeing))
    factor[conflicting] = 1.5
    copies = np.ones(table.height, np.int64)
    copies[places[:75]] = 2
    source = np.repeat(np.arange(table.height), copies)
    again = np.diff(source, prepend=-1) == 0
    repeated = table.with_columns(
        thickness=pl.when(pl.Series(np.isin(np.arange(table.height), zero)))
        .then(0.0)
        .otherwise(pl.col("thickness"))
    )[source]
    return repeated.with_columns(
        thickness=pl.col("thickness") * pl.Series(np.where(again, factor[source], 1.0))
    )


def _header(survey: Survey, seed: int) -> dict[str, str]:
    return {
        "project": f"Simulated survey {survey.name} of bedsieve's demo",
        "time_coverage_start": str(survey.year),
        "time_coverage_end": str(survey.year + 1),
        "creator_name": "bedsieve",
        "institution": survey.institution,
        "source": f"simulated, seed {seed}",
        "platform": survey.platform,
        "instrument": f"simulated radar, {survey.radar.white:g} m white noise",
        "comment": "Made-up measurements with known errors; not for science",
    }


def _truth(name: str, table: pl.DataFrame) -> pl.DataFrame:
    bad = pl.col("kind").is_not_null()
    return table.select(
        survey=pl.lit(name),
        row=pl.int_range(pl.len(), dtype=pl.UInt32),
        kind="kind",
        event_id="event_id",
        delta_m=pl.when(bad).then(pl.col("delta_m").round(2)),
        true_ice_thickness=pl.col("true_ice_thickness").round(2),
    )
