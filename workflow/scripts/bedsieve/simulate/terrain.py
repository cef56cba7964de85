"""A small ice sheet: bed with troughs, mountains and hills, a surface over it, its flow and its climate.

In: a seed and a frame. Out: a `Terrain` whose fields hold the truth everywhere, and from which the grids
that a user would have (velocity, a BedMachine-like thickness, climate) are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bedsieve.simulate.fields import Field, Frame, gaussian, random_field

Floats: TypeAlias = NDArray[np.float64]

THINNEST = 35.0
_TEMPERATURE_LAPSE = 0.0085


@dataclass(frozen=True)
class Relief:
    """How rough a bed is: scales of its hills, and how much rougher one place is than another.

    Attributes
    ----------
    scales : tuple of (float, float, float)
        Standard deviation (m), correlation length (m) and Matérn smoothness of each scale.
    patchiness : float
        Standard deviation of the logarithm of the local amplitude; 0 for the same roughness everywhere.
    """

    scales: tuple[tuple[float, float, float], ...]
    patchiness: float = 0.0


GENTLE = Relief(((210.0, 14_000.0, 1.6), (55.0, 2_500.0, 1.8), (5.0, 700.0, 1.5)))
"""The demo's: smoother than real beds."""

ROUGH = Relief(((420.0, 10_000.0, 0.8), (80.0, 1_500.0, 0.7)), patchiness=0.75)
"""Increments like those of real beds, see docs/explanation/evaluation.md (ours, fitted)."""


@dataclass(frozen=True)
class Terrain:
    """Fields of a simulated region, all on one frame (EPSG:3031).

    Attributes
    ----------
    bed, surface : Field
        Altitudes (m).
    vx, vy : Field
        Surface velocity (m/yr).
    smb : Field
        Surface mass balance (kg/m²/yr).
    temp : Field
        Air temperature (K).
    """

    bed: Field
    surface: Field
    vx: Field
    vy: Field
    smb: Field
    temp: Field

    def thickness_at(self, x: Floats, y: Floats) -> Floats:
        """True ice thickness (m) at positions (m): never below `THINNEST`."""
        return np.maximum(self.surface.at(x, y) - self.bed.at(x, y), THINNEST)


def make_terrain(frame: Frame, rng: np.random.Generator, relief: Relief = GENTLE) -> Terrain:
    """Make an ice sheet that flows towards smaller x, with two ice streams and a mountain range.

    Parameters
    ----------
    frame : Frame
        Covers the region and a margin of some kilometres.
    rng : numpy Generator
    relief : Relief

    Returns
    -------
    Terrain
    """
    x, y = frame.axes()
    across, inland = _coordinates(frame, rng)
    streams = _streams(frame, across, rng)
    mountains = _mountain_mask(frame, rng)
    bed = _bed(frame, streams, mountains, inland, relief, rng)
    surface = _surface(frame, bed, streams, inland)
    # Nunataks are beyond radar: some ice stays on every summit.
    bed = np.minimum(bed, surface - THINNEST)
    vx, vy = _velocity(frame, surface, streams, mountains, inland, rng)
    smb = 620.0 - 0.22 * surface + 25.0 * random_field(frame, 12_000.0, 1.5, rng)
    temp = 262.0 - _TEMPERATURE_LAPSE * surface + 0 * (x + y)
    return Terrain(*(Field(frame, f) for f in (bed, surface, vx, vy, smb, temp)))


def _coordinates(frame: Frame, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Metres across the flow from the middle, and share of the way inland (0 at the coast side)."""
    x, y = frame.axes()
    extent = frame.step * (frame.nodes - 1)
    turn = rng.uniform(-0.3, 0.3)
    dx, dy = x - (frame.x0 + extent / 2), y - (frame.y0 + extent / 2)
    along = dx * np.cos(turn) + dy * np.sin(turn)
    return dy * np.cos(turn) - dx * np.sin(turn), along / extent + 0.5


def _streams(frame: Frame, across: Floats, rng: np.random.Generator) -> Floats:
    """How much each place belongs to an ice stream, 0 to 1; centre lines wind, margins are sharp."""
    x, _ = frame.axes()
    extent = frame.step * (frame.nodes - 1)
    total = np.zeros((frame.nodes, frame.nodes))
    for place in (-0.22 + rng.uniform(-0.05, 0.05), 0.2 + rng.uniform(-0.05, 0.05)):
        winding = 4_500.0 * np.sin(2 * np.pi * (x - frame.x0) / 70_000.0 + rng.uniform(0, 6.3))
        width = rng.uniform(4_500.0, 7_000.0)
        distance = np.abs(across - place * extent - winding)
        total = np.maximum(total, 1 / (1 + np.exp((distance - width) / (0.22 * width))))
    return total


def _mountain_mask(frame: Frame, rng: np.random.Generator) -> Floats:
    x, y = frame.axes()
    extent = frame.step * (frame.nodes - 1)
    cx = frame.x0 + extent * rng.uniform(0.72, 0.8)
    cy = frame.y0 + extent * rng.uniform(0.18, 0.26)
    r2 = ((x - cx) / (0.17 * extent)) ** 2 + ((y - cy) / (0.13 * extent)) ** 2
    return np.asarray(np.exp(-(r2**2)))


def _bed(
    frame: Frame,
    streams: Floats,
    mountains: Floats,
    inland: Floats,
    relief: Relief,
    rng: np.random.Generator,
) -> Floats:
    parts = [size * random_field(frame, length, nu, rng) for size, length, nu in relief.scales]
    ridges = 1 - np.abs(random_field(frame, 4_500.0, 1.6, rng))
    # What lies under a stream is planed, the finest ripples excepted.
    parts[1] = parts[1] * (1 - 0.5 * streams)
    if relief.patchiness:
        patches = relief.patchiness * random_field(frame, 25_000.0, 1.5, rng)
        parts = [part * np.exp(patches - relief.patchiness**2) for part in parts]
    bed = -650.0 + 350.0 * inland
    for part in parts:
        bed = bed + part
    return np.asarray(bed - 520.0 * streams + mountains * (850.0 + 330.0 * ridges))


def _surface(frame: Frame, bed: Floats, streams: Floats, inland: Floats) -> Floats:
    plain = 250.0 + 1_150.0 * np.sqrt(np.clip(inland, 0.0, None) + 0.05)
    draped = gaussian(bed, 5_000.0 / frame.step)
    drawdown = gaussian(streams, 3_000.0 / frame.step)
    return np.asarray(plain + 0.12 * (draped + 500.0) - 130.0 * drawdown)


def _velocity(
    frame: Frame,
    surface: Floats,
    streams: Floats,
    mountains: Floats,
    inland: Floats,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    dy, dx = np.gradient(gaussian(surface, 4_000.0 / frame.step), frame.step)
    steepness = np.hypot(dx, dy) + 1e-6
    slow = 14.0 * np.exp(0.35 * random_field(frame, 9_000.0, 1.5, rng)) * (1 - 0.8 * mountains)
    speed = slow + streams**1.5 * (900.0 - 620.0 * np.clip(inland, 0.0, 1.0))
    return -speed * dx / steepness, -speed * dy / steepness
