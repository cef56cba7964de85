"""Unordered surveys: scattered positions in, the order of a walk from neighbour to neighbour out.

Some files list their points in no order along the line. Walking from each point to the nearest
one not yet visited restores lines well enough for along-track statistics (Study B did it for
eight surveys); it is asked for by ``order: chain`` in the sample sheet.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def chain_order(
    east: Floats, north: Floats, step: float = 5_000.0
) -> tuple[NDArray[np.int64], NDArray[np.int32], Floats]:
    """Walk through points from nearest neighbour to nearest neighbour.

    The walk begins at the first point; where no point that was not visited lies within `step`, a
    new track begins at the first point that was not visited. Of equally near points the first
    in the file is taken.

    Parameters
    ----------
    east, north : ndarray of float64, shape (n,)
        Positions (m).
    step : float
        Longest step within a track (m).

    Returns
    -------
    order : ndarray of int64, shape (n,)
        The points in the order of the walk.
    track : ndarray of int32, shape (n,)
        Track of each point (0-based, numbered along the walk).
    distance : ndarray of float64, shape (n,)
        Distance of each point from its track's first point along the walk (m).
    """
    n = len(east)
    if n == 0:
        return np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0)
    cell, columns, rows = _grid(east, north, step)
    column = ((east - east.min()) // cell).astype(np.int64)
    row = ((north - north.min()) // cell).astype(np.int64)
    place = row * columns + column
    members = np.argsort(place, kind="stable")
    first = np.searchsorted(place[members], np.arange(columns * rows + 1))
    order, track, distance = _walk(
        east, north, step, cell, columns, rows, column, row, members, first
    )
    return order, track, distance


def _grid(east: Floats, north: Floats, step: float) -> tuple[float, int, int]:
    width, height = np.ptp(east), np.ptp(north)
    # About one point a cell where points fill the area; no more than 128 cells to a step.
    cell = max(float(np.sqrt(width * height / len(east))), max(width, height) / 4_096, step / 128)
    return cell, int(width // cell) + 1, int(height // cell) + 1


@njit(cache=True, nogil=True)
def _walk(east, north, step, cell, columns, rows, column, row, members, first):  # type: ignore[no-untyped-def]
    n = len(east)
    left = first[1:] - first[:-1]
    slot = np.empty(n, np.int64)
    for k in range(n):
        slot[members[k]] = k
    order = np.empty(n, np.int64)
    track = np.empty(n, np.int32)
    distance = np.zeros(n)
    visited = np.zeros(n, np.bool_)
    here, number, unvisited = np.int64(0), np.int32(0), np.int64(0)
    rings = int(step // cell) + 1
    for k in range(n):
        order[k] = here
        track[here] = number
        visited[here] = True
        place = row[here] * columns + column[here]
        # The last point of the cell that is left takes the visited point's slot.
        last = first[place] + left[place] - 1
        moved = members[last]
        members[slot[here]] = moved
        slot[moved] = slot[here]
        members[last] = here
        slot[here] = last
        left[place] -= 1
        if k == n - 1:
            break
        best, nearest = step * step, np.int64(-1)
        for ring in range(rings + 1):
            reach = (ring - 1) * cell
            if reach > 0 and reach * reach > best:
                break
            for j in range(max(row[here] - ring, 0), min(row[here] + ring, rows - 1) + 1):
                edge = j == row[here] - ring or j == row[here] + ring
                i = column[here] - ring
                while i <= column[here] + ring:
                    if 0 <= i < columns:
                        here_first = first[j * columns + i]
                        for m in range(here_first, here_first + left[j * columns + i]):
                            other = members[m]
                            d = (east[other] - east[here]) ** 2 + (north[other] - north[here]) ** 2
                            if d < best or (d == best and (nearest < 0 or other < nearest)):
                                best, nearest = d, other
                    i += 1 if edge or ring == 0 else 2 * ring
        if nearest >= 0:
            distance[nearest] = distance[here] + np.sqrt(best)
            here = nearest
        else:
            while visited[unvisited]:
                unvisited += 1
            here = unvisited
            number += 1
    return order, track, distance
