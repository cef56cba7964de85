"""What other lines say about the thickness along a line: robust kriging from their nodes.

In: nodes, and the points that they stand for. Out: per point the thickness expected from other lines
only, its standard deviation and the number of lines that it rests on. The covariance has three parts:
terrain (Matérn 3/2, its variance measured anew around each node), an honest offset common to each
line, and noise. A line whose common offset from all the others is larger than chance allows loses its
say about the level, greedily, the worst first: so a biased line does not make its neighbours look biased.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bedsieve.detectors.segments_nodes import (
    Nodes,
    make_buckets,
    nearest_of_other_lines,
)
from bedsieve.kernels import in_threads

Floats = NDArray[np.float64]

REACH = 3000.0  # m (ours), how far a neighbour may be
_LENGTH = 2000.0  # m (ours), of the terrain's covariance
_LINE_OFFSET = 8.0  # m (ours), honest offset of a line
_NOISE = 5.0  # m (ours), of a node
_LEAST_RELIEF, _MOST_RELIEF = 20.0, 1500.0  # m (ours)
_PRIOR_RELIEF, _PRIOR_PAIRS = 120.0, 10.0  # m, pairs (ours)
_MOST, _PER_LINE = 24, 3
_SUSPECT = 3.5  # standard deviations from which a line's offset is no chance
_EXPULSIONS = 6


def expected_from_other_lines(
    east: Floats,
    north: Floats,
    nodes: Nodes,
    wanted: NDArray[np.bool_] | None = None,
    reach: float = REACH,
) -> tuple[Floats, Floats, NDArray[np.int16]]:
    """Predict the thickness at each point from the nodes of other lines.

    Parameters
    ----------
    east, north : ndarray of float64, shape (n,)
        Positions of the points to predict at, m: the first n that `nodes` were made of.
    nodes : Nodes
        Thinned lines.
    wanted : ndarray of bool, shape (m,), optional
        Nodes with a point among those; all if not given.
    reach : float
        How far (m) a node may be.

    Returns
    -------
    expected, sigma : ndarray of float64, shape (n,)
        m; NaN where no other line is within reach. `sigma` holds terrain between the lines, the
        lines' honest offsets and the noise of a node.
    lines : ndarray of int16, shape (n,)
        Lines that the expectation rests on.

    Notes
    -----
    A common offset d added to the group G has the generalised least-squares estimate
    1_G' Q y / 1_G' Q 1_G with variance 1 / 1_G' Q 1_G, Q the inverse covariance with the mean
    projected out (Dubrule 1983, leave-one-out kriging, written for a group).
    """
    n = len(east)
    expected, sigma = np.full(n, np.nan), np.full(n, np.nan)
    lines = np.zeros(n, np.int16)
    if n == 0:
        return expected, sigma, lines
    of_point = nodes.of_point[:n]
    by_node = np.argsort(of_point, kind="stable")
    first = np.searchsorted(of_point[by_node], np.arange(len(nodes.east) + 1))
    rows = np.arange(len(nodes.east)) if wanted is None else np.flatnonzero(wanted)
    of_nodes = (nodes.east, nodes.north, nodes.thickness, nodes.line, make_buckets(nodes), reach)
    in_threads(
        _predict, (rows, east, north, by_node, first, *of_nodes, expected, sigma, lines), rows.size
    )
    return expected, sigma, lines


@njit(cache=True, nogil=True)
def _terrain(d):  # type: ignore[no-untyped-def]
    scaled = np.sqrt(3.0) * d / _LENGTH
    return (1.0 + scaled) * np.exp(-scaled)


@njit(cache=True, nogil=True)
def _likeness(x, y, m):  # type: ignore[no-untyped-def]
    """Terrain correlation of each pair of nodes, and their distances (m)."""
    alike, distance = np.ones((m, m)), np.zeros((m, m))
    for j in range(m):
        for k in range(j):
            d = np.sqrt((x[j] - x[k]) ** 2 + (y[j] - y[k]) ** 2)
            alike[j, k] = alike[k, j] = _terrain(d)
            distance[j, k] = d
    return alike, distance


@njit(cache=True, nogil=True)
def _relief(alike, distance, h, line, m):  # type: ignore[no-untyped-def]
    """Terrain standard deviation from pairs of nodes: robust, so that a bad line does not set it."""
    ratio = np.empty(m * (m - 1) // 2)
    at = 0
    for j in range(m):
        for k in range(j):
            if distance[j, k] < 100.0:
                continue
            own = _NOISE**2 + (_LINE_OFFSET**2 if line[j] != line[k] else 0.0)
            apart = 1.0 - alike[j, k]
            ratio[at] = max((h[j] - h[k]) ** 2 - 2.0 * own, 0.0) / (2.0 * apart)
            at += 1
    # The median of a chi-square with one degree of freedom is 0.455.
    measured = np.median(ratio[:at]) / 0.455 if at else 0.0
    # Few pairs, or pairs along one line only, say little: a prior stands in for those that lack.
    blended = (at * measured + _PRIOR_PAIRS * _PRIOR_RELIEF**2) / (at + _PRIOR_PAIRS)
    return min(max(np.sqrt(blended), _LEAST_RELIEF), _MOST_RELIEF)


@njit(cache=True, nogil=True)
def _precision(alike, line, relief, m):  # type: ignore[no-untyped-def]
    """Inverse covariance of the nodes, by Gauss and Jordan in place: it is positive definite."""
    k = alike * (relief * relief)
    for i in range(m):
        for j in range(m):
            if line[i] == line[j]:
                k[i, j] += _LINE_OFFSET**2
        k[i, i] += _NOISE**2
    for p in range(m):
        pivot = 1.0 / k[p, p]
        k[p, p] = 1.0
        for j in range(m):
            k[p, j] *= pivot
        for i in range(m):
            if i != p:
                factor = k[i, p]
                k[i, p] = 0.0
                for j in range(m):
                    k[i, j] -= factor * k[p, j]
    return k


@njit(cache=True, nogil=True)
def _distrust(q, of, variance, m):  # type: ignore[no-untyped-def]
    """The inverse covariance once a common offset of the nodes `of` may vary by `variance` (m²)."""
    say = np.zeros(m)
    own = 0.0
    for i in range(m):
        for j in range(m):
            if of[j]:
                say[i] += q[i, j]
    for i in range(m):
        if of[i]:
            own += say[i]
    # Sherman and Morrison 1950.
    factor = variance / (1.0 + variance * own)
    for i in range(m):
        for j in range(m):
            q[i, j] -= factor * say[i] * say[j]


@njit(cache=True, nogil=True)
def _worst(q, h, line, distrusted, m):  # type: ignore[no-untyped-def]
    """The line, or single node, with the most significant offset from all the others.

    Returns its (first) node, whether it is a whole line, z and the offset (m).
    """
    row = q.sum(axis=0)
    total = row.sum()
    weighted = q @ (h - (row @ h) / total)
    worst, whole, worst_z, offset = -1, False, 0.0, 0.0
    for g in range(m):
        if distrusted[g]:
            continue
        spread = q[g, g] - row[g] * row[g] / total
        if spread > 1e-12 and abs(weighted[g]) / np.sqrt(spread) > abs(worst_z):
            worst, whole, worst_z = g, False, weighted[g] / np.sqrt(spread)
            offset = weighted[g] / spread
        top, bottom, part = 0.0, 0.0, 0.0
        first = True
        for j in range(m):
            if line[j] != line[g]:
                continue
            first = first and j >= g
            top += weighted[j]
            part += row[j]
            for i in range(m):
                if line[i] == line[g]:
                    bottom += q[i, j]
        bottom -= part * part / total
        # On a tie the line: a line that has one node here may have more elsewhere.
        if first and bottom > 1e-12 and abs(top) / np.sqrt(bottom) >= abs(worst_z):
            worst, whole, worst_z, offset = g, True, top / np.sqrt(bottom), top / bottom
    return worst, whole, worst_z, offset


@njit(cache=True, nogil=True)
def _predict(  # type: ignore[no-untyped-def]
    rows, east, north, by_node, first, node_east, node_north, node_h, node_line, buckets, reach,
    expected, sigma, lines, begin, end,
):  # fmt: skip
    for r in range(begin, end):
        a = rows[r]
        _predict_around(
            a, by_node[first[a] : first[a + 1]], east, north,
            node_east, node_north, node_h, node_line, buckets, reach, expected, sigma, lines,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _predict_around(  # type: ignore[no-untyped-def]
    a, points, east, north, node_east, node_north, node_h, node_line, buckets, reach,
    expected, sigma, lines,
):  # fmt: skip
    """Predict at the points of node `a`: they share the neighbours and the inverse covariance."""
    near, distance = np.empty(_MOST, np.int64), np.empty(_MOST)
    m = nearest_of_other_lines(
        a, node_east, node_north, node_line, buckets, reach, _MOST, _PER_LINE, near, distance
    )
    if m == 0:
        return
    near = near[:m]
    x, y, h, line = node_east[near], node_north[near], node_h[near], node_line[near]
    different = 0
    for j in range(m):
        different += not (line[:j] == line[j]).any()
    alike, between = _likeness(x, y, m)
    relief = _relief(alike, between, h, line, m)
    q = _precision(alike, line, relief, m)
    distrusted = np.zeros(m, np.bool_)
    for _ in range(_EXPULSIONS if different > 2 else 0):
        worst, whole, z, offset = _worst(q, h, line, distrusted, m)
        if abs(z) < _SUSPECT:
            break
        of = np.arange(m) == worst
        if whole:
            of = line == line[worst]
        distrusted |= of
        _distrust(q, of, 9.0 * offset * offset, m)
    row = q.sum(axis=0)
    total = row.sum()
    level = (row @ h) / total
    weighted = q @ (h - level)
    cov = np.empty(m)
    for point in points:
        for j in range(m):
            d = np.sqrt((x[j] - east[point]) ** 2 + (y[j] - north[point]) ** 2)
            cov[j] = relief**2 * _terrain(d)
        solved = q @ cov
        missing = 1.0 - solved.sum()
        variance = relief**2 - cov @ solved + missing * missing / total
        expected[point] = level + cov @ weighted
        sigma[point] = np.sqrt(max(variance, 0.0) + _NOISE**2 + _LINE_OFFSET**2)
        lines[point] = different
