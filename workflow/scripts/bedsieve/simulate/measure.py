"""Fly a planned survey over a terrain: what its radar would have recorded, before any error.

In: a `fleet.Survey` and a `Terrain`. Out: a `Flown`, points in the order recorded, with the noise of the
instrument, the honest biases of survey and line, and stretches where no bed was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from bedsieve.simulate.fleet import Radar, Survey
from bedsieve.simulate.lines import sample
from bedsieve.simulate.terrain import Terrain

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

_TURN_SECONDS = 420.0
_FLIGHT_SECONDS = 6 * 3600.0


@dataclass
class Flown:
    """Points of one survey in the order recorded.

    Attributes
    ----------
    east, north : float64 (n,)
        Positions (m).
    along : float64 (n,)
        Distance from the start of the line (m).
    seconds : float64 (n,)
        Time since the survey's first point (s).
    line : int64 (n,)
        0-based line within the survey.
    truth : float64 (n,)
        True thickness (m).
    thickness, surface, bed : float64 (n,)
        As recorded (m); NaN where missing.
    """

    east: Floats
    north: Floats
    along: Floats
    seconds: Floats
    line: Ints
    truth: Floats
    thickness: Floats
    surface: Floats
    bed: Floats


def fly(survey: Survey, terrain: Terrain, rng: np.random.Generator) -> Flown:
    """Record a survey.

    Parameters
    ----------
    survey : Survey
    terrain : Terrain
    rng : numpy Generator

    Returns
    -------
    Flown
    """
    gaps = 0.012 if survey.radar.white < 5 else 0.03
    parts = [
        sample(line.curve, line.spacing, rng, lateral=line.lateral, gaps_per_km=gaps)
        for line in survey.lines
    ]
    counts = [len(part[0]) for part in parts]
    east, north, along = (np.concatenate(column) for column in zip(*parts, strict=True))
    number = np.repeat(np.arange(len(parts)), counts)
    truth = terrain.thickness_at(east, north)
    noise = [
        _noise(truth[number == at], line.spacing, survey.radar, rng)
        for at, line in enumerate(survey.lines)
    ]
    # Radar does not see ice thinner than its pulse; nothing honest is below that.
    thickness = np.maximum(truth + survey.bias + np.concatenate(noise), 10.0)
    thickness[_lost(counts, survey.habits.lost_bed, rng)] = np.nan
    missing = np.full(len(east), np.nan)
    surface = terrain.surface.at(east, north) + rng.normal(0, 0.4, len(east))
    surface = surface if survey.habits.surface else missing
    bed = surface - thickness if survey.habits.bed else missing.copy()
    return Flown(
        east,
        north,
        along,
        _clock(survey, parts),
        number,
        truth,
        thickness,
        surface,
        bed,
    )


def _noise(truth: Floats, spacing: float, radar: Radar, rng: np.random.Generator) -> Floats:
    """Noise of one line (m): its own bias, a correlated part that grows with depth, a white part."""
    memory = np.exp(-spacing / radar.correlation)
    steps = rng.standard_normal(len(truth)) * np.sqrt(1 - memory**2)
    steps[:1] = rng.standard_normal(1)
    correlated = lfilter([1.0], [1.0, -memory], steps)
    white = rng.normal(0, radar.white, len(truth))
    bias = rng.normal(0, radar.line_bias)
    return np.asarray(bias + radar.relative * truth * correlated + white)


def _lost(counts: list[int], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Stretches of 5 to 60 points without a bed echo, `share` of all points."""
    n = sum(counts)
    lost = np.zeros(n, np.bool_)
    for start in rng.integers(0, n, max(1, round(share * n / 30))):
        lost[start : start + int(rng.integers(5, 60))] = True
    return lost


def _clock(survey: Survey, parts: list[tuple[Floats, Floats, Floats]]) -> Floats:
    """Seconds since the first point: turns between lines, hours between flights."""
    seconds, now, flight = [], 0.0, survey.lines[0].flight
    for line, (_, _, along) in zip(survey.lines, parts, strict=True):
        if line.flight != flight:
            now, flight = now + _FLIGHT_SECONDS, line.flight
        seconds.append(now + along / survey.speed)
        now += float(along[-1]) / survey.speed + _TURN_SECONDS
    return np.concatenate(seconds)
