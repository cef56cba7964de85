"""The search for nearest neighbours: buckets of queries over a tree of boxes.

In: `SortedPoints`. Out: neighbours, written to the rows of the input. Why not a k-d tree: points that
stand side by side on the curve have nearly the same neighbours, so a bucket of 16 queries shares one
walk over the boxes, and the neighbours of one query bound the k-th distance of the next. The few
candidates within the bound are ranked by counting, without a branch. Bounds only save work: a query
for which fewer than k points were found within its bound is repeated by plain branch and bound.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from bedsieve.graph.grid import BUCKET, FAN

_BLOCK = 128  # buckets a thread takes at a time
_SLACK = 1.0 + 1e-9  # covers the rounding of a bound; the bound is checked anyway
_STACK = 16 * FAN  # boxes waiting in a walk: levels x FAN at most


@njit(cache=True, nogil=True)
def _walk(boxes, level, west, east_most, south, north_most, reach2, buckets):  # type: ignore[no-untyped-def]
    """Buckets whose box comes within `reach2` of a box; -1 if they do not fit."""
    levels = level.size - 1
    stack = np.empty(_STACK, np.int64)
    stack_level = np.empty(_STACK, np.int64)
    stack[0], stack_level[0] = level[levels] - 1, levels - 1
    top, found = 1, 0
    while top:
        top -= 1
        node, at = stack[top], stack_level[top]
        if at == 0:
            if found == buckets.size:
                return -1
            buckets[found] = node
            found += 1
            continue
        first = level[at - 1] + (node - level[at]) * FAN
        for child in range(first, min(first + FAN, level[at])):
            dx = max(boxes[child, 0] - east_most, west - boxes[child, 1], 0.0)
            dy = max(boxes[child, 2] - north_most, south - boxes[child, 3], 0.0)
            if dx * dx + dy * dy <= reach2:
                stack[top], stack_level[top] = child, at - 1
                top += 1
    return found


@njit(cache=True, nogil=True)
def _scan(east, north, first, stop, x, y, q, bound2, at, m):  # type: ignore[no-untyped-def]
    """Append the points of one bucket that lie within `bound2` of (x, y), without q."""
    for j in range(first, stop):
        dx, dy = east[np.uintp(j)] - x, north[np.uintp(j)] - y
        # Written whether wanted or not: the next one overwrites it, and nothing branches.
        at[m] = j
        m += np.uintp((dx * dx + dy * dy <= bound2) & (j != q))
    return m


@njit(cache=True, nogil=True)
def _within(east, north, boxes, walk, found, hits, q, bound2, d2, at):  # type: ignore[no-untyped-def]
    """Squared distances and places of the points of some buckets within `bound2` of q, without q."""
    x, y = east[np.uintp(q)], north[np.uintp(q)]
    n, room = east.size, d2.size - 2 * BUCKET
    hit = np.uintp(0)
    for f in range(found):
        b = np.uintp(walk[np.uintp(f)])
        dx = max(boxes[b, 0] - x, x - boxes[b, 1], 0.0)
        dy = max(boxes[b, 2] - y, y - boxes[b, 3], 0.0)
        hits[hit] = np.int64(b)
        hit += np.uintp(dx * dx + dy * dy <= bound2)
    m = np.uintp(0)
    for h in range(np.int64(hit)):
        first = hits[np.uintp(h)] * BUCKET
        if np.int64(m) > room:
            break
        if first + BUCKET <= n:
            m = _scan(east, north, first, first + BUCKET, x, y, q, bound2, at, m)
        else:
            m = _scan(east, north, first, n, x, y, q, bound2, at, m)
    for i in range(np.int64(m)):
        j = np.uintp(at[np.uintp(i)])
        dx, dy = east[j] - x, north[j] - y
        d2[np.uintp(i)] = dx * dx + dy * dy
    return np.int64(m)


@njit(cache=True, nogil=True)
def _rank(d2, at, point_id, m, ids, rank):  # type: ignore[no-untyped-def]
    """Rank of each of m candidates by (squared distance, point_id)."""
    total = 0
    padded = (m + 7) // 8 * 8  # whole vectors
    for i in range(m, padded):
        d2[i] = np.inf
    for i in range(m):
        d = d2[np.uintp(i)]
        r = 0
        for j in range(padded):
            r += d2[np.uintp(j)] < d
        rank[np.uintp(i)] = r
        total += r
    if 2 * total == m * (m - 1):
        return
    for i in range(m):
        ids[i] = point_id[at[i]]
    for i in range(m):
        d, me = d2[i], ids[i]
        r = 0
        for j in range(m):
            r += (d2[np.uintp(j)] < d) | ((d2[np.uintp(j)] == d) & (ids[np.uintp(j)] < me))
        rank[i] = r


@njit(cache=True, parallel=True, nogil=True)
def nearest_all(points, n_query, k, max_d2, neighbour, distance):  # type: ignore[no-untyped-def]
    east, north, point_id, row, boxes, level = points
    n, buckets = east.size, level[1]
    room = 64 + 4 * k  # gathered buckets
    most = 64 + 4 * k  # candidates that are ranked by counting
    for block in prange((buckets + _BLOCK - 1) // _BLOCK):
        walk, hits = np.empty(room, np.int64), np.empty(room + 1, np.int64)
        d2, at = np.empty(most + 2 * BUCKET), np.empty(most + 2 * BUCKET, np.int64)
        rank, ids = np.empty(most, np.int64), np.empty(most, np.uint64)
        best, best_at = np.empty(most), np.empty(most, np.int64)
        last, kth = 0, np.inf
        for b in range(block * _BLOCK, min((block + 1) * _BLOCK, buckets)):
            lo, hi = b * BUCKET, min((b + 1) * BUCKET, n)
            wanted = False
            for q in range(lo, hi):
                wanted |= row[q] < n_query
            if not wanted:
                continue
            mid = (lo + hi) // 2
            reach = _bound(east, north, mid, k, last, kth)
            far = 0.0
            for q in range(lo, hi):
                far = max(far, (east[q] - east[mid]) ** 2 + (north[q] - north[mid]) ** 2)
            reach2 = min(((reach + np.sqrt(far)) * _SLACK) ** 2, max_d2)
            box = boxes[b]
            found = _walk(boxes, level, box[0], box[1], box[2], box[3], reach2, walk)
            for q in range(lo, hi):
                to = row[q]
                if to >= n_query:
                    continue
                bound2 = _bound_by_last(east, north, q, k, last, kth, best_at)
                if bound2 > 4.0 * kth * kth:
                    bound2 = min(bound2, (_bound(east, north, q, k, last, kth) * _SLACK) ** 2)
                bound2 = min(bound2, max_d2)
                if found >= 0:
                    listed, limit2 = found, min(bound2, reach2)
                else:
                    x, y = east[q], north[q]
                    listed, limit2 = _walk(boxes, level, x, x, y, y, bound2, walk), bound2
                m = -1
                if listed >= 0:
                    m = _within(east, north, boxes, walk, listed, hits, q, limit2, d2, at)
                if 0 <= m <= most and (m >= k or limit2 == max_d2):
                    _rank(d2, at, point_id, m, ids, rank)
                    for i in range(m):
                        best[np.uintp(rank[i])], best_at[np.uintp(rank[i])] = d2[i], at[i]
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
