"""Double hits within 25 m beside scipy: cKDTree, all pairs within 25 m, those of one line taken out.

Both start from positions and lines as arrays, in the order of flight, and end with two arrays of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bedsieve.graph.double_hits import double_hits
from bedsieve.graph.lines import line_of
from bedsieve.simulate.scale import track_points
from bench.side_by_side import compare

RADIUS = 25.0


def _scipy_pairs(east: np.ndarray, north: np.ndarray, line: np.ndarray) -> np.ndarray:
    from scipy.spatial import cKDTree

    tree = cKDTree(np.column_stack([east, north]))
    pairs = tree.query_pairs(RADIUS, output_type="ndarray")
    return pairs[line[pairs[:, 0]] != line[pairs[:, 1]]]


def run(n: int) -> list[dict[str, Any]]:
    """Rows for n points; bytes_per_point is that of ours beside its output."""
    points = track_points(n)
    line = line_of(points["survey_no"], points["track_id"])
    east, north, ids = points["east"], points["north"], points["point_id"]
    del points
    part = slice(0, min(n, 200_000))
    double_hits(east[part], north[part], line[part], ids[part], RADIUS)
    a, _ = double_hits(east, north, line, ids, RADIUS)
    if a.size != len(_scipy_pairs(east, north, line)):
        raise ValueError("scipy and bedsieve find different pairs")
    peers = {"scipy query_pairs + filter": lambda: _scipy_pairs(east, north, line)}
    rows = compare(
        "double hits, 25 m", n, lambda: double_hits(east, north, line, ids, RADIUS), peers
    )
    beside = rows[0]["bytes_per_point"] - 8 * a.size / n
    return [{**row, "pairs": a.size, "bytes_per_point": beside} for row in rows]
