"""Many points at one place: only the k + 1 with the least point_id can be anybody's neighbours.

In: points in curve order, where coincident points stand together by point_id. Out: the points without
the deeper ones of each stack, and the rows of the neighbours of those. Without it a stack of a million
points would be searched through a million times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bedsieve.graph.grid import SortedPoints, boxed


def fold_stacks(
    points: SortedPoints, k: int
) -> tuple[SortedPoints, NDArray[np.int32], NDArray[np.int32]]:
    """Leave out the points below the first k + 1 of each stack.

    Parameters
    ----------
    points : SortedPoints
    k : int
        Neighbours of each point.

    Returns
    -------
    kept : SortedPoints
        `points` itself where no stack is that deep.
    row : ndarray of int32, shape (m,)
        Input rows of the points left out.
    neighbour : ndarray of int32, shape (m, k)
        Input rows of their neighbours, all at distance 0, by point_id.
    """
    east, north, row = points.east, points.north, points.row
    ahead = k + 1
    # Coincident points stand together, so a stack is deep where the point k + 1 places on is in it.
    deep = (east[ahead:] == east[:-ahead]) & (north[ahead:] == north[:-ahead])
    if not deep.any():
        return points, np.zeros(0, np.int32), np.zeros((0, k), np.int32)
    first = np.concatenate(([0], np.flatnonzero((np.diff(east) != 0) | (np.diff(north) != 0)) + 1))
    out = np.flatnonzero(deep) + ahead
    top = first[np.searchsorted(first, out, side="right") - 1]
    neighbour = np.empty((out.size, k), np.int32)
    for place in range(k):
        neighbour[:, place] = row[top + place]
    keep = np.ones(east.size, bool)
    keep[out] = False
    kept = boxed(east[keep], north[keep], points.point_id[keep], row[keep])
    return kept, row[out], neighbour
