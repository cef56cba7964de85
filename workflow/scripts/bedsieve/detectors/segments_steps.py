"""Steps along a track: where the thickness jumps by more than the terrain there usually does.

In: thickness and position of a track's points in the order flown. Out: for each pair of consecutive
points the step beyond the local slope, and the scale that such steps have around it; the runs of
positions that were shifted as a whole and come back to the line. A bad run that begins and ends
abruptly betrays itself by two such steps, wherever the nearest other line may be.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bedsieve.kernels import in_threads

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WINDOW = 60  # points on each side that set the scale of steps (ours)
_SLOPE_WINDOW = 7  # pairs on each side that set the slope (ours)
_LEAST_STEP = 3.0  # m (ours), noise of the best radars from point to point
_GROWTH = 0.8  # how steps grow with the gap, as a power (ours)
_JUMP, _LONGEST_RETURN = 300.0, 400  # m, points: a displaced run's jump and its length (ours)
_HEADING = 8  # points that give the heading before and after a jump


def track_steps(
    thickness: Floats, east: Floats, north: Floats, first: Ints
) -> tuple[Floats, Floats, Floats]:
    """Steps between consecutive points of each track.

    Parameters
    ----------
    thickness, east, north : ndarray of float64, shape (n,)
        m; tracks one after the other, each in the order flown.
    first : ndarray of int64, shape (tracks + 1,)
        Where each track begins, and n.

    Returns
    -------
    step, scale, gap : ndarray of float64, shape (n,)
        Row i is for the pair (i, i + 1): thickness beyond the local slope (m), the robust standard
        deviation of such steps over that gap (m), and the distance (m). NaN at a track's last point.
    """
    n = thickness.size
    step, scale, gap = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    in_threads(_of_tracks, (thickness, east, north, first, step, scale, gap), first.size - 1)
    return step, scale, gap


@njit(cache=True, nogil=True)
def _of_tracks(thickness, east, north, first, step, scale, gap, low, high):  # type: ignore[no-untyped-def]
    for t in range(low, high):
        begin, end = first[t], first[t + 1]
        if end - begin > 1:
            _steps(
                thickness[begin:end], east[begin:end], north[begin:end],
                step[begin : end - 1], scale[begin : end - 1], gap[begin : end - 1],
            )  # fmt: skip


@njit(cache=True, nogil=True)
def _steps(thickness, east, north, step, scale, gap):  # type: ignore[no-untyped-def]
    """Fill the pairs of one track."""
    m = step.size
    slope = np.empty(m)
    for i in range(m):
        gap[i] = np.hypot(east[i + 1] - east[i], north[i + 1] - north[i])
    usual = max(np.median(gap), 1.0)
    for i in range(m):
        slope[i] = (thickness[i + 1] - thickness[i]) / max(gap[i], 0.5 * usual)
    for i in range(m):
        low, high = max(i - _SLOPE_WINDOW, 0), min(i + _SLOPE_WINDOW + 1, m)
        trend = np.median(slope[low:high]) * min(gap[i], 3.0 * usual)
        step[i] = thickness[i + 1] - thickness[i] - trend
    _scales(step, gap, usual, scale)


@njit(cache=True, nogil=True)
def _scales(beyond, g, usual, out):  # type: ignore[no-untyped-def]
    """Windowed median of |step| reduced to the usual gap, taken at every eighth pair."""
    m = beyond.size
    reduced = np.empty(m)
    for i in range(m):
        reduced[i] = abs(beyond[i]) / max(g[i] / usual, 1.0) ** _GROWTH
    stride = 8
    knots = (m - 1) // stride + 1
    level = np.empty(knots)
    for k in range(knots):
        low, high = max(k * stride - _WINDOW, 0), min(k * stride + _WINDOW + 1, m)
        level[k] = max(1.4826 * np.median(reduced[low:high]), _LEAST_STEP)
    for i in range(m):
        k = i // stride
        part = (i - k * stride) / stride
        here = level[k] * (1 - part) + level[min(k + 1, knots - 1)] * part
        out[i] = here * max(g[i] / usual, 1.0) ** _GROWTH


@njit(cache=True, nogil=True)
def displaced_runs(east, north, gap, first):  # type: ignore[no-untyped-def]
    """Runs whose positions are shifted as a whole: the line jumps aside and, later, jumps back.

    Parameters
    ----------
    east, north, gap : ndarray of float64, shape (n,)
        m; as given to and returned by `track_steps`.
    first : ndarray of int64, shape (tracks + 1,)

    Returns
    -------
    ndarray of bool, shape (n,)
        Points of displaced runs. The second jump must undo the first to within a tenth (or 60 m,
        or what the line may turn meanwhile), so that turns between flight lines do not count.
    """
    out = np.zeros(east.size, np.bool_)
    for t in range(first.size - 1):
        begin, end = first[t], first[t + 1]
        if end - begin < 4:
            continue
        usual = max(np.median(gap[begin : end - 1]), 1.0)
        least = max(_JUMP, 8.0 * usual)
        i = begin
        while i < end - 1:
            if gap[i] < least:
                i += 1
                continue
            back = _return(east, north, gap, i, begin, end, least, usual)
            if back > 0:
                out[i + 1 : back + 1] = True
                i = back + 1
            else:
                i += 1
    return out


@njit(cache=True, nogil=True)
def _return(east, north, gap, i, begin, end, least, usual):  # type: ignore[no-untyped-def]
    """Last point of the run that jump i leads to, if a later jump undoes it, else -1."""
    low = max(begin, i - _HEADING)
    if i == low:
        return -1
    length = np.hypot(east[i] - east[low], north[i] - north[low])
    if length == 0.0:
        return -1
    ux, uy = (east[i] - east[low]) / length, (north[i] - north[low]) / length
    sx = east[i + 1] - east[i] - ux * usual
    sy = north[i + 1] - north[i] - uy * usual
    shift = np.hypot(sx, sy)
    if shift < least:
        return -1
    for j in range(i + 2, min(i + _LONGEST_RETURN, end - 1)):
        if gap[j] < least:
            continue
        high = min(end - 1, j + 1 + _HEADING)
        if high == j + 1:
            return -1
        reach = np.hypot(east[high] - east[j + 1], north[high] - north[j + 1])
        if reach == 0.0:
            return -1
        vx, vy = (east[high] - east[j + 1]) / reach, (north[high] - north[j + 1]) / reach
        bx = east[j + 1] - east[j] - vx * usual
        by = north[j + 1] - north[j] - vy * usual
        if np.hypot(sx + bx, sy + by) <= max(60.0, 0.1 * shift):
            return j
    return -1
