"""Exact 16 nearest neighbours beside scipy's cKDTree and pykdtree: building the index and querying it.

All start from positions as (n,) or (n, 2) float64 and end with indices and float64 distances. The
points follow flight lines; `bench.knn_shuffled` has the same points in random order.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bedsieve.graph.knn import nearest
from bedsieve.simulate.scale import track_points
from bench.side_by_side import REPEATS, compare, seconds

K = 16


def _peers(east: np.ndarray, north: np.ndarray) -> dict[str, Callable[[], Any]]:
    from pykdtree.kdtree import KDTree
    from scipy.spatial import cKDTree

    positions = np.column_stack([east, north])
    return {
        "scipy cKDTree(workers=-1)": lambda: cKDTree(positions).query(positions, K + 1, workers=-1),
        "pykdtree": lambda: KDTree(positions).query(positions, K + 1),
    }


def _check(east: np.ndarray, north: np.ndarray, point_id: np.ndarray) -> None:
    """The peers find the same distances, or the comparison means nothing."""
    found = nearest(east, north, point_id, K).distance
    for name, peer in _peers(east, north).items():
        if not np.allclose(peer()[0][:, 1:], found, rtol=1e-12, atol=1e-9):
            raise ValueError(f"{name} and bedsieve find different neighbours")


def run(n: int) -> list[dict[str, Any]]:
    """Rows for n points in the order of flight."""
    columns = columns_of(n)
    _check(*(column[: min(n, 200_000)] for column in columns))
    growth = _growth(n)
    return [{**row, "cpu_growth_per_4x": growth} for row in rows(f"{K}-NN", *columns)]


def columns_of(n: int) -> tuple[np.ndarray, ...]:
    """East, north and point_id of n points in the order of flight."""
    points = track_points(n)
    return tuple(points[name] for name in ("east", "north", "point_id"))


def rows(
    stage: str, east: np.ndarray, north: np.ndarray, point_id: np.ndarray
) -> list[dict[str, Any]]:
    """Rows for these points, a peer each."""
    n = east.size
    compared = compare(stage, n, lambda: nearest(east, north, point_id, K), _peers(east, north))
    output = K * (4 + 8)
    return [
        {**row, "bytes_per_point_without_output": row["bytes_per_point"] - output}
        for row in compared
    ]


def _growth(n: int) -> float:
    """Growth of processor time a point from n / 4 to n points."""
    per_point = []
    for size in (n // 4, n):
        columns = columns_of(size)
        runs = [seconds(partial(nearest, *columns, K))[1] for _ in range(REPEATS)]
        per_point.append(statistics.median(runs) / size)
    return per_point[1] / per_point[0]
