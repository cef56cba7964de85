"""The search for nearest neighbours: groups of queries over a tree of boxes.

In: `SortedPoints`. Out: neighbours, written to the rows of the input. Why not a k-d tree: points that
stand side by side on the curve have nearly the same neighbours, so a group of 16 queries shares one
walk over the boxes, and the neighbours of one query bound the k-th distance of the next. Boxes and
points are tried eight at a time (`graph.vectors`), and the few candidates within the bound are ranked
by counting, without a branch. Bounds only save work: a query for which fewer than k points, or very
many, were found within its bound is repeated by plain branch and bound.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bedsieve.graph.grid import BUCKET, FAN, SortedPoints
from bedsieve.graph.vectors import (
    COUNTED,
    LANES,
    count_below,
    pack_boxes,
    pack_children,
    pack_points,
)
from bedsieve.kernels import in_threads

_GROUP = 16  # queries that share a walk
_BLOCK = 128  # groups a thread takes at a time
_ROOM = 1024  # buckets in a walk
_SLACK = 1.0 + 1e-9  # covers the rounding of a bound; the bound is checked anyway
_STACK = 16 * FAN  # boxes waiting in a walk: levels x FAN at most


@njit(cache=True, nogil=True)
def _walk(boxes, level, box, reach2, nodes):  # type: ignore[no-untyped-def]
    """Buckets whose box comes within `reach2` of a box, into nodes[0]; -1 if they do not fit."""
    top = level.size - 2
    count, room = np.uintp(1), np.uintp(nodes.shape[1] - LANES)
    nodes[top & 1, 0] = level[top]
    for at in range(top, 0, -1):
        here, below = nodes[at & 1], nodes[(at - 1) & 1]
        stop, m = np.uintp(level[at]), np.uintp(0)
        for i in range(np.int64(count)):
            first = level[at - 1] + (here[np.uintp(i)] - level[at]) * FAN
            if m > room:
                return -1
            m = pack_children(boxes, np.uintp(first), stop, box, reach2, below, m)
        count = m
    return np.int64(count)


@njit(cache=True, nogil=True)
def _within(east, north, sides, nodes, found, hits, q, bound2, d2, at):  # type: ignore[no-untyped-def]
    """Squared distances and places of the points of some buckets within `bound2` of q, without q."""
    x, y = east[np.uintp(q)], north[np.uintp(q)]
    hit, room = np.uintp(0), np.uintp(sides.size // 4)
    for f in range(0, found, LANES):
        hit = pack_boxes(sides, room, nodes, np.uintp(f), x, y, bound2, hits, hit)
    # Too many overwrite each other; no early way out, for it would cost a reference count an array.
    m, most, n = np.uintp(0), np.uintp(d2.size - COUNTED), east.size
    for h in range(np.int64(hit)):
        first = np.int64(hits[np.uintp(h)]) * BUCKET
        if first + BUCKET <= n:
            m = pack_points(east, north, np.uintp(first), x, y, np.uintp(q), bound2, d2, at, m)
        else:
            for j in range(first, n):
                dx, dy = east[np.uintp(j)] - x, north[np.uintp(j)] - y
                d = dx * dx + dy * dy
                d2[m], at[m] = d, j
                m += np.uintp((d <= bound2) & (j != q))
        m = min(m, most)
    return np.int64(m)


@njit(cache=True, nogil=True)
def _order(d2, at, m, rough, best, best_at):  # type: ignore[no-untyped-def]
    """Put m candidates in order of squared distance; False if some tie and are not in order.

    Rounding to float32 keeps the order, but for ties, which the sum of the ranks gives away.
    """
    padded = (m + COUNTED - 1) // COUNTED * COUNTED
    for i in range(padded):
        rough[np.uintp(i)] = np.float32(d2[np.uintp(i)]) if i < m else np.float32(np.inf)
    total = np.uintp(0)
    for i in range(m):
        r = np.uintp(0)
        for j in range(0, padded, COUNTED):
            r += count_below(rough, np.uintp(j), rough[np.uintp(i)])
        best[r], best_at[r] = d2[np.uintp(i)], at[np.uintp(i)]
        total += r
    return 2 * np.int64(total) == m * (m - 1)


@njit(cache=True, nogil=True)
def _order_ties(d2, at, point_id, m, ids, best, best_at):  # type: ignore[no-untyped-def]
    """Put m candidates in order of (squared distance, point_id)."""
    for i in range(m):
        ids[i] = point_id[at[i]]
    for i in range(m):
        d, me = d2[i], ids[i]
        rank = 0
        for j in range(m):
            rank += (d2[np.uintp(j)] < d) | ((d2[np.uintp(j)] == d) & (ids[np.uintp(j)] < me))
        best[rank], best_at[rank] = d, at[i]


def nearest_all(
    points: SortedPoints,
    n_query: int,
    k: int,
    max_d2: float,
    neighbour: NDArray[np.int32],
    distance: NDArray[np.float64],
) -> None:
    """Fill `neighbour` and, if it has rows, `distance` with the k nearest within √`max_d2` of each query."""
    groups = -(-points.east.size // _GROUP)
    in_threads(_nearest, (points, n_query, k, max_d2, neighbour, distance), -(-groups // _BLOCK))


@njit(cache=True, nogil=True)
def _nearest(points, n_query, k, max_d2, neighbour, distance, begin, end):  # type: ignore[no-untyped-def]
    east, north, point_id, row, boxes, level = points
    n, groups = east.size, (east.size + _GROUP - 1) // _GROUP
    most = 64 + 4 * k  # candidates that are ranked by counting
    for block in range(begin, end):
        nodes, hits = np.empty((2, _ROOM), np.int32), np.empty(_ROOM, np.int32)
        listed = nodes[0]
        sides, bounds = np.empty(4 * _ROOM), np.empty(_GROUP)
        d2, at = np.empty(most + 2 * COUNTED), np.empty(most + 2 * COUNTED, np.int32)
        rough, ids = np.empty(most + COUNTED, np.float32), np.empty(most, np.uint64)
        best, best_at = np.empty(most), np.empty(most, np.int32)
        last, kth = 0, np.inf
        for group in range(block * _BLOCK, min((block + 1) * _BLOCK, groups)):
            lo, hi = group * _GROUP, min((group + 1) * _GROUP, n)
            reach = -1.0
            west = south = np.inf
            east_most = north_most = -np.inf
            for q in range(lo, hi):
                if row[q] < n_query:
                    bounds[q - lo] = _bound(east, north, q, k, last, kth)
                    reach = max(reach, bounds[q - lo])
                    west, east_most = min(west, east[q]), max(east_most, east[q])
                    south, north_most = min(south, north[q]), max(north_most, north[q])
            if reach < 0.0:
                continue
            reach2 = min((reach * _SLACK) ** 2, max_d2)
            found = _walk(boxes, level, (west, east_most, south, north_most), reach2, nodes)
            for f in range(found):
                for side in range(4):
                    sides[side * _ROOM + f] = boxes[listed[f], side]
            for f in range(found, (found + LANES - 1) // LANES * LANES):
                sides[f] = sides[2 * _ROOM + f] = np.nan  # near nothing
            for q in range(lo, hi):
                to = row[q]
                if to >= n_query:
                    continue
                bound2 = min(
                    _bound_by_last(east, north, q, k, last, kth, best_at),
                    (bounds[q - lo] * _SLACK) ** 2,
                    max_d2,
                )
                m = -1
                if found >= 0:
                    m = _within(east, north, sides, listed, found, hits, q, bound2, d2, at)
                if 0 <= m <= most and (m >= k or bound2 == max_d2):
                    if not _order(d2, at, m, rough, best, best_at):
                        _order_ties(d2, at, point_id, m, ids, best, best_at)
                    m = min(m, k)
                else:
                    m = _search(points, q, k, bound2, best, ids, best_at)
                    if m < k and bound2 < max_d2:
                        m = _search(points, q, k, max_d2, best, ids, best_at)
                for i in range(m):
                    neighbour[to, i] = row[best_at[np.uintp(i)]]
                neighbour[to, m:] = -1
                if distance.shape[0]:
                    for i in range(m):
                        distance[to, i] = np.sqrt(best[np.uintp(i)])
                    distance[to, m:] = np.inf
                last = q
                kth = np.sqrt(best[k - 1]) if m == k else np.inf


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _bound(east, north, q, k, last, kth):  # type: ignore[no-untyped-def]
    """An upper bound of the k-th distance of q: from the curve, and from the query before."""
    n = east.size
    x, y = east[q], north[q]
    bound2 = np.inf
    if n > k:
        start = min(max(q - k // 2, 0), n - k - 1)
        bound2 = 0.0
        for j in range(start, start + k + 1):
            dx, dy = east[j] - x, north[j] - y
            bound2 = max(bound2, dx * dx + dy * dy)
    dx, dy = east[last] - x, north[last] - y
    return min(np.sqrt(bound2), kth + np.sqrt(dx * dx + dy * dy))


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _bound_by_last(east, north, q, k, last, kth, best_at):  # type: ignore[no-untyped-def]
    """Square of the distance from q to the furthest neighbour of the query before.

    Where q is such a neighbour, the query before stands in for it.
    """
    if kth == np.inf:
        return np.inf
    x, y = east[np.uintp(q)], north[np.uintp(q)]
    bound2 = 0.0
    for i in range(k):
        j = best_at[np.uintp(i)]
        j = np.uintp(last if j == q else j)
        dx, dy = east[j] - x, north[j] - y
        bound2 = max(bound2, dx * dx + dy * dy)
    return bound2


@njit(cache=True, nogil=True)
def _search(points, q, k, bound2, best, best_id, best_at):  # type: ignore[no-untyped-def]
    """Branch and bound for one query: nearest boxes first, the bound shrinks as points are found."""
    east, north, point_id, _, boxes, level = points
    levels = level.size - 1
    x, y = east[q], north[q]
    stack = np.empty(_STACK, np.int64)
    stack_level = np.empty(_STACK, np.int64)
    stack_d2 = np.empty(_STACK)
    stack[0], stack_level[0], stack_d2[0] = level[levels] - 1, levels - 1, 0.0
    top, m = 1, 0
    while top:
        top -= 1
        if stack_d2[top] > bound2:
            continue
        node, at = stack[top], stack_level[top]
        if at == 0:
            for j in range(node * BUCKET, min((node + 1) * BUCKET, east.size)):
                dx, dy = east[j] - x, north[j] - y
                d = dx * dx + dy * dy
                if d > bound2 or j == q:
                    continue
                me = point_id[j]
                if m == k and d == best[m - 1] and me > best_id[m - 1]:
                    continue
                i = m if m < k else k - 1
                while i > 0 and (best[i - 1] > d or (best[i - 1] == d and best_id[i - 1] > me)):
                    best[i], best_id[i], best_at[i] = best[i - 1], best_id[i - 1], best_at[i - 1]
                    i -= 1
                best[i], best_id[i], best_at[i] = d, me, j
                m = min(m + 1, k)
                if m == k:
                    bound2 = best[k - 1]
            continue
        first = level[at - 1] + (node - level[at]) * FAN
        base = top
        for child in range(first, min(first + FAN, level[at])):
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
