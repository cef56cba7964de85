"""One more survey for a simulated data set, to see what an added survey makes run again.

In: a folder that `scale_files.write_scale` has filled, a number of points and a place. Out: the survey's CSV
in ``raw/`` and its row in ``surveys.tsv``. It isn't registered: that is the user's step, as with a real one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bedsieve.errors import InputError
from bedsieve.files import write_text
from bedsieve.ingest.sheet import read_sheet
from bedsieve.progress import Progress
from bedsieve.simulate.scale_files import sheet_row, write_survey
from bedsieve.simulate.scale_plan import RADIUS, TrackPlan

LINE_POINTS = 5_000
SPACING = 25.0  # m along a line
BETWEEN_LINES = 4_000.0  # m
ASIDE = 137.0  # m between one added survey and the next: the same lines again would be a copy
YEAR = 2024


def add_survey(
    folder: Path, points: int, east: float = 0.0, north: float = 500_000.0, *, seed: int = 0
) -> str:
    """Write a survey of parallel lines, centred on a place, and enter it in the sample sheet.

    Parameters
    ----------
    folder : Path
        Holds ``surveys.tsv`` and ``raw/``.
    points : int
        Number of points, on lines of `LINE_POINTS`, every other one flown back.
    east, north : float
        Centre of the survey (m, EPSG:3031), by default a corner of four tiles of 500 km. Each survey
        added before moves it `ASIDE` to the north.
    seed : int
        That of the data set: the terrain follows from it.

    Returns
    -------
    str
        The survey's name.

    Raises
    ------
    InputError
        If there are no points, or the folder holds no sample sheet that can be used.
    """
    sheet = folder / "surveys.tsv"
    if points < 1:
        raise InputError(
            sheet, f"a survey of {points} points can't be added", "Ask for at least one"
        )
    if not sheet.exists():
        raise InputError(
            sheet, "there is no simulated data set here", "Make one first, without --add"
        )
    surveys = read_sheet(sheet)
    number = max(survey.survey_no for survey in surveys) + 1
    name = f"SIM_{YEAR}_S{number:03d}_AIR"
    north += ASIDE * sum(survey.survey.startswith(f"SIM_{YEAR}_") for survey in surveys)
    progress = Progress(f"Simulating {name}", points)
    digest = write_survey(folder, name, _lines(points, east, north), 0, seed, None, progress)
    known = sheet.read_text(encoding="utf-8").rstrip("\n")
    write_text(f"{known}\n{sheet_row(number, name, YEAR, digest)}\n", sheet)
    return name


def _lines(points: int, east: float, north: float) -> TrackPlan:
    """Parallel lines to the east, from south to north, around a place."""
    n = -(-points // LINE_POINTS)
    at = np.arange(n, dtype=np.float64)
    sense = np.where(at % 2 == 0, 1.0, -1.0)
    counts = np.full(n, LINE_POINTS, np.int64)
    counts[-1] = points - LINE_POINTS * (n - 1)
    return TrackPlan(
        survey=np.zeros(n, np.int64),
        track_id=at.astype(np.int64),
        points=counts,
        x0=np.full(n, east),
        y0=north + BETWEEN_LINES * (at - 0.5 * (n - 1)),
        heading=np.zeros(n),
        curvature=np.zeros(n),
        start=-0.5 * LINE_POINTS * SPACING * sense,
        direction=sense,
        lateral=np.zeros(n),
        spacing=np.full(n, SPACING),
        bias=np.zeros(n),
        year=np.full(n, YEAR, np.int64),
        radius=RADIUS,
    )
