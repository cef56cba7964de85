"""Nodes: a line's points thinned to one per square cell of the map, and a grid to find them by.

In: positions, thickness and line of points. Out: for each point its node, and for each node mean
position, median thickness and line. A median over a cell takes no notice of a spike, and cells are
fixed on the map, so that a node is the same in whatever tile it is made.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CELL = 200.0  # m (ours): a tenth of the shortest wavelength that matters for a bias
_BUCKET = 600.0  # m
_MAX_BUCKETS = 1 << 24


class Nodes(NamedTuple):
    """Thinned lines.

    Attributes
    ----------
    of_point : ndarray of int64, shape (n,)
        Node of each point.
    east, north, thickness : ndarray of float64, shape (m,)
        Mean position and median thickness of a node's points, m.
    line : ndarray of int64, shape (m,)
    """

    of_point: Ints
    east: Floats
    north: Floats
    thickness: Floats
    line: Ints


class Buckets(NamedTuple):
    """Nodes sorted into square buckets: `members[start[c]:start[c + 1]]` lie in bucket c."""

    west: float
    south: float
    side: float
    columns: int
    rows: int
    start: Ints
    members: Ints


def make_nodes(
    east: Floats, north: Floats, thickness: Floats, line: Ints, cell: float = CELL
) -> Nodes:
    """Thin lines to one node per line and cell.

    Parameters
    ----------
    east, north, thickness : ndarray of float64, shape (n,)
        m; finite.
    line : ndarray of int64, shape (n,)
        survey_no * 2**32 + track_id.
    cell : float
        Side of a cell (m).

    Returns
    -------
    Nodes
        Ordered by line, row and column of cells: the order of the points does not matter.
    """
    column = np.floor(east / cell).astype(np.int64)
    row = np.floor(north / cell).astype(np.int64)
    order = np.lexsort((north, east, thickness, column, row, line))
    keys = [values[order] for values in (line, row, column)]
    new = np.ones(order.size, bool)
    if order.size:
        new[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    starts = np.flatnonzero(new)
    of_point = np.empty(order.size, np.int64)
    of_point[order] = np.cumsum(new) - 1
    if not starts.size:
        none = np.zeros(0)
        return Nodes(of_point, none, none, none, np.zeros(0, np.int64))
    count = np.diff(np.append(starts, order.size))
    # Within a node the points are sorted by thickness: the median stands in the middle.
    sorted_thickness = thickness[order]
    middle = 0.5 * (
        sorted_thickness[starts + (count - 1) // 2] + sorted_thickness[starts + count // 2]
    )
    return Nodes(
        of_point,
        np.add.reduceat(east[order], starts) / count,
        np.add.reduceat(north[order], starts) / count,
        middle,
        keys[0][starts],
    )


def make_buckets(nodes: Nodes) -> Buckets:
    """Sort nodes into buckets, row by row of the map."""
    west, south = float(nodes.east.min()), float(nodes.north.min())
    width, height = float(nodes.east.max()) - west, float(nodes.north.max()) - south
    side = max(_BUCKET, float(np.sqrt(width * height / _MAX_BUCKETS)))
    columns, rows = int(width // side) + 1, int(height // side) + 1
    x = ((nodes.east - west) // side).astype(np.int64)
    y = ((nodes.north - south) // side).astype(np.int64)
    bucket = y * columns + x
    members = np.argsort(bucket, kind="stable")
    start = np.searchsorted(bucket[members], np.arange(columns * rows + 1))
    return Buckets(west, south, side, columns, rows, start.astype(np.int64), members)


@njit(cache=True, nogil=True)
def nearest_of_other_lines(  # type: ignore[no-untyped-def]
    at, east, north, line, buckets, reach, most, per_line, out, out_distance
):
    """The nearest nodes of other lines than node `at`, at most `per_line` of a line.

    Writes rows and distances (m) to `out` and `out_distance`, nearest first; returns their number.
    The search widens until `most` are found or `reach` (m) is passed.
    """
    west, south, side, columns, rows, start, members = buckets
    cx = np.int64((east[at] - west) / side)
    cy = np.int64((north[at] - south) / side)
    rings = np.int64(np.ceil(reach / side))
    room = 256
    rows_found, found_d = np.empty(room, np.int64), np.empty(room)
    candidates = 0
    taken = 0
    for ring in range(rings + 1):
        for y in range(cy - ring, cy + ring + 1):
            if y < 0 or y >= rows:
                continue
            edge = abs(y - cy) == ring
            step = 1 if edge else max(2 * ring, 1)
            for x in range(cx - ring, cx + ring + 1, step):
                if x < 0 or x >= columns:
                    continue
                for k in range(start[y * columns + x], start[y * columns + x + 1]):
                    node = members[k]
                    if line[node] == line[at]:
                        continue
                    dx, dy = east[node] - east[at], north[node] - north[at]
                    # To the millimetre, so that no rounding decides between equally far nodes.
                    d = np.rint(1e3 * np.sqrt(dx * dx + dy * dy)) * 1e-3
                    if d > reach:
                        continue
                    if candidates == room:
                        rows_found = np.concatenate((rows_found, np.empty(room, np.int64)))
                        found_d = np.concatenate((found_d, np.empty(room)))
                        room *= 2
                    rows_found[candidates], found_d[candidates] = node, d
                    candidates += 1
        # Nodes nearer than `ring` buckets are all known by now.
        if candidates < most and ring < rings:
            continue
        taken = 0
        # Ties go to the first line, whatever the order of the search: tiles must agree.
        by_row = np.argsort(rows_found[:candidates])
        order = by_row[np.argsort(found_d[by_row], kind="mergesort")]
        for k in order:
            if taken == most or (found_d[k] > ring * side and ring < rings):
                break
            same = 0
            for j in range(taken):
                same += line[out[j]] == line[rows_found[k]]
            if same < per_line:
                out[taken], out_distance[taken] = rows_found[k], found_d[k]
                taken += 1
        if taken == most:
            break
    return taken
