"""Cleaning a support: which of its points agree with their nearest neighbours in it.

In: a gathered support. Out: its survivors, and s_max, the slope that bounds differences in it.

The 4 nearest neighbours within a support are the first 4 members in the list of a point's nearest
neighbours of all: exact, and nearly always among the first 12. Where they are not, the support is
searched in full.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bedsieve.labels.support import LISTED

NEAREST = 4  # neighbours that a support point must agree with


@njit(cache=True, nogil=True)
def clean(index, rules, support, d2, count, slot, eta, work):  # type: ignore[no-untyped-def]
    """s_max, and the number of survivors, whose rows and columns are left in `work`."""
    near, found, alive, local, columns, survivors = work
    for i in range(count):
        row = support[i]
        alive[i] = True
        local[0, i], local[1, i], local[2, i] = (
            index.east[row],
            index.north[row],
            index.thickness[row],
        )
    _find_nearest(index, support, count, slot, near, found, alive, False)
    for i in range(count):
        jump = 0.0
        for j in range(found[i]):
            jump = max(jump, abs(local[2, near[i, j]] - local[2, i]))
        alive[i] = jump <= rules.max_jump
    s_max = _steepest(index, support, d2, count, alive)
    _find_nearest(index, support, count, slot, near, found, alive, True)
    kept = 0
    for i in range(count):
        if not alive[i]:
            continue
        x, y, h = local[0, i], local[1, i], local[2, i]
        fits = True
        for j in range(found[i]):
            other = near[i, j]
            dx, dy = local[0, other] - x, local[1, other] - y
            fits = fits and in_band(abs(local[2, other] - h), dx * dx + dy * dy, s_max, eta)
        if fits:
            columns[0, kept], columns[1, kept], columns[2, kept] = x, y, h
            survivors[kept] = support[i]
            kept += 1
    return s_max, kept


@njit(cache=True, nogil=True)
def _find_nearest(index, support, count, slot, near, found, alive, again):  # type: ignore[no-untyped-def]
    """The (up to) 4 nearest living members to each; again only where one of them has died."""
    # The scan is written out, and the search of last resort has its own loop: five times as fast.
    neighbours, east, north, point_id = index.neighbours, index.east, index.north, index.point_id
    for i in range(count):
        if again:
            intact = found[i] == NEAREST
            for j in range(found[i]):
                intact = intact and alive[near[i, j]]
            if intact or not alive[i]:
                continue
        row, number = support[i], 0
        for j in range(LISTED):
            if neighbours[row, j] < 0:
                break
            member = slot[neighbours[row, j]]
            if member >= 0 and alive[member]:
                near[i, number] = member
                number += 1
                if number == NEAREST:
                    break
        found[i] = number
    for i in range(count):
        if found[i] < NEAREST and alive[i]:
            found[i] = search_support(east, north, point_id, support, count, alive, i, near)


@njit(cache=True, nogil=True)
def _steepest(index, support, d2, count, alive):  # type: ignore[no-untyped-def]
    """Twice the slope from the thinnest to the thickest living member."""
    top = bottom = -1
    for i in range(count):
        if alive[i]:
            if top < 0 or _before(index, support, d2, i, top, 1.0):
                top = i
            if bottom < 0 or _before(index, support, d2, i, bottom, -1.0):
                bottom = i
    if top < 0:
        return 0.0
    p, q = support[top], support[bottom]
    h_max = index.thickness[p] - index.thickness[q]
    if h_max == 0.0:
        return 0.0
    dx, dy = index.east[p] - index.east[q], index.north[p] - index.north[q]
    d_max = np.sqrt(dx * dx + dy * dy)
    return 2.0 * h_max / d_max if d_max > 0.0 else np.inf


@njit(cache=True, nogil=True)
def _before(index, support, d2, i, best, sign):  # type: ignore[no-untyped-def]
    """Whether i is thicker (sign 1) or thinner (-1) than best; ties: nearer the midpoint, smaller id."""
    p, q = support[i], support[best]
    h, h_best = sign * index.thickness[p], sign * index.thickness[q]
    if h != h_best:
        return h > h_best
    if d2[i] != d2[best]:
        return d2[i] < d2[best]
    return index.point_id[p] < index.point_id[q]


@njit(cache=True, nogil=True)
def in_band(dh, d2, s_max, eta):  # type: ignore[no-untyped-def]
    # s_max d is never negative: most differences are settled without the root.
    if dh <= 2.0 * eta:
        return True
    return d2 > 0.0 and dh <= s_max * np.sqrt(d2) + 2.0 * eta


@njit(cache=True, nogil=True)
def search_support(east, north, point_id, support, count, alive, me, near):  # type: ignore[no-untyped-def]
    """Write the 4 nearest living members to member `me` into its row of `near`; how many there are."""
    x, y = east[support[me]], north[support[me]]
    best = np.full(NEAREST, np.inf)
    found = 0
    for member in range(count):
        row = support[member]
        dx, dy = east[row] - x, north[row] - y
        d = dx * dx + dy * dy
        if d > best[NEAREST - 1] or member == me or not alive[member]:
            continue
        at = found
        while at > 0 and (
            d < best[at - 1]
            or (d == best[at - 1] and point_id[row] < point_id[support[near[me, at - 1]]])
        ):
            if at < NEAREST:
                best[at], near[me, at] = best[at - 1], near[me, at - 1]
            at -= 1
        if at < NEAREST:
            best[at], near[me, at] = d, member
            found = min(found + 1, NEAREST)
    return found
