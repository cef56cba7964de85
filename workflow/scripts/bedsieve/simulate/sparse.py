"""Sparse flight lines as most of Antarctica has them: kilometres to tens of kilometres apart.

In: a box on the map and a random generator. Out: the surveys to fly, each with its lines. Unlike the demo's dense
blocks, most points have no other line within kilometres; lines meet at crossings, round a station that flights
radiate from, and where a line was flown again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bedsieve.simulate.fleet import Habits, Line, Radar, Survey
from bedsieve.simulate.lines import Box, inside, straight, winding

Floats: TypeAlias = NDArray[np.float64]

_OLD, _MODERN, _FINE = Radar(9.0, 0.010, 600.0, 6.0), Radar(4.0, 0.006), Radar(3.0, 0.005)
_GROUND = Radar(2.0, 0.002, 200.0, 2.0)
_AIR = "airborne radar"
_SHORTEST = 60  # vertices of a line, one each 60 m

_FLEET = (
    Survey("RECON_1976", 1976, "Northern Ice Survey (simulated)", _AIR, 90.0, 10.0, _OLD,
          Habits(trace="restart", whole_metres=True, bed=False, lost_bed=0.05)),
    Survey("GRID_2005", 2005, "Southern Ice Survey (simulated)", _AIR, 70.0, 4.0, _MODERN,
          Habits(trajectory="line", trace="restart", time=True, lost_bed=0.02)),
    Survey("STATION_2011", 2011, "Eastern Polar Institute (simulated)", _AIR, 75.0, 4.0, _MODERN,
          Habits(trajectory="line", time=True, aircraft=True, lost_bed=0.02)),
    Survey("STREAM_2014", 2014, "Western Polar Institute (simulated)", _AIR, 75.0, 3.0, _FINE,
          Habits(trace="restart", travel_time=True)),
    Survey("TRAVERSE_2018", 2018, "Northern Ice Survey (simulated)", "ground-based radar", 3.0, 2.0,
          _GROUND, Habits(trace="restart", time=True, bed=False)),
)  # fmt: skip

_BLOCK = (
    Survey("BLOCK_2008", 2008, "Southern Ice Survey (simulated)", _AIR, 70.0, 3.0, _FINE,
          Habits(trajectory="line", trace="restart", time=True, lost_bed=0.02)),
    Survey("CROSS_2010", 2010, "Eastern Polar Institute (simulated)", _AIR, 75.0, 3.0, _FINE,
          Habits(trajectory="line", time=True, lost_bed=0.02)),
    Survey("REPEAT_2016", 2016, "Western Polar Institute (simulated)", _AIR, 70.0, 2.0, _FINE,
          Habits(trace="restart", time=True)),
)  # fmt: skip
_BLOCK_SIDE, _BLOCK_APART = 16_000.0, 500.0  # m

SPARSE_SURVEYS = tuple(survey.name for survey in _FLEET)
BLOCK_SURVEYS = tuple(survey.name for survey in _BLOCK)


def plan_sparse(box: Box, rng: np.random.Generator) -> list[Survey]:
    """Plan the surveys of one region.

    Parameters
    ----------
    box : Box
        No line leaves it (m).
    rng : numpy Generator

    Returns
    -------
    list of Survey
        In the order of `SPARSE_SURVEYS`.
    """
    draws = (_recon, _grid, _station, _stream, _traverse)
    return [_flown(survey, draw(box, rng), rng) for survey, draw in zip(_FLEET, draws, strict=True)]


def plan_block(box: Box, rng: np.random.Generator) -> list[Survey]:
    """Plan three surveys of one densely flown block, as pseudo-labels need it.

    Parameters
    ----------
    box : Box
        The block lies round its middle (m).
    rng : numpy Generator

    Returns
    -------
    list of Survey
        In the order of `BLOCK_SURVEYS`: lines one way, lines across them, and most of both a second time.
    """
    x, y, _ = _middle(box)
    half = _BLOCK_SIDE / 2
    block = Box(x - half, y - half, x + half, y + half)
    heading = rng.uniform(0, np.pi)
    grids = [
        _across(block, heading + turn, _BLOCK_APART, 40.0, 1, rng) for turn in (0.0, np.pi / 2)
    ]
    again = [
        replace(line, lateral=rng.normal(0, 5.0), flight=at)
        for at, line in enumerate([*grids[0], *grids[1]])
        if rng.random() < 0.7
    ]
    return [
        _flown(survey, lines, rng) for survey, lines in zip(_BLOCK, [*grids, again], strict=True)
    ]


def _flown(survey: Survey, lines: list[Line], rng: np.random.Generator) -> Survey:
    """The survey with those of its lines that are long enough, and its honest bias."""
    kept = tuple(line for line in lines if len(line.curve) > _SHORTEST)
    bias = float(rng.choice([-1.0, 1.0]) * survey.bias * rng.uniform(0.5, 1.5))
    return replace(survey, bias=bias, lines=kept)


def _middle(box: Box) -> tuple[float, float, float]:
    """Centre and side of a box (m)."""
    return (box.west + box.east) / 2, (box.south + box.north) / 2, box.east - box.west


def _across(
    box: Box, heading: float, apart: float, spacing: float, flights: int, rng: np.random.Generator
) -> list[Line]:
    """Parallel lines through the whole box, `apart` metres from one another."""
    x, y, side = _middle(box)
    lines = []
    for at, offset in enumerate(np.arange(-0.7 * side, 0.7 * side, apart)):
        off = offset + rng.normal(0, 0.06 * apart)
        curve = straight(x - off * np.sin(heading), y + off * np.cos(heading), heading, 1.5 * side)
        lines.append(Line(inside(curve, box), spacing, rng.normal(0, 10.0), flight=at // flights))
    return lines


def _recon(box: Box, rng: np.random.Generator) -> list[Line]:
    """Long lines some 30 km apart, decades ago."""
    return _across(box, rng.uniform(0, np.pi), rng.uniform(24e3, 36e3), 75.0, 2, rng)


def _grid(box: Box, rng: np.random.Generator) -> list[Line]:
    """A regional grid: lines 8 to 11 km apart, tie lines 20 to 28 km apart."""
    heading, apart = rng.uniform(0, np.pi), rng.uniform(8e3, 11e3)
    lines = _across(box, heading, apart, 40.0, 2, rng)
    ties = _across(box, heading + np.pi / 2, 2.5 * apart, 40.0, 2, rng)
    return lines + [replace(tie, flight=tie.flight + 100) for tie in ties]


def _station(box: Box, rng: np.random.Generator) -> list[Line]:
    """Flights that radiate from a station; one of them a second time, some metres beside."""
    _, _, side = _middle(box)
    x = rng.uniform(box.west + 0.3 * side, box.east - 0.3 * side)
    y = rng.uniform(box.south + 0.3 * side, box.north - 0.3 * side)
    lines: list[Line] = []
    for at, angle in enumerate(np.arange(9) * 2 * np.pi / 9 + rng.uniform(0, 1)):
        length = rng.uniform(0.3, 0.55) * side
        middle = x + length / 2 * np.cos(angle), y + length / 2 * np.sin(angle)
        curve = inside(straight(*middle, angle + rng.normal(0, 0.02), length), box)
        lines.append(Line(curve, 40.0, flight=at))
        if at % 5 == 4:
            lines.append(Line(curve[::-1], 40.0, rng.normal(0, 12.0), flight=at))
    return lines


def _stream(box: Box, rng: np.random.Generator) -> list[Line]:
    """Winding lines along the flow and a few across it."""
    _, _, side = _middle(box)
    lines = []
    for at in range(5):
        y = rng.uniform(box.south + 0.1 * side, box.north - 0.1 * side)
        heading = rng.normal(0, 0.25) if at < 3 else rng.choice([-1, 1]) * rng.uniform(0.8, 1.2)
        curve = inside(winding(box.west + 500.0, y, heading, 1.1 * side, 5e-5, rng), box)
        lines.append(Line(curve, 35.0, flight=at))
    return lines


def _traverse(box: Box, rng: np.random.Generator) -> list[Line]:
    """Two long legs of a convoy on the ice."""
    _, _, side = _middle(box)
    lines = []
    for day in range(2):
        x = rng.uniform(box.west + 0.2 * side, box.east - 0.2 * side)
        y = rng.uniform(box.south + 0.2 * side, box.north - 0.2 * side)
        curve = winding(x, y, rng.uniform(0, 2 * np.pi), 0.5 * side, 1.5e-4, rng)
        lines.append(Line(inside(curve, box), 25.0, flight=day))
    return lines
