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
_ROW_BITS = 36
_ROW_MASK = (1 << _ROW_BITS) - 1


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
    """Nodes sorted into square buckets: those of bucket c are `[start[c]:start[c + 1]]` of the last arrays."""

    west: float
    south: float
    side: float
    columns: int
    rows: int
    start: Ints
    members: Ints
    east: Floats
    north: Floats
    line: Ints


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
    return Buckets(
        west, south, side, columns, rows, start.astype(np.int64), members,
        nodes.east[members], nodes.north[members], nodes.line[members],
    )  # fmt: skip


@njit(cache=True, nogil=True)
def nearest_of_other_lines(  # type: ignore[no-untyped-def]
    at, node_east, node_north, node_line, buckets, reach, most, per_line, out, out_distance
):
    """The nearest nodes of other lines than node `at`, at most `per_line` of a line.

    Writes rows and distances (m) to `out` and `out_distance`, nearest first; returns their number.
    The search widens until `most` are found or `reach` (m) is passed. Equally far nodes, to the
    millimetre, come in the order of their rows, whatever the order of the search: tiles must agree.
    """
    west, south, side, columns, rows, start, members, east, north, line = buckets
    x, y, own = node_east[at], node_north[at], node_line[at]
    furthest = np.int64(np.rint(1e3 * reach))
    cx, cy = np.int64((x - west) / side), np.int64((y - south) / side)
    rings = np.int64(np.ceil(reach / side))
    # Distance in mm above the row: whole numbers order both. The keys are kept in order.
    keys = np.empty(most, np.int64)
    lines = np.empty(most, np.int64)
    taken = 0
    within = reach + 0.001
    for ring in range(rings + 1):
        for row in range(cy - ring, cy + ring + 1):
            if row < 0 or row >= rows:
                continue
            step = 1 if abs(row - cy) == ring else max(2 * ring, 1)
            for column in range(cx - ring, cx + ring + 1, step):
                if column < 0 or column >= columns:
                    continue
                bucket = row * columns + column
                for k in range(start[bucket], start[bucket + 1]):
                    dx, dy = east[k] - x, north[k] - y
                    d = dx * dx + dy * dy
                    if line[k] == own or d > within * within:
                        continue
                    mm = np.int64(np.rint(1e3 * np.sqrt(d)))
                    if mm > furthest:
                        continue
                    taken = _keep(
                        (mm << _ROW_BITS) | members[k], line[k], keys, lines, taken, per_line
                    )
                    if taken == most:
                        within = ((keys[most - 1] >> _ROW_BITS) + 1) * 1e-3
        # Nodes nearer than `ring` buckets are all known by now.
        if taken == most and (keys[most - 1] >> _ROW_BITS) * 1e-3 <= ring * side:
            break
    for k in range(taken):
        out[k], out_distance[k] = keys[k] & _ROW_MASK, (keys[k] >> _ROW_BITS) * 1e-3
    return taken


@njit(cache=True, nogil=True)
def _keep(key, line, keys, lines, taken, per_line):  # type: ignore[no-untyped-def]
    """Put a node among the nearest `keys`, if it belongs there; returns their number.

    What goes out has as many nearer ones of its line, or of all, as may be kept, and no later node changes that.
    """
    same, out = 0, taken
    for k in range(taken - 1, -1, -1):
        if lines[k] == line:
            if same == 0:
                out = k
            same += 1
    if same < per_line:
        out = min(taken, keys.size - 1)
    if out < taken and key > keys[out]:
        return taken
    k = out
    while k > 0 and keys[k - 1] > key:
        keys[k], lines[k] = keys[k - 1], lines[k - 1]
        k -= 1
    keys[k], lines[k] = key, line
    return max(taken, out + 1)
