"""Exact k nearest neighbours in the plane.

In: positions, point_id and k. Out: for each queried row the rows of its k nearest other points and
their distances: the points are sorted along a curve (`graph.grid`), deep stacks are folded
(`graph.stacks`), and groups of queries are searched together (`graph.knn_kernels`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedsieve.errors import BedsieveError
from bedsieve.graph.grid import sort_points
from bedsieve.graph.knn_kernels import nearest_all
from bedsieve.graph.spread import spread_over_lines
from bedsieve.graph.stacks import fold_stacks


class Neighbours(NamedTuple):
    """The k nearest of each queried row, nearest first.

    Attributes
    ----------
    row : ndarray of int32, shape (n_query, k)
        Rows of the neighbours in the input; -1 for an empty slot.
    distance : ndarray of float64, shape (n_query, k)
        Distances, m; inf for an empty slot. Shape (0, k) if not asked for.
    """

    row: NDArray[np.int32]
    distance: NDArray[np.float64]


def nearest(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    point_id: NDArray[np.uint64],
    k: int = 16,
    *,
    max_distance: float = np.inf,
    n_query: int | None = None,
    distances: bool = True,
    line: NDArray[np.int64] | None = None,
    min_tracks: int = 0,
) -> Neighbours:
    """Exact k nearest neighbours by Euclidean distance, ties by point_id.

    The point itself is left out by its row: another point at the same place is a neighbour at
    distance 0. Distances are compared as dx*dx + dy*dy in float64.

    Parameters
    ----------
    east, north : ndarray of float64, shape (n,)
        Projected positions, m.
    point_id : ndarray of uint64, shape (n,)
        Unique.
    k : int
        Neighbours of each point.
    max_distance : float
        Points further away are no neighbours, m.
    n_query : int, optional
        Only the first `n_query` rows are queried; all rows are candidates. All by default.
    distances : bool
        Whether distances are wanted.
    line : ndarray of int64, shape (n,), optional
        Line of each point (survey_no * 2**32 + track_id); needed for `min_tracks` only.
    min_tracks : int
        Distinct lines that the neighbours are drawn from where they can be; see
        `bedsieve.graph.spread.spread_over_lines`.

    Raises
    ------
    BedsieveError
        If a position is not finite, k < 1, max_distance is negative, or `line` is missing.

    Notes
    -----
    Design methods.md section 1. Memory beyond input and output is about 35 bytes a point.
    """
    if k < 1:
        raise BedsieveError(f"k must be at least 1, not {k}.")
    if not max_distance >= 0:
        raise BedsieveError(f"max_distance must be 0 or more, not {max_distance} m.")
    if min_tracks > 1 and line is None:
        raise BedsieveError("min_tracks needs the line of every point.")
    east, north = np.ascontiguousarray(east, np.float64), np.ascontiguousarray(north, np.float64)
    n_query = east.size if n_query is None else n_query
    points = sort_points(east, north, point_id)
    row = np.empty((n_query, k), np.int32)
    distance = np.empty((n_query if distances else 0, k))
    if east.size:
        kept, deep, above = fold_stacks(points, k)
        nearest_all(kept, n_query, k, float(max_distance) ** 2, row, distance)
        queried = deep < n_query
        row[deep[queried]] = above[queried]
        if distances:
            distance[deep[queried]] = 0.0
        if min_tracks > 1 and line is not None:
            spread_over_lines(points, line, min_tracks, max_distance, row, distance)
    return Neighbours(row, distance)
