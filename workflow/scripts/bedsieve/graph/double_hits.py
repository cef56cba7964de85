"""Double hits: pairs of points of different lines that lie within a few metres of each other.

In: positions, lines and point_id. Out: each unordered pair once, as two arrays of rows. Points are sorted into
square cells, sixteen to a hashed block; a cell whose 3 x 3 block holds a single line is skipped, which is most of
Antarctica. Of the rest, each cell is compared with itself and with the four cells after it. A run of cells has
room for one pair a point; where there are more, they are counted first and found again.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from bedsieve.errors import BedsieveError
from bedsieve.kernels import copy_into

_CELL = 256.0  # m; measured on track-like points, 200 to 320 differ by a fifth
_RUN = 256  # cells searched by a thread at a time
_EMPTY = np.int64(-2)  # stands for the line of a cell that holds no point
_MIXED = np.int64(-1)  # stands for the line of a cell that holds several


def double_hits(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    line: NDArray[np.int64],
    point_id: NDArray[np.uint64],
    radius: float = 25.0,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find the pairs of points of different lines within `radius` of each other.

    Parameters
    ----------
    east, north : ndarray of float64, shape (n,)
        Projected positions, m; finite. Any order; sorted in space or along lines is the fastest.
    line : ndarray of int64, shape (n,)
        survey_no * 2**32 + track_id, not negative.
    point_id : ndarray of uint64, shape (n,)
    radius : float
        Largest distance of a pair, m, inclusive.

    Returns
    -------
    a, b : ndarray of int32, shape (pairs,)
        Rows of the two points, point_id[a] < point_id[b]. Their order follows that of the points,
        whatever the number of threads.

    Raises
    ------
    BedsieveError
        If the radius is not positive, or a position is not finite.

    Notes
    -----
    Study B (seed 000, A.1.1): two tracks within 25 m, "the same spot"; next time 10 m, it suggests.
    """
    if not radius > 0:
        raise BedsieveError(f"The radius of a double hit must be positive, not {radius} m.")
    if not (np.isfinite(east).all() and np.isfinite(north).all()):
        raise BedsieveError("A position is NaN or infinite. Drop such points when harmonising.")
    if east.size < 2:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    # Wider than the radius, or a pair of points on borders could round into cells that do not touch.
    cell = max(_CELL, 1.001 * radius)
    cell_of, bx, by, only, size, table = _hash_points(east, north, line, cell)
    active = _active_cells(bx, by, only, table)
    start, order, x, y, lines = _gather(east, north, line, cell_of, size, active)
    del cell_of, size
    cells = (x, y, lines, start, bx, by, only, active, table, cell, radius)
    slabs = np.empty(order.size, np.int32), np.empty(order.size, np.int32)
    offset = np.concatenate(([0], np.cumsum(_find_pairs(*cells, *slabs))))
    a, b = np.empty(offset[-1], np.int32), np.empty(offset[-1], np.int32)
    _collect(*cells, *slabs, order, point_id, offset, a, b)
    return a, b


@njit(cache=True, nogil=True, inline="always")
def _slot(x, y, mask):  # type: ignore[no-untyped-def]
    key = np.uint64(np.uint32(x)) << np.uint64(32) | np.uint64(np.uint32(y))
    key = (key ^ key >> np.uint64(29)) * np.uint64(0xBF58476D1CE4E5B9)
    return np.int64((key ^ key >> np.uint64(32)) & np.uint64(mask))


@njit(cache=True, nogil=True, inline="always")
def _find(table, bx, by, x, y):  # type: ignore[no-untyped-def]
    """The block at (x, y), or -1 - slot where it would stand in the table."""
    mask = table.size - 1
    slot = _slot(x, y, mask)
    while table[slot] >= 0:
        b = np.int64(table[slot])
        if bx[b] == x and by[b] == y:
            return b
        slot = (slot + 1) & mask
    return -1 - slot


@njit(cache=True, nogil=True, inline="always")
def _neighbour(table, bx, by, block, x, y):  # type: ignore[no-untyped-def]
    """The cell at column x and row y counted from a block's corner, or -1 if its block is empty."""
    other = block
    if x < 0 or x > 3 or y < 0 or y > 3:
        other = _find(table, bx, by, bx[block] + (x >> 2), by[block] + (y >> 2))
    return np.int64(-1) if other < 0 else other * 16 + (y & 3) * 4 + (x & 3)


