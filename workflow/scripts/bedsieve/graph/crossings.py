"""Crossings of track segments, exact, as GMT's x2sys_cross gives them.

In: positions and the segments of lines. Out: the pairs of segments that cross, each once, with the
place along each of the two, and the angle between them. Segments are entered into every square cell
that their box touches; a pair is tested in the first cell that its two boxes share, and there alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

_CELL = 250.0  # m, a few segments long
_MAX_CELLS = 1 << 24


class Crossings(NamedTuple):
    """Crossings of two segments.

    Attributes
    ----------
    a, b : ndarray of int32, shape (m,)
        The two segments; the start of `a` has the smaller point_id.
    fraction_a, fraction_b : ndarray of float64, shape (m,)
        Place of the crossing along each segment, 0 at its start, 1 at its end.
    angle : ndarray of float64, shape (m,)
        Acute angle between the segments, degrees.
    """

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    fraction_a: NDArray[np.float64]
    fraction_b: NDArray[np.float64]
    angle: NDArray[np.float64]


def crossings(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    line: NDArray[np.int64],
    point_id: NDArray[np.uint64],
    start: NDArray[np.int32],
    end: NDArray[np.int32],
) -> Crossings:
    """Find all crossings of segments, of different lines and of a line with itself.

    Parameters
    ----------
    east, north : ndarray of float64, shape (n,)
        Projected positions, m; finite.
    line : ndarray of int64, shape (n,)
        survey_no * 2**32 + track_id.
    point_id : ndarray of uint64, shape (n,)
    start, end : ndarray of int32, shape (segments,)
        Rows of the ends of each segment.

    Returns
    -------
    Crossings
        By the point_id of the segments' starts, whatever the number of threads.

    Notes
    -----
    A point exactly on another line is decided as if of two lines the one with the larger number had
    been moved by (e, e * e) with e below every distance: a line through a corner of another crosses
    it once, not twice and not never, and coincident segments never cross.
    """
    none = np.zeros(0)
    if start.size < 2:
        no_row = np.zeros(0, np.int32)
        return Crossings(no_row, no_row, none, none, none)
    grid = _Grid.over(east, north, start, end)
    entries, members = _bucket(east, north, start, end, *grid)
    args = (east, north, line, point_id, start, end, *grid, entries, members)
    count = _count(*args)
    offset = np.concatenate(([0], np.cumsum(count)))
    a, b = np.empty(offset[-1], np.int32), np.empty(offset[-1], np.int32)
    _fill(*args, offset, a, b)
    first = point_id[start]
    order = np.lexsort((first[b], first[a]))
    a, b = a[order], b[order]
    return Crossings(a, b, *_place(east, north, start, end, a, b))


class _Grid(NamedTuple):
    west: float
    south: float
    cell: float
    columns: int
    rows: int

    @classmethod
    def over(
        cls,
        east: NDArray[np.float64],
        north: NDArray[np.float64],
        start: NDArray[np.int32],
        end: NDArray[np.int32],
    ) -> _Grid:
        west = float(min(east[start].min(), east[end].min()))
        south = float(min(north[start].min(), north[end].min()))
        width = float(max(east[start].max(), east[end].max())) - west
        height = float(max(north[start].max(), north[end].max())) - south
        cell = max(_CELL, float(np.sqrt(width * height / _MAX_CELLS)), max(width, height) / 2**22)
        return cls(west, south, cell, int(width // cell) + 1, int(height // cell) + 1)


@njit(cache=True, nogil=True, inline="always")
def _span(east, north, start, end, s, west, south, cell, columns, rows):  # type: ignore[no-untyped-def]
    """First and last column and row of the cells that a segment's box touches."""
    p, q = start[s], end[s]
    left, right = min(east[p], east[q]), max(east[p], east[q])
    low, high = min(north[p], north[q]), max(north[p], north[q])
    return (
        min(np.int64((left - west) / cell), columns - 1),
        min(np.int64((right - west) / cell), columns - 1),
        min(np.int64((low - south) / cell), rows - 1),
        min(np.int64((high - south) / cell), rows - 1),
    )


@njit(cache=True, nogil=True)
def _bucket(east, north, start, end, west, south, cell, columns, rows):  # type: ignore[no-untyped-def]
    """Where each cell's members start, and the segments that touch each cell."""
    entries = np.zeros(columns * rows + 1, np.int64)
    for s in range(start.size):
        x0, x1, y0, y1 = _span(east, north, start, end, s, west, south, cell, columns, rows)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                entries[y * columns + x + 1] += 1
    for c in range(columns * rows):
        entries[c + 1] += entries[c]
    members = np.empty(entries[-1], np.int32)
    for s in range(start.size):
        x0, x1, y0, y1 = _span(east, north, start, end, s, west, south, cell, columns, rows)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                members[entries[y * columns + x]] = s
                entries[y * columns + x] += 1
    for c in range(columns * rows, 0, -1):
        entries[c] = entries[c - 1]
    entries[0] = 0
    return entries, members


