"""What makes a tile's edge table exact: how far around the tile points must have been gathered.

In: a tile, its nodes and the neighbours found. Out: the least reach with which no unseen point could
be nearer than the neighbours found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bedsieve.graph.tile_geometry import TileBox


def reach_needed(
    box: TileBox,
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    neighbour: NDArray[np.int32],
    max_neighbour_distance: float,
    further: bool = False,
) -> float:
    """Least distance around a tile within which all points must be known, m.

    A row needs all points within its k-th distance, or within `max_neighbour_distance` where a slot
    is empty. A point at distance d outside the tile has reach - d around it that was gathered; one
    inside has reach plus its distance to the nearest border.

    Parameters
    ----------
    box : TileBox
        The tile.
    east, north : ndarray of float64, shape (n,)
        Positions of all nodes, m.
    neighbour : ndarray of int32, shape (rows, k)
        Neighbours of the first nodes; -1 for an empty slot.
    max_neighbour_distance : float
        m.
    further : bool
        Whether other tracks were looked for, as far as `max_neighbour_distance`.

    Returns
    -------
    float
        0 or more.
    """
    rows = neighbour.shape[0]
    x, y, last = east[:rows], north[:rows], neighbour[:, -1]
    searched = np.hypot(east[last] - x, north[last] - y)
    searched[(last < 0) | further] = max_neighbour_distance
    west, south, right, top = box.bounds
    inside = np.minimum(np.minimum(x - west, right - x), np.minimum(y - south, top - y))
    beyond = box.distance(x, y) - np.maximum(inside, 0.0)
    return float((searched + beyond).max(initial=0.0))
