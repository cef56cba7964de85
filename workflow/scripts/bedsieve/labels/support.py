"""The support of a double hit: the points around it.

In: points indexed by cell, and a pair. Out: the rows of its support. Everything is judged in float64 on absolute coordinates, so a pair near a
border has the same support in every tile that sees it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bedsieve.graph.knn import nearest
from bedsieve.kernels import copy_into
from bedsieve.labels.selection import select

_CELL = 250.0  # m
_MAX_CELLS = 1 << 23
LISTED = 12  # neighbours listed for each point


class Rules(NamedTuple):
    """The constants of the pseudo-labels (study B, seed 000, A.1.1 to A.1.3)."""

    support_radius: float = 2000.0  # m
    cap: int = 600  # points
    min_tracks: int = 5
    min_surveys: int = 2
    min_points: int = 100
    max_jump: float = 200.0  # m, to a nearest neighbour
    eta_floor: float = 15.0  # m
    eta_share: float = 0.01  # of the median thickness
    max_removed: float = 0.3  # of the support


class SupportIndex(NamedTuple):
    """Points by cell, the cells row by row; `line` and `survey` count from 0."""

    east: NDArray[np.float64]
    north: NDArray[np.float64]
    thickness: NDArray[np.float64]
    point_id: NDArray[np.uint64]
    line: NDArray[np.int32]
    survey: NDArray[np.int32]
    neighbours: NDArray[np.int32]
    start: NDArray[np.int32]
    west: float
    south: float
    cell: float
    columns: int
    rows: int
    n_lines: int
    n_surveys: int


def support_index(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    thickness: NDArray[np.float64],
    line: NDArray[np.int64],
    survey_no: NDArray[np.uint32],
    point_id: NDArray[np.uint64],
    rules: Rules,
) -> tuple[SupportIndex, NDArray[np.int32]]:
    """Index points for the gathering of supports.

    Parameters
    ----------
    east, north, thickness : ndarray of float64, shape (n,)
        Positions and ice thicknesses, m; finite; n > 0.
    line : ndarray of int64, shape (n,)
        survey_no * 2**32 + track_id.
    survey_no : ndarray of uint32, shape (n,)
    point_id : ndarray of uint64, shape (n,)
    rules : Rules

    Returns
    -------
    index : SupportIndex
    place : ndarray of int32, shape (n,)
        Where each input row stands in the index.
    """
    west, south = float(east.min()), float(north.min())
    width, height = float(np.ptp(east)), float(np.ptp(north))
    cell = max(_CELL, float(np.sqrt(width * height / _MAX_CELLS)), max(width, height) / 2**21)
    columns, rows = int(width / cell) + 1, int(height / cell) + 1
    order, start = _by_cell(east, north, west, south, cell, columns, rows)
    place = np.empty(order.size, np.int32)
    place[order] = np.arange(order.size, dtype=np.int32)
    lines, line_code = np.unique(line, return_inverse=True)
    surveys, survey_code = np.unique(survey_no, return_inverse=True)
    x, y, ids = east[order], north[order], point_id[order]
    listed = nearest(x, y, ids, LISTED, max_distance=2 * rules.support_radius, distances=False)
    index = SupportIndex(
        x, y, thickness[order], ids,
        line_code[order].astype(np.int32), survey_code[order].astype(np.int32), listed.row,
        start, west, south, cell, columns, rows, lines.size, surveys.size,
    )  # fmt: skip
    return index, place


@njit(cache=True, nogil=True)
def _by_cell(east, north, west, south, cell, columns, rows):  # type: ignore[no-untyped-def]
    start = np.zeros(columns * rows + 2, np.int32)
    for i in range(east.size):
        start[_cell_of(east[i], north[i], west, south, cell, columns, rows) + 2] += 1
    for c in range(2, start.size):
        start[c] += start[c - 1]
    order = np.empty(east.size, np.int32)
    for i in range(east.size):
        c = _cell_of(east[i], north[i], west, south, cell, columns, rows)
        order[start[c + 1]] = i
        start[c + 1] += 1
    return order, start[:-1]


@njit(cache=True, nogil=True, inline="always")
def _cell_of(x, y, west, south, cell, columns, rows):  # type: ignore[no-untyped-def]
    col = min(np.int64((x - west) / cell), columns - 1)
    return min(np.int64((y - south) / cell), rows - 1) * columns + col


@njit(cache=True, nogil=True, inline="always")
def _column(index, x):  # type: ignore[no-untyped-def]
    return np.int64(min(max((x - index.west) / index.cell, 0.0), index.columns - 1.0))


@njit(cache=True, nogil=True, inline="always")
def _row(index, y):  # type: ignore[no-untyped-def]
    return np.int64(min(max((y - index.south) / index.cell, 0.0), index.rows - 1.0))


@njit(cache=True, nogil=True)
def _bound(index, x, y, radius):  # type: ignore[no-untyped-def]
    """Points in the cells that a square around (x, y) touches."""
    first, last = _column(index, x - radius), _column(index, x + radius)
    total = 0
    for row in range(_row(index, y - radius), _row(index, y + radius) + 1):
        base = row * index.columns
        total += index.start[base + last + 1] - index.start[base + first]
    return total


@njit(cache=True, nogil=True)
def _within(index, x, y, radius, found, d2):  # type: ignore[no-untyped-def]
    """Rows within `radius` of (x, y), inclusive, and their squared distances."""
    near = radius * radius
    first, last = _column(index, x - radius), _column(index, x + radius)
    count = 0
    for row in range(_row(index, y - radius), _row(index, y + radius) + 1):
        base = row * index.columns
        for i in range(index.start[base + first], index.start[base + last + 1]):
            dx, dy = index.east[i] - x, index.north[i] - y
            d = dx * dx + dy * dy
            found[count], d2[count] = i, d
            count += d <= near
    return count


@njit(cache=True, nogil=True)
def gather(index, rules, a, b, guess, found, d2, scratch):  # type: ignore[no-untyped-def]
    """The nearest `cap` points within reach of the midpoint of a and b, without a and b.

    `found` and `d2` are filled with rows and squared distances to the midpoint; they are replaced
    by longer arrays where they are too short. `guess` is a radius to try first; it saves work and
    changes nothing. Returns the number of points, the next guess and the arrays.
    """
    x, y = 0.5 * (index.east[a] + index.east[b]), 0.5 * (index.north[a] + index.north[b])
    radius = min(guess, rules.support_radius)
    while _bound(index, x, y, radius) > 16 * rules.cap and radius > 0.1 * index.cell:
        radius *= 0.7
    while True:
        bound = _bound(index, x, y, radius)
        if bound >= found.size:
            found, d2, scratch = (
                np.empty(2 * bound, np.int32),
                np.empty(2 * bound),
                np.empty(2 * bound),
            )
        count = _within(index, x, y, radius, found, d2)
        if count >= rules.cap or radius >= rules.support_radius:
            break
        radius = min(
            rules.support_radius, radius * min(2.0, max(1.1, (rules.cap / (count + 1)) ** 0.6))
        )
    if count > rules.cap:
        copy_into(scratch, d2[:count])
        last = select(scratch[:count], rules.cap - 1)
        count = _keep_nearest(index, rules.cap, last, found, d2, count)
        radius = 1.05 * np.sqrt(last)
    kept = 0
    for i in range(count):
        if found[i] != a and found[i] != b:
            found[kept], d2[kept] = found[i], d2[i]
            kept += 1
    return kept, radius, found, d2, scratch


@njit(cache=True, nogil=True)
def _keep_nearest(index, cap, last, found, d2, count):  # type: ignore[no-untyped-def]
    """Keep the `cap` nearest, where `last` is the squared distance of the furthest of them."""
    nearer = tied = 0
    for i in range(count):
        nearer += d2[i] < last
        tied += d2[i] == last
    room = cap - nearer
    limit = np.uint64(0xFFFFFFFFFFFFFFFF)
    if tied > room:
        ids = np.empty(tied, np.uint64)
        at = 0
        for i in range(count):
            if d2[i] == last:
                ids[at] = index.point_id[found[i]]
                at += 1
        limit = np.sort(ids)[room - 1]
    kept = 0
    for i in range(count):
        if d2[i] < last or (d2[i] == last and index.point_id[found[i]] <= limit):
            found[kept], d2[kept] = found[i], d2[i]
            kept += 1
    return kept