@njit(cache=True, nogil=True)
def _longer(array, fill):  # type: ignore[no-untyped-def]
    result = np.full(2 * array.size, fill, array.dtype)
    copy_into(result, array)
    return result


@njit(cache=True, nogil=True)
def _rehash(bx, by, blocks):  # type: ignore[no-untyped-def]
    table = np.full(2 * bx.size, np.int32(-1))
    for b in range(blocks):
        table[-1 - _find(table, bx, by, bx[b], by[b])] = b
    return table


@njit(cache=True, nogil=True)
def _hash_points(east, north, line, cell):  # type: ignore[no-untyped-def]
    """Cell of each point; place of each block; line (if only one) and size of each cell; the table."""
    room = 1024
    bx, by = np.empty(room, np.int32), np.empty(room, np.int32)
    only, size = np.full(16 * room, _EMPTY), np.zeros(16 * room, np.int32)
    table = np.full(2 * room, np.int32(-1))
    cell_of = np.empty(east.size, np.int32)
    done = blocks = 0
    while True:
        state = bx, by, only, size, table, done, blocks
        done, blocks = _hash_some(east, north, line, cell, cell_of, *state)
        if done == east.size:
            break
        bx, by = _longer(bx, 0), _longer(by, 0)
        only, size = _longer(only, _EMPTY), _longer(size, 0)
        table = _rehash(bx, by, blocks)
    return cell_of, bx[:blocks], by[:blocks], only[: 16 * blocks], size[: 16 * blocks], table


@njit(cache=True, nogil=True)
def _hash_some(  # type: ignore[no-untyped-def]
    east, north, line, cell, cell_of, bx, by, only, size, table, done, blocks
):
    """Go on from `done` until there is no room for a block: replacing arrays inside the loop makes it slow."""
    per_metre = 1.0 / cell
    b, last_x, last_y = np.int64(-1), np.int32(0), np.int32(0)
    for i in range(done, east.size):
        cx = np.int32(np.floor(east[i] * per_metre))
        cy = np.int32(np.floor(north[i] * per_metre))
        x, y = cx >> 2, cy >> 2
        if b < 0 or x != last_x or y != last_y:
            last_x, last_y = x, y
            b = _find(table, bx, by, x, y)
            if b < 0:
                if blocks == bx.size:
                    return i, blocks
                table[-1 - b] = blocks
                b = np.int64(blocks)
                bx[b], by[b] = x, y
                blocks += 1
        c = b * 16 + (cy & 3) * 4 + (cx & 3)
        if only[c] == _EMPTY:
            only[c] = line[i]
        elif only[c] != line[i]:
            only[c] = _MIXED
        size[c] += 1
        cell_of[i] = c
    return east.size, blocks


@njit(cache=True, parallel=True, nogil=True)
def _active_cells(bx, by, only, table):  # type: ignore[no-untyped-def]
    """Whether a cell's 3 x 3 block of cells holds more than one line."""
    active = np.zeros(only.size, np.bool_)
    for b in prange(bx.size):
        block = np.int64(b)  # prange counts unsigned
        for sub in range(16):
            here = only[block * 16 + sub]
            if here == _EMPTY:
                continue
            found = here == _MIXED
            for step in range(9):
                if found:
                    break
                x, y = (sub & 3) + step % 3 - 1, (sub >> 2) + step // 3 - 1
                other = _neighbour(table, bx, by, block, x, y)
                found = other >= 0 and only[other] != _EMPTY and only[other] != here
            active[block * 16 + sub] = found
    return active


@njit(cache=True, nogil=True)
def _gather(east, north, line, cell_of, size, active):  # type: ignore[no-untyped-def]
    """The points of active cells, cell by cell: where each cell starts, rows and columns."""
    start = np.zeros(size.size + 1, np.int32)
    for c in range(size.size):
        start[c + 1] = start[c] + (size[c] if active[c] else 0)
    total = start[-1]
    order = np.empty(total, np.int32)
    x, y, lines = np.empty(total), np.empty(total), np.empty(total, np.int64)
    put = start[:-1].copy()
    for i in range(east.size):
        c = cell_of[i]
        if active[c]:
            at = put[c]
            put[c] += 1
            order[at], x[at], y[at], lines[at] = i, east[i], north[i], line[i]
    return start, order, x, y, lines


