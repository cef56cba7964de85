"""Neighbours drawn from several tracks: the wish of study B for nodes whose k nearest are one line.

In: the exact k nearest neighbours of `graph.knn` and the line of every point. Out: the same table,
in which the farthest points of over-represented lines gave way to the nearest points of new lines.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bedsieve.graph.grid import BUCKET, FAN, SortedPoints
from bedsieve.kernels import in_threads

_STACK = 16 * FAN


def spread_over_lines(
    points: SortedPoints,
    line: NDArray[np.int64],
    min_tracks: int,
    max_distance: float,
    neighbour: NDArray[np.int32],
    distance: NDArray[np.float64],
) -> None:
    """Make every row of `neighbour` hold points of at least `min_tracks` lines, in place.

    Of a row with fewer lines, the nearest point of each line that the row lacks is taken, nearest
    line first (ties by point_id). Each replaces the farthest point of the row whose line has two
    or more points in it. It stops at `min_tracks` lines, or where no further line comes within
    `max_distance`, or no line has two points left. Rows with empty slots hold all there is and stay.

    Parameters
    ----------
    points : SortedPoints
        All candidates.
    line : ndarray of int64, shape (n,)
        Line of each input row: survey_no * 2**32 + track_id.
    min_tracks : int
        Distinct lines wanted in a row.
    max_distance : float
        m.
    neighbour, distance : ndarray, shape (n_query, k)
        As from `bedsieve.graph.knn.nearest`; changed. `distance` may have no rows.
    """
    sorted_line = line[points.row]
    first, last = _line_ranges(sorted_line, points.level)
    place = np.empty(points.row.size, np.int32)
    place[points.row] = np.arange(points.row.size, dtype=np.int32)
    wanted, max_d2 = min(min_tracks, neighbour.shape[1]), float(max_distance) ** 2
    arguments = (points, sorted_line, first, last, place, wanted, max_d2, neighbour, distance)
    in_threads(_spread, arguments, len(neighbour))


def _line_ranges(
    line: NDArray[np.int64], level: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Least and greatest line in each box: where they agree, the box holds one line only."""
    first = np.empty(level[-1], np.int64)
    last = np.empty(level[-1], np.int64)
    starts = np.arange(0, line.size, BUCKET)
    first[: level[1]] = np.minimum.reduceat(line, starts)
    last[: level[1]] = np.maximum.reduceat(line, starts)
    for up in range(1, level.size - 1):
        below = slice(level[up - 1], level[up])
        starts = np.arange(0, level[up] - level[up - 1], FAN)
        first[level[up] : level[up + 1]] = np.minimum.reduceat(first[below], starts)
        last[level[up] : level[up + 1]] = np.maximum.reduceat(last[below], starts)
    return first, last


@njit(cache=True, nogil=True)
def _spread(  # type: ignore[no-untyped-def]
    points, line, first, last, place, wanted, max_d2, neighbour, distance, begin, end
):
    k = neighbour.shape[1]
    for to in range(begin, end):
        if neighbour[to, k - 1] < 0:
            continue
        known = np.empty(k, np.int64)
        lines = 0
        for i in range(k):
            here = line[place[neighbour[to, i]]]
            if not _in(here, known, lines):
                known[lines] = here
                lines += 1
        if lines >= wanted:
            continue
        best_at = np.empty(wanted - lines, np.int64)
        best = np.empty(wanted - lines)
        found = _new_lines(
            points, line, first, last, place[to], known[:lines], max_d2, best, best_at
        )
        for f in range(found):
            gone = _farthest_double(neighbour[to], line, place)
            if gone < 0:
                break
            for i in range(gone, k - 1):
                neighbour[to, i] = neighbour[to, i + 1]
            neighbour[to, k - 1] = points.row[best_at[f]]
            if distance.shape[0]:
                for i in range(gone, k - 1):
                    distance[to, i] = distance[to, i + 1]
                distance[to, k - 1] = np.sqrt(best[f])


@njit(cache=True, nogil=True)
def _in(value, values, count):  # type: ignore[no-untyped-def]
    found = False
    for i in range(count):
        found |= values[i] == value
    return found


@njit(cache=True, nogil=True)
def _farthest_double(neighbours, line, place):  # type: ignore[no-untyped-def]
    """Slot of the farthest neighbour that shares its line with another one; -1 if none does."""
    for i in range(neighbours.size - 1, -1, -1):
        for j in range(neighbours.size):
            if j != i and line[place[neighbours[i]]] == line[place[neighbours[j]]]:
                return i
    return -1


@njit(cache=True, nogil=True)
def _new_lines(points, line, first, last, q, known, max_d2, best, best_at):  # type: ignore[no-untyped-def]
    """The nearest point of each of the nearest lines that are not known, nearest first."""
    east, north, point_id, boxes, level = (
        points.east,
        points.north,
        points.point_id,
        points.boxes,
        points.level,
    )
    x, y, most = east[q], north[q], best.size
    stack = np.empty(_STACK, np.int64)
    stack_level = np.empty(_STACK, np.int64)
    stack_d2 = np.empty(_STACK)
    stack[0], stack_level[0], stack_d2[0] = level[-1] - 1, level.size - 2, 0.0
    top, m, bound2 = 1, 0, max_d2
    while top:
        top -= 1
        if stack_d2[top] > bound2:
            continue
        node, at = stack[top], stack_level[top]
        if at == 0:
            for j in range(node * BUCKET, min((node + 1) * BUCKET, east.size)):
                d = (east[j] - x) ** 2 + (north[j] - y) ** 2
                if d > bound2 or j == q or _in(line[j], known, known.size):
                    continue
                i = 0
                while i < m and line[best_at[i]] != line[j]:
                    i += 1
                # The slot that the point would take over: its line's, a free one, or the last.
                i = min(i, most - 1)
                worst = i < m and (
                    best[i] < d or (best[i] == d and point_id[best_at[i]] < point_id[j])
                )
                if worst:
                    continue
                m = max(m, i + 1)
                while i > 0 and (
                    best[i - 1] > d or (best[i - 1] == d and point_id[best_at[i - 1]] > point_id[j])
                ):
                    best[i], best_at[i] = best[i - 1], best_at[i - 1]
                    i -= 1
                best[i], best_at[i] = d, j
                if m == most:
                    bound2 = best[most - 1]
            continue
        below = level[at - 1] + (node - level[at]) * FAN
        base = top
        for child in range(below, min(below + FAN, level[at])):
            if first[child] == last[child] and _in(first[child], known, known.size):
                continue
            dx = max(boxes[child, 0] - x, x - boxes[child, 1], 0.0)
            dy = max(boxes[child, 2] - y, y - boxes[child, 3], 0.0)
            d = dx * dx + dy * dy
            if d > bound2:
                continue
            i = top
            while i > base and stack_d2[i - 1] < d:
                stack[i], stack_level[i] = stack[i - 1], stack_level[i - 1]
                stack_d2[i] = stack_d2[i - 1]
                i -= 1
            stack[i], stack_level[i], stack_d2[i] = child, at - 1, d
            top += 1
    return m
