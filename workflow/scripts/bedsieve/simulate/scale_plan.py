"""Plan a data set of any size as flight lines: which survey flies which line where, and how densely.

In: a number of points, of surveys and a seed. Out: a `TrackPlan`, a few numbers a line (its curve, its
spacing, its share of points), from which `scale_kernels` writes points line by line. The plan of the
whole of Bedmap is some 25,000 lines, so that the points themselves never need to be in memory at once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

BEDMAP_POINTS = 74_747_031
BEDMAP_SURVEYS = 151
LARGEST_SHARE = 0.055
REFLOWN_SHARE = 0.25
TIMES_FLOWN = 2.0
CORRIDOR_LENGTH = 120_000.0
RADIUS = 2_950_000.0

# Where radar has been flown: east and north (km, EPSG:3031), share of all points, spread of the survey
# boxes (km). The first lies within one 500 km tile, which so holds about 10 M of 74.7 M points.
REGIONS = np.array(
    [
        (-1250.0, -270.0, 0.135, 55.0),  # Thwaites and Pine Island
        (-450.0, -650.0, 0.090, 150.0),  # Siple Coast
        (-2150.0, 1050.0, 0.080, 160.0),  # Antarctic Peninsula
        (-900.0, 350.0, 0.070, 150.0),  # Institute and Moeller
        (-450.0, 800.0, 0.065, 160.0),  # Recovery
        (750.0, 350.0, 0.085, 170.0),  # Dome A
        (1350.0, -950.0, 0.070, 160.0),  # Dome C
        (2250.0, -900.0, 0.065, 140.0),  # Totten
        (350.0, -1250.0, 0.060, 150.0),  # David and Byrd glaciers
        (0.0, 50.0, 0.050, 150.0),  # South Pole
        (650.0, 1750.0, 0.065, 200.0),  # Dronning Maud Land
        (1750.0, 650.0, 0.060, 180.0),  # Lambert
        (-1450.0, -950.0, 0.040, 150.0),  # Marie Byrd Land
        (1900.0, -300.0, 0.050, 220.0),  # Wilkes Land
    ]
)


@dataclass(frozen=True)
class TrackPlan:
    """Flight lines, survey by survey, in the order of the points; every array has a row per line.

    Attributes
    ----------
    survey : int64 (t,)
        0-based survey.
    track_id : int64 (t,)
        0-based within the survey.
    points : int64 (t,)
        Points on the line.
    x0, y0, heading, curvature : float64 (t,)
        The curve: a point (m), the direction there (rad) and the signed curvature (1/m).
    start : float64 (t,)
        Arc length (m) of the first point on the curve.
    direction : float64 (t,)
        +1 or -1, the sense in which the curve is flown.
    lateral : float64 (t,)
        Offset from the curve (m): what tells apart two flights along one line.
    spacing : float64 (t,)
        Mean distance between points (m).
    bias : float64 (t,)
        Honest offset of the line's thickness (m).
    year : int64 (t,)
        Season of the survey.
    radius : float
        Radius of the continent (m).
    """

    survey: Ints
    track_id: Ints
    points: Ints
    x0: Floats
    y0: Floats
    heading: Floats
    curvature: Floats
    start: Floats
    direction: Floats
    lateral: Floats
    spacing: Floats
    bias: Floats
    year: Ints
    radius: float

    def lines(self, first: int, stop: int) -> TrackPlan:
        """The lines `first` to `stop` (exclusive) as a plan of their own."""
        columns = {name: getattr(self, name)[first:stop] for name in _COLUMNS}
        return TrackPlan(**columns, radius=self.radius)

    def lines_of(self, survey: int) -> tuple[int, int]:
        """First line and one past the last of a survey."""
        first, stop = np.searchsorted(self.survey, [survey, survey + 1])
        return int(first), int(stop)


_COLUMNS = tuple(f.name for f in fields(TrackPlan) if f.name != "radius")


@dataclass(frozen=True)
class _Survey:
    number: int
    points: int
    region: int
    legacy: bool
    spacing: float
    year: int
    bias: float


def plan_tracks(points: int, surveys: int | None = None, seed: int = 0) -> TrackPlan:
    """Plan exactly `points` points on flight lines of `surveys` surveys over Antarctica.

    Below the size of Bedmap the continent shrinks with the square root of the size, so that lines lie
    as close to each other, cross and repeat as often, whatever the size.

    Parameters
    ----------
    points : int
        Number of points, at least one a survey.
    surveys : int, optional
        Number of surveys; by default Bedmap's 151 in proportion, at least 4.
    seed : int
        Anything that is drawn follows from it.

    Returns
    -------
    TrackPlan

    Raises
    ------
    ValueError
        If there are fewer points than surveys, or no survey.
    """
    if surveys is None:
        surveys = max(4, round(BEDMAP_SURVEYS * min(1.0, points / BEDMAP_POINTS)))
        surveys = min(surveys, points)
    if surveys < 1 or points < surveys:
        raise ValueError(
            f"cannot lay {points} points into {surveys} surveys: one point each at least"
        )
    rng = np.random.default_rng([seed, 1])
    span = min(1.0, np.sqrt(points / BEDMAP_POINTS))
    fleet = _surveys(points, surveys, rng)
    corridors = _corridors(fleet, span, rng)
    parts = [_survey_lines(survey, corridors[survey.region], span, rng) for survey in fleet]
    columns: dict[str, Any] = {
        name: np.concatenate([part[at] for part in parts]) for at, name in enumerate(_COLUMNS)
    }
    return TrackPlan(**columns, radius=RADIUS * max(span, 0.05))


def _surveys(points: int, surveys: int, rng: np.random.Generator) -> list[_Survey]:
    legacy = rng.random(surveys) < 0.18
    legacy[0] = False
    weight = np.exp(rng.normal(0.0, 1.2, surveys)) * np.where(legacy, 0.03, 1.0)
    cap = max(LARGEST_SHARE, 1.5 / surveys)
    for _ in range(20):
        weight = np.minimum(weight / weight.sum(), cap)
    weight /= weight.sum()
    counts = 1 + np.floor(weight * (points - surveys)).astype(np.int64)
    counts[np.argmax(counts)] += points - counts.sum()
    # The largest surveys are placed first, each where most points are still missing, so that the
    # shares of the regions come out whatever the draw.
    missing = REGIONS[:, 2] / REGIONS[:, 2].sum() * points
    region = np.zeros(surveys, np.int64)
    for number in np.argsort(-counts, kind="stable"):
        region[number] = int(np.argmax(missing))
        missing[region[number]] -= counts[number]
    return [
        _Survey(
            number=number,
            points=int(counts[number]),
            region=int(region[number]),
            legacy=bool(legacy[number]),
            spacing=float(rng.uniform(100, 1000) if legacy[number] else rng.uniform(20, 60)),
            year=int(rng.integers(1960, 1990) if legacy[number] else rng.integers(1991, 2020)),
            bias=float(rng.normal(0, 15 if legacy[number] else 5)),
        )
        for number in range(surveys)
    ]


def _corridors(fleet: list[_Survey], span: float, rng: np.random.Generator) -> list[Floats]:
    """Lines of each region that are flown again and again: (m, 4) of x0, y0, heading, curvature."""
    flown = np.zeros(len(REGIONS))
    for survey in fleet:
        flown[survey.region] += REFLOWN_SHARE * survey.points * survey.spacing
    found = []
    for region, length in enumerate(flown):
        m = max(1, int(length / TIMES_FLOWN / CORRIDOR_LENGTH))
        centre = 1000.0 * span * REGIONS[region, :2]
        spread = 1500.0 * max(span, 0.15) * REGIONS[region, 3]
        found.append(
            np.column_stack(
                [
                    rng.normal(centre[0], spread, m),
                    rng.normal(centre[1], spread, m),
                    rng.uniform(0, 2 * np.pi, m),
                    rng.normal(0, 2e-6, m),
                ]
            )
        )
    return found


def _survey_lines(
    survey: _Survey, corridors: Floats, span: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64] | NDArray[np.float64], ...]:
    reflown = 0 if survey.legacy else int(REFLOWN_SHARE * survey.points)
    again = _repeat_lines(survey, reflown, corridors, rng)
    grid = _grid_lines(survey, survey.points - reflown, span, rng)
    curve = np.concatenate([grid, again])
    t = len(curve)
    return (
        np.full(t, survey.number, np.int64),
        np.arange(t, dtype=np.int64),
        curve[:, 0].astype(np.int64),
        *(np.ascontiguousarray(curve[:, column]) for column in range(1, 7)),
        rng.normal(0, 8.0, t),
        np.full(t, survey.spacing),
        survey.bias + rng.normal(0, 4.0, t),
        np.full(t, survey.year, np.int64),
    )


def _grid_lines(survey: _Survey, points: int, span: float, rng: np.random.Generator) -> Floats:
    """Two crossing families of parallel lines over a box: points, x0, y0, heading, curvature, …"""
    length = points * survey.spacing
    apart = np.exp(rng.normal(np.log(2500.0), 0.5))
    side = float(np.clip(np.sqrt(length * apart / 2), 3_000.0, 420_000.0))
    per_line = max(2, int(side / survey.spacing))
    counts = _parts(points, per_line, rng)
    t = len(counts)
    centre = 1000.0 * span * REGIONS[survey.region, :2]
    centre = centre + rng.normal(0, 1000.0 * max(span, 0.05) * REGIONS[survey.region, 3], 2)
    turned = np.arange(t) >= (t + 1) // 2
    family = np.where(turned, t - (t + 1) // 2, (t + 1) // 2)
    place = (np.where(turned, np.arange(t) - (t + 1) // 2, np.arange(t)) + 0.5) / family - 0.5
    place = place * side + rng.normal(0, 30.0, t)
    base = rng.uniform(0, np.pi) + np.where(turned, np.pi / 2, 0.0)
    heading = base + rng.normal(0, 0.01, t)
    curvature = np.where(rng.random(t) < 0.15, rng.normal(0, 4e-6, t), rng.normal(0, 1e-7, t))
    x0 = centre[0] - place * np.sin(base)
    y0 = centre[1] + place * np.cos(base)
    direction = np.where(np.arange(t) % 2 == 0, 1.0, -1.0)
    start = -direction * (side / 2 + rng.normal(0, 500.0, t))
    return np.column_stack([counts, x0, y0, heading, curvature, start, direction])


def _repeat_lines(
    survey: _Survey, points: int, corridors: Floats, rng: np.random.Generator
) -> Floats:
    counts = _parts(points, max(2, int(CORRIDOR_LENGTH / survey.spacing)), rng)
    t = len(counts)
    which = rng.integers(0, len(corridors), t)
    direction = np.where(rng.random(t) < 0.5, 1.0, -1.0)
    start = -direction * CORRIDOR_LENGTH / 2 + rng.normal(0, 5_000.0, t)
    return np.column_stack([counts, corridors[which], start, direction])


def _parts(points: int, about: int, rng: np.random.Generator) -> Ints:
    """Lines of `about` points each, more or less, that add up to `points`."""
    if points == 0:
        return np.zeros(0, np.int64)
    drawn = np.maximum(1, (about * rng.uniform(0.7, 1.1, 2 * points // about + 2)).astype(np.int64))
    ends = np.cumsum(drawn)
    ends = np.append(ends[ends < points], points)
    return np.diff(ends, prepend=0)