@njit(cache=True, nogil=True, inline="always")
def _left(px, py, qx, qy, x, y, shift):  # type: ignore[no-untyped-def]
    """Whether a point is on the left of p to q; `shift` is 1 if the point is moved, -1 if p and q are."""
    side = (qx - px) * (y - py) - (qy - py) * (x - px)
    if side == 0.0:
        side = -(qy - py) * shift if qy != py else (qx - px) * shift
    return side > 0.0


@njit(cache=True, nogil=True, inline="always")
def _cross(east, north, line, point_id, start, end, s, t):  # type: ignore[no-untyped-def]
    p, q, u, v = start[s], end[s], start[t], end[t]
    if p in (u, v) or q in (u, v):
        return False
    if max(east[p], east[q]) < min(east[u], east[v]) or max(east[u], east[v]) < min(
        east[p], east[q]
    ):
        return False
    if max(north[p], north[q]) < min(north[u], north[v]) or max(north[u], north[v]) < min(
        north[p], north[q]
    ):
        return False
    later = line[u] > line[p] or (line[u] == line[p] and point_id[u] > point_id[p])
    shift = 1.0 if later else -1.0
    x0, y0, x1, y1 = east[p], north[p], east[q], north[q]
    x2, y2, x3, y3 = east[u], north[u], east[v], north[v]
    return (
        _left(x0, y0, x1, y1, x2, y2, shift) != _left(x0, y0, x1, y1, x3, y3, shift)
        and _left(x2, y2, x3, y3, x0, y0, -shift) != _left(x2, y2, x3, y3, x1, y1, -shift)
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _of_cell(  # type: ignore[no-untyped-def]
    c,
    east,
    north,
    line,
    point_id,
    start,
    end,
    west,
    south,
    cell,
    columns,
    rows,
    entries,
    members,
    a,
    b,
    at,
):
    """Count the crossings that belong to a cell; write them if there is room."""
    x, y = c % columns, c // columns
    found = 0
    for i in range(entries[c], entries[c + 1]):
        s = members[i]
        sx, _, sy, _ = _span(east, north, start, end, s, west, south, cell, columns, rows)
        for j in range(i + 1, entries[c + 1]):
            t = members[j]
            if not _cross(east, north, line, point_id, start, end, s, t):
                continue
            tx, _, ty, _ = _span(east, north, start, end, t, west, south, cell, columns, rows)
            if max(sx, tx) != x or max(sy, ty) != y:
                continue
            if a.size > 0:
                ahead = point_id[start[s]] < point_id[start[t]]
                a[at + found], b[at + found] = (s, t) if ahead else (t, s)
            found += 1
    return found


@njit(cache=True, parallel=True, nogil=True)
def _count(  # type: ignore[no-untyped-def]
    east, north, line, point_id, start, end, west, south, cell, columns, rows, entries, members
):
    count = np.zeros(columns * rows, np.int32)
    none = np.empty(0, np.int32)
    for k in prange(columns * rows):
        c = np.int64(k)
        if entries[c + 1] - entries[c] > 1:
            count[c] = _of_cell(
                c, east, north, line, point_id, start, end, west, south, cell, columns, rows,
                entries, members, none, none, 0,
            )  # fmt: skip
    return count


@njit(cache=True, parallel=True, nogil=True)
def _fill(  # type: ignore[no-untyped-def]
    east,
    north,
    line,
    point_id,
    start,
    end,
    west,
    south,
    cell,
    columns,
    rows,
    entries,
    members,
    offset,
    a,
    b,
):
    for k in prange(columns * rows):
        c = np.int64(k)
        if offset[c + 1] > offset[c]:
            _of_cell(
                c, east, north, line, point_id, start, end, west, south, cell, columns, rows,
                entries, members, a, b, offset[c],
            )  # fmt: skip


def _place(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    start: NDArray[np.int32],
    end: NDArray[np.int32],
    a: NDArray[np.int32],
    b: NDArray[np.int32],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fractions along the two segments, and the acute angle between them in degrees."""
    ax, ay = east[end[a]] - east[start[a]], north[end[a]] - north[start[a]]
    bx, by = east[end[b]] - east[start[b]], north[end[b]] - north[start[b]]
    wx, wy = east[start[b]] - east[start[a]], north[start[b]] - north[start[a]]
    cross = ax * by - ay * bx
    # The sides differ, so the product is not zero but by underflow; then any place will do.
    safe = np.where(cross == 0.0, 1.0, cross)
    fraction_a = np.clip((wx * by - wy * bx) / safe, 0.0, 1.0)
    fraction_b = np.clip((wx * ay - wy * ax) / safe, 0.0, 1.0)
    angle = np.degrees(np.arctan2(np.abs(cross), np.abs(ax * bx + ay * by)))
    return fraction_a, fraction_b, angle
