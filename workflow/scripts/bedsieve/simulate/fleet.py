"""The eight surveys of the demo: which lines they fly, with what, and how their files are written.

In: a size and a random generator. Out: `Survey` plans. Two blocks are flown densely by several surveys
(grids, repeats, diagonals), so that points of other tracks surround most points there, as §3 of the
methods asks; elsewhere lines are sparse. No two files have the same columns filled, as in Bedmap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bedsieve.simulate.lines import Box, inside, straight, winding

Floats: TypeAlias = NDArray[np.float64]

# Four tiles of 50 km, EPSG:3031, inland of Thwaites Glacier's place.
REGION = Box(-1_500_000.0, -450_000.0, -1_400_000.0, -350_000.0)
# No line comes nearer to the region's border, so that displaced points stay inside, too.
FLOWN = Box(-1_496_000.0, -446_000.0, -1_404_000.0, -354_000.0)
# Centres of the dense blocks; the first lies across a border between tiles.
BLOCKS = ((-1_458_000.0, -424_000.0), (-1_429_000.0, -376_000.0))


@dataclass(frozen=True)
class Size:
    """How much is flown: block side and line spacing (m), the share of grid lines flown again, the rest."""

    block_side: float
    apart: float
    again: float
    regional: float
    coarser: float


SIZES = {
    "demo": Size(block_side=21_000.0, apart=560.0, again=0.75, regional=1.0, coarser=1.0),
    "tiny": Size(block_side=2_400.0, apart=300.0, again=0.5, regional=0.4, coarser=5.0),
}


@dataclass(frozen=True)
class Line:
    """One line to fly: vertices (m), mean spacing (m), offset to its left (m), number of its flight."""

    curve: Floats
    spacing: float
    lateral: float = 0.0
    flight: int = 0


@dataclass(frozen=True)
class Radar:
    """Noise of an instrument: white (m), and correlated over `correlation` (m), a share of the thickness."""

    white: float
    relative: float
    correlation: float = 350.0
    line_bias: float = 2.0


@dataclass(frozen=True)
class Habits:
    """How a survey writes its file: which columns it fills, and how.

    `trajectory` is ``none``, ``line`` (a text per line) or ``number``; `trace` is ``none``, ``restart``
    (from 1 on every line) or ``jump`` (counting on, with a jump between lines).
    """

    trajectory: str = "none"
    trace: str = "none"
    time: bool = False
    surface: bool = True
    bed: bool = True
    travel_time: bool = False
    aircraft: bool = False
    along: bool = False
    longitude_360: bool = False
    whole_metres: bool = False
    missing: str = "-9999"
    duplicates: bool = False
    odd_dates: bool = False
    lost_bed: float = 0.01


@dataclass(frozen=True)
class Survey:
    """A survey to fly: who, when, how fast (m/s), with what radar, and how it writes its file.

    `bias` is the size of its honest offset (m), with a sign once it is planned; `lines` then has its lines.
    """

    name: str
    year: int
    institution: str
    platform: str
    speed: float
    bias: float
    radar: Radar
    habits: Habits
    lines: tuple[Line, ...] = ()


_OLD, _MODERN = Radar(6.0, 0.007, 600.0, 4.0), Radar(3.0, 0.0025)
_FINE, _GROUND = Radar(2.5, 0.002), Radar(1.5, 0.0015, 200.0, 1.5)
_NORTH, _SOUTH = "Northern Ice Survey (simulated)", "Southern Ice Survey (simulated)"
_EAST, _WEST = "Eastern Polar Institute (simulated)", "Western Polar Institute (simulated)"
_AIR = "airborne radar"

_FLEET = (
    Survey("NORTH_1978_Recon_AIR", 1978, _NORTH, _AIR, 90.0, 8.0, _OLD,
          Habits(whole_metres=True, surface=True, bed=False, lost_bed=0.03)),
    Survey("SOUTH_2004_Grid_AIR", 2004, _SOUTH, _AIR, 70.0, 3.0, _MODERN,
          Habits(trajectory="line", trace="restart", time=True, travel_time=True)),
    Survey("EAST_2009_Cross_AIR", 2009, _EAST, _AIR, 75.0, 3.0, _MODERN,
          Habits(trajectory="line", time=True, aircraft=True, missing="-9999.0")),
    Survey("SOUTH_2012_Repeat_AIR", 2012, _SOUTH, _AIR, 70.0, 2.0, _FINE,
          Habits(time=True, along=True, odd_dates=True)),
    Survey("WEST_2014_Mountain_HEL", 2014, _WEST, "helicopter-borne radar", 25.0, 4.0, _MODERN,
          Habits(trajectory="number", lost_bed=0.06)),
    Survey("EAST_2016_Streams_AIR", 2016, _EAST, _AIR, 75.0, 3.0, _MODERN,
          Habits(trace="jump", longitude_360=True, travel_time=True)),
    Survey("NORTH_2018_Traverse_GRN", 2018, _NORTH, "ground-based radar", 3.0, 2.0, _GROUND,
          Habits(time=True, bed=False)),
    Survey("WEST_2020_Margins_UAV", 2020, _WEST, "uncrewed aircraft radar", 20.0, 3.0, _FINE,
          Habits(surface=False, bed=False, along=True, duplicates=True)),
)  # fmt: skip

DEMO_SURVEYS = tuple(survey.name for survey in _FLEET)


def plan_fleet(size: Size, rng: np.random.Generator) -> list[Survey]:
    """Plan every survey of the demo, in the order of its survey numbers (see `DEMO_SURVEYS`)."""
    blocks = [_Block.draw(centre, size, rng) for centre in BLOCKS]
    lines: tuple[Callable[[], list[Line]], ...] = (
        lambda: _recon(size, rng),
        lambda: _parallel(blocks, 0.0, 28.0, size, rng),
        lambda: _parallel(blocks, np.pi / 2, 30.0, size, rng),
        lambda: _repeats(blocks, size, rng),
        lambda: _mountain(size, rng),
        lambda: _streams(size, rng),
        lambda: _traverse(blocks, size, rng),
        lambda: _margins(blocks, size, rng),
    )
    fleet = []
    for survey, draw in zip(_FLEET, lines, strict=True):
        flown = tuple(line for line in draw() if len(line.curve) > 3)
        bias = float(rng.choice([-1.0, 1.0]) * survey.bias * rng.uniform(0.5, 1.5))
        fleet.append(replace(survey, bias=bias, lines=flown))
    return fleet


@dataclass(frozen=True)
class _Block:
    """A densely flown square: its centre, the heading of its grid and its size (m)."""

    x: float
    y: float
    heading: float
    size: Size

    @classmethod
    def draw(cls, centre: tuple[float, float], size: Size, rng: np.random.Generator) -> _Block:
        shift = rng.uniform(-1_500.0, 1_500.0, 2)
        return cls(centre[0] + shift[0], centre[1] + shift[1], rng.uniform(-0.35, 0.35), size)

    def curve(self, turn: float, offset: float, length: float, shift: float = 0.0) -> Floats:
        """A straight line through the block: turned from its heading, offset to its left (m)."""
        angle = self.heading + turn
        x = self.x - offset * np.sin(angle) + shift * np.cos(angle)
        y = self.y + offset * np.cos(angle) + shift * np.sin(angle)
        return straight(x, y, angle, length)

    def offsets(self) -> Floats:
        """Offsets (m) of the lines of a grid from the block's middle."""
        count = max(2, round(self.size.block_side / self.size.apart))
        return np.asarray((np.arange(count) - (count - 1) / 2) * self.size.apart)