@njit(cache=True, nogil=True, inline="always")
def _gap(value, low, high):  # type: ignore[no-untyped-def]
    return max(low - value, value - high, 0.0)


@njit(cache=True, nogil=True)
def _pairs_of_cell(c, x, y, line, start, bx, by, only, table, cell, radius, out_i, out_j, at, room):  # type: ignore[no-untyped-def]
    """Count the pairs of cell c with itself and the cells after it; write the first `room` at `at`."""
    near = radius * radius
    # A border computed from a column number is off by a rounding; a cell is entered a little early.
    reach = near * (1.0 + 1e-9) + 1e-6
    found = 0
    if only[c] == _MIXED:
        for i in range(start[c], start[c + 1]):
            for j in range(i + 1, start[c + 1]):
                dx, dy = x[j] - x[i], y[j] - y[i]
                if dx * dx + dy * dy <= near and line[i] != line[j]:
                    if found < room:
                        out_i[at + found], out_j[at + found] = i, j
                    found += 1
    block, col, row = c >> 4, c & 3, c >> 2 & 3
    for step in range(4):
        px, py = col + (1 if step == 0 else step - 2), row + (0 if step == 0 else 1)
        other = _neighbour(table, bx, by, block, px, py)
        if other < 0 or start[other] == start[other + 1]:
            continue
        if only[c] != _MIXED and only[c] == only[other]:
            continue
        west, south = (bx[block] * 4 + px) * cell, (by[block] * 4 + py) * cell
        for i in range(start[c], start[c + 1]):
            gx, gy = _gap(x[i], west, west + cell), _gap(y[i], south, south + cell)
            if gx * gx + gy * gy > reach:
                continue
            for j in range(start[other], start[other + 1]):
                dx, dy = x[j] - x[i], y[j] - y[i]
                if dx * dx + dy * dy <= near and line[i] != line[j]:
                    if found < room:
                        out_i[at + found], out_j[at + found] = i, j
                    found += 1
    return found


@njit(cache=True, parallel=True, nogil=True)
def _find_pairs(x, y, line, start, bx, by, only, active, table, cell, radius, slab_i, slab_j):  # type: ignore[no-untyped-def]
    """Pairs of each run of cells, written where the run's own points stand if there is room."""
    runs = -(-only.size // _RUN)
    count = np.zeros(runs, np.int64)
    for r in prange(runs):
        first, last = np.int64(r) * _RUN, min((np.int64(r) + 1) * _RUN, only.size)
        at, end = start[first], start[last]
        found = 0
        for c in range(first, last):
            if active[c]:
                found += _pairs_of_cell(
                    c, x, y, line, start, bx, by, only, table, cell, radius,
                    slab_i, slab_j, at + found, end - at - found,
                )  # fmt: skip
        count[r] = found
    return count


@njit(cache=True, parallel=True, nogil=True)
def _collect(  # type: ignore[no-untyped-def]
    x, y, line, start, bx, by, only, active, table, cell, radius, slab_i, slab_j,
    order, point_id, offset, a, b,
):  # fmt: skip
    """Copy the pairs of each run, or find them again where they did not fit, as rows in order of id."""
    for r in prange(offset.size - 1):
        first, last = np.int64(r) * _RUN, min((np.int64(r) + 1) * _RUN, only.size)
        at, total = offset[r], offset[r + 1] - offset[r]
        if total <= start[last] - start[first]:
            for k in range(total):
                a[at + k], b[at + k] = slab_i[start[first] + k], slab_j[start[first] + k]
        else:
            found = 0
            for c in range(first, last):
                if active[c]:
                    found += _pairs_of_cell(
                        c, x, y, line, start, bx, by, only, table, cell, radius,
                        a, b, at + found, total - found,
                    )  # fmt: skip
        for k in range(at, at + total):
            one, two = order[a[k]], order[b[k]]
            if point_id[one] < point_id[two]:
                a[k], b[k] = one, two
            else:
                a[k], b[k] = two, one
