"""Flight lines: curves on the map, and the places where a radar samples them.

In: shapes (straight, arc, winding), spacing, offsets. Out: positions (m) along the line flown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_VERTEX_STEP = 60.0


@dataclass(frozen=True)
class Box:
    """A rectangle on the map (m)."""

    west: float
    south: float
    east: float
    north: float

    def holds(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        """Which positions lie inside."""
        return np.asarray(
            (x >= self.west) & (x <= self.east) & (y >= self.south) & (y <= self.north)
        )


def straight(x: float, y: float, heading: float, length: float) -> Floats:
    """Vertices (m, 2) of a straight line centred on (x, y), heading in radians from east."""
    s = np.arange(-length / 2, length / 2 + _VERTEX_STEP, _VERTEX_STEP)
    return np.column_stack([x + s * np.cos(heading), y + s * np.sin(heading)])


def winding(
    x: float, y: float, heading: float, length: float, bend: float, rng: np.random.Generator
) -> Floats:
    """Vertices (m, 2) of a line that starts at (x, y) and keeps turning, by `bend` rad/m at most."""
    n = int(length / _VERTEX_STEP) + 1
    s = np.arange(n) * _VERTEX_STEP
    turning = bend * np.sin(2 * np.pi * s / rng.uniform(9_000.0, 22_000.0) + rng.uniform(0, 6.3))
    angle = heading + np.cumsum(turning) * _VERTEX_STEP
    return np.column_stack(
        [x + np.cumsum(np.cos(angle)) * _VERTEX_STEP, y + np.cumsum(np.sin(angle)) * _VERTEX_STEP]
    )


def inside(curve: Floats, box: Box) -> Floats:
    """The longest stretch of a curve inside a box, as vertices (m, 2); empty if there is none."""
    within = box.holds(curve[:, 0], curve[:, 1])
    edges = np.flatnonzero(np.diff(within.astype(np.int8), prepend=0, append=0))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return curve[:0]
    longest = int(np.argmax(stops - starts))
    return curve[starts[longest] : stops[longest]]


def sample(
    curve: Floats,
    spacing: float,
    rng: np.random.Generator,
    *,
    lateral: float = 0.0,
    wander: float = 4.0,
    gaps_per_km: float = 0.01,
) -> tuple[Floats, Floats, Floats]:
    """Sample a curve as a radar on the move does.

    Parameters
    ----------
    curve : float64 (m, 2)
        Vertices (m).
    spacing : float
        Mean distance between samples (m); single ones vary by a fifth.
    rng : numpy Generator
    lateral : float
        Constant offset to the left of the curve (m).
    wander : float
        How far the pilot strays from it (m).
    gaps_per_km : float
        Gaps (100 m to 2 km without a sample) per kilometre.

    Returns
    -------
    east, north, along : float64 (n,)
        Positions and the distance flown (m).
    """
    leg = np.hypot(*np.diff(curve, axis=0).T)
    s_vertex = np.concatenate([[0.0], np.cumsum(leg)])
    length = float(s_vertex[-1])
    n = max(2, int(length / spacing))
    steps = spacing * rng.uniform(0.8, 1.2, n)
    gap = rng.random(n) < gaps_per_km * spacing / 1000.0
    steps = np.where(gap, np.exp(rng.uniform(np.log(100.0), np.log(2000.0), n)), steps)
    s = np.cumsum(steps) - steps[0] + rng.uniform(0, spacing)
    s = s[s <= length]
    tangent = np.gradient(curve, axis=0)
    tangent /= np.hypot(tangent[:, 0], tangent[:, 1])[:, None]
    off = lateral + wander * np.sin(2 * np.pi * s / rng.uniform(4e3, 9e3) + rng.uniform(0, 6.3))
    east = np.interp(s, s_vertex, curve[:, 0]) - off * np.interp(s, s_vertex, tangent[:, 1])
    north = np.interp(s, s_vertex, curve[:, 1]) + off * np.interp(s, s_vertex, tangent[:, 0])
    return east, north, s