def _parallel(
    blocks: list[_Block], turn: float, spacing: float, size: Size, rng: np.random.Generator
) -> list[Line]:
    """One family of grid lines over each block; some stop halfway, as weather has it."""
    lines = []
    for number, block in enumerate(blocks):
        for at, offset in enumerate(block.offsets()):
            short = rng.random() < 0.15
            length = size.block_side * (rng.uniform(0.3, 0.6) if short else rng.uniform(0.95, 1.05))
            shift = rng.uniform(-0.15, 0.15) * size.block_side if short else 0.0
            curve = block.curve(turn, offset, length, shift)
            lines.append(Line(curve, spacing, rng.normal(0, 5.0), flight=2 * number + at % 2))
    return lines


def _repeats(blocks: list[_Block], size: Size, rng: np.random.Generator) -> list[Line]:
    """Most lines of the earlier grids once more, some metres beside, and a few diagonals twice."""
    lines = []
    for number, block in enumerate(blocks):
        curves = [
            block.curve(turn, offset, size.block_side * rng.uniform(0.9, 1.05))
            for turn in (0.0, np.pi / 2)
            for offset in block.offsets()
            if rng.random() < size.again
        ]
        for turn in (np.pi / 4, -np.pi / 4):
            offset = rng.uniform(-0.3, 0.3) * size.block_side
            curves += 2 * [block.curve(turn, offset, 0.9 * size.block_side)]
        for at, curve in enumerate(curves):
            # Neighbouring lines are flown on different days, so that they are different tracks.
            flight = 8 * number + at % 8
            way = curve[::-1] if rng.random() < 0.5 else curve
            lines.append(Line(way, 27.0, rng.normal(0, 5.0), flight))
    return sorted(lines, key=lambda line: line.flight)


