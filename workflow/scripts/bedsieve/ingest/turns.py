"""Sharp turns: positions along the tracks in, the points at which a line bends most out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Positions = tuple[NDArray[np.int64], Floats, Floats, NDArray[np.int32]]


def turn_angles(east: Floats, north: Floats, track: NDArray[np.int32], points: int = 7) -> Floats:
    """Change of course at each point, over a window of `points` points.

    Parameters
    ----------
    east, north : ndarray of float64, shape (n,)
        Positions in track order (m).
    track : ndarray of int32, shape (n,)
        Track of each point; points of one track stand together.
    points : int
        Odd size of the window: the course in is taken over its first half, the course out over
        its second.

    Returns
    -------
    ndarray of float64, shape (n,)
        Degrees, 0 (straight on) to 180 (back); 0 where the window leaves the track.
    """
    half, n = points // 2, len(east)
    angle = np.zeros(n)
    if n <= 2 * half:
        return angle
    here = slice(half, n - half)
    before, after = slice(0, n - 2 * half), slice(2 * half, n)
    in_e, in_n = east[here] - east[before], north[here] - north[before]
    out_e, out_n = east[after] - east[here], north[after] - north[here]
    turn = np.degrees(np.abs(np.arctan2(in_e * out_n - in_n * out_e, in_e * out_e + in_n * out_n)))
    angle[here] = np.where(track[before] == track[after], turn, 0.0)
    return angle


def turn_breaks(
    east: Floats, north: Floats, track: NDArray[np.int32], turn: float = 60.0, points: int = 7
) -> NDArray[np.bool_]:
    """Points that turn by more than `turn` degrees and more than any other in their window.

    Splitting on every point of a bend would shatter it, so only the sharpest one counts (the
    first of equals). Parameters as `turn_angles`.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    angle = turn_angles(east, north, track, points)
    half = points // 2
    padded = np.pad(angle, half, constant_values=-1.0)
    sharpest = angle > turn
    for shift in range(1, half + 1):
        sharpest &= angle > padded[half - shift : half - shift + len(angle)]
        sharpest &= angle >= padded[half + shift : half + shift + len(angle)]
    return sharpest


def turn_breaks_in_chunks(
    chunks: Iterable[Positions], turn: float = 60.0, points: int = 7
) -> NDArray[np.int64]:
    """Rows at which `turn_breaks` would split, of (row, east, north, track) chunks in order."""
    reach = 2 * (points // 2)
    found: list[NDArray[np.int64]] = []
    held: Positions | None = None
    decided = 0
    for chunk in chunks:
        held = chunk if held is None else _joined(held, chunk)
        # The last `reach` points wait for the points that follow them.
        ready = max(len(held[0]) - reach, decided)
        breaks = turn_breaks(*held[1:], turn, points)
        found.append(held[0][decided:ready][breaks[decided:ready]])
        keep = max(ready - reach, 0)
        held = (held[0][keep:], held[1][keep:], held[2][keep:], held[3][keep:])
        decided = ready - keep
    if held is not None:
        breaks = turn_breaks(*held[1:], turn, points)
        found.append(held[0][decided:][breaks[decided:]])
    return np.concatenate([np.empty(0, np.int64), *found])


def _joined(left: Positions, right: Positions) -> Positions:
    return (
        np.concatenate([left[0], right[0]]),
        np.concatenate([left[1], right[1]]),
        np.concatenate([left[2], right[2]]),
        np.concatenate([left[3], right[3]]),
    )