def _recon(size: Size, rng: np.random.Generator) -> list[Line]:
    """Long lines 11 km apart over the whole region, decades ago."""
    lines = []
    turn = rng.uniform(-0.08, 0.08)
    for at, place in enumerate(
        np.arange(FLOWN.south + 3_000.0, FLOWN.north, 11_000 / size.regional)
    ):
        middle = (FLOWN.west + FLOWN.east) / 2
        y = place + rng.normal(0, 900.0)
        curve = inside(straight(middle, y, turn, 110_000.0), FLOWN)
        lines.append(Line(curve, 58.0 * size.coarser, rng.normal(0, 30.0), flight=at // 3))
    return lines


def _mountain(size: Size, rng: np.random.Generator) -> list[Line]:
    """Short lines over the mountains, in every direction."""
    lines = []
    for at in range(max(3, round(22 * size.regional))):
        x, y = rng.normal(-1_424_000.0, 6_000.0), rng.normal(-428_000.0, 5_000.0)
        curve = straight(x, y, rng.uniform(0, np.pi), rng.uniform(6_000.0, 13_000.0))
        lines.append(Line(inside(curve, FLOWN), 20.0 * size.coarser, flight=at // 4))
    return lines


def _streams(size: Size, rng: np.random.Generator) -> list[Line]:
    """Winding lines along and across the ice streams; two are flown again."""
    lines: list[Line] = []
    for at in range(max(3, round(11 * size.regional))):
        y = rng.uniform(FLOWN.south + 8_000.0, FLOWN.north - 8_000.0)
        heading = rng.choice([0.0, rng.uniform(-0.6, 0.6)])
        curve = inside(winding(FLOWN.west + 500.0, y, heading, 100_000.0, 8e-5, rng), FLOWN)
        lines.append(Line(curve, 36.0 * size.coarser, flight=at // 3))
        if at % 5 == 4:
            lines.append(Line(curve[::-1], 36.0 * size.coarser, rng.normal(0, 6.0), at // 3))
    return lines


def _traverse(blocks: list[_Block], size: Size, rng: np.random.Generator) -> list[Line]:
    """A convoy on the ice: a leg a day, winding through each block."""
    lines = []
    for day in range(max(2, round(10 * size.regional))):
        block = blocks[day % 2]
        x, y = (
            rng.normal(block.x, 0.2 * size.block_side),
            rng.normal(block.y, 0.2 * size.block_side),
        )
        length = rng.uniform(8_000.0, 15_000.0) * min(1.0, size.block_side / 12_000.0)
        curve = winding(x, y, rng.uniform(0, 2 * np.pi), length, 4e-4, rng)
        lines.append(Line(inside(curve, FLOWN), 15.0, flight=day))
    return lines


def _margins(blocks: list[_Block], size: Size, rng: np.random.Generator) -> list[Line]:
    """Short lines across stream margins and through the blocks, all flown to the north or so."""
    lines = []
    for at in range(max(3, round(20 * size.regional))):
        if at % 2:
            x, y = rng.uniform(FLOWN.west, FLOWN.east), rng.uniform(-435_000.0, -365_000.0)
        else:
            block = blocks[at // 2 % 2]
            x = block.x + rng.uniform(-0.4, 0.4) * size.block_side
            y = block.y + rng.uniform(-0.1, 0.1) * size.block_side
        curve = straight(x, y, np.pi / 2 + rng.normal(0, 0.25), rng.uniform(9_000.0, 14_000.0))
        lines.append(Line(inside(curve, FLOWN), 20.0 * size.coarser, flight=at))
    return lines
