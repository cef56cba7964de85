"""Points sorted along a Hilbert curve, and a tree of boxes over them.

In: positions (east, north) and point_id. Out: a permutation that puts neighbours in space beside
each other in memory, and `SortedPoints`, which adds the bounding boxes of every run of `BUCKET`
points, of every `FAN` runs, and so on up to one root. Buckets hold a fixed number of points, so
they are small where radar lines are dense and large where nobody has flown: a uniform grid would
need one cell size for both. The boxes are exact, so searches over them are exact whatever the
curve does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, njit
from numpy.typing import NDArray

from bedsieve.errors import BedsieveError
from bedsieve.kernels import copy_into, in_threads

BUCKET = 8  # points in a leaf box; as many as `graph.vectors` tries at once
FAN = 8  # boxes under a box; likewise
_BITS = 32  # of the curve, on each axis
_DIGIT = 8  # bits sorted in one pass
_HALF = 1 << 31


def _hilbert_tables() -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Digits and next states of four curve levels at once, from the one-level definition.

    A state is (swap the axes, flip both); the four quadrants are visited as
    (0, 0), (0, 1), (1, 1), (1, 0).
    """
    digits = np.zeros(1024, np.uint64)
    states = np.zeros(1024, np.int64)
    for start in range(4):
        for x4 in range(16):
            for y4 in range(16):
                swap, flip, digit = start & 1, start >> 1, 0
                for level in (3, 2, 1, 0):
                    x, y = (x4 >> level & 1) ^ flip, (y4 >> level & 1) ^ flip
                    if swap:
                        x, y = y, x
                    digit = digit << 2 | (3 * x) ^ y
                    if y == 0:
                        swap ^= 1
                        flip ^= x
                cell = start << 8 | x4 << 4 | y4
                digits[cell], states[cell] = digit, swap | flip << 1
    return digits, states


_DIGITS, _STATES = _hilbert_tables()


def _curve_keys(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    east_0: float,
    north_0: float,
    cell: float,
    offset: int,
) -> NDArray[np.uint64]:
    """Place along the curve of the cell that each point lies in, (0, 0) being that of the cell at `offset`."""
    keys = np.empty(east.size, np.uint64)
    in_threads(_keys, (east, north, east_0, north_0, cell, offset, keys), east.size)
    return keys


@njit(cache=True, nogil=True)
def _keys(east, north, east_0, north_0, cell, offset, keys, first, last):  # type: ignore[no-untyped-def]
    top = np.int64(4294967295)
    for i in range(first, last):
        x = min(np.int64(np.floor((east[i] - east_0) / cell)) + offset, top)
        y = min(np.int64(np.floor((north[i] - north_0) / cell)) + offset, top)
        state = np.int64(0)
        key = np.uint64(0)
        for step in range(8):
            shift = 28 - 4 * step
            at = state << 8 | ((x >> shift) & 15) << 4 | ((y >> shift) & 15)
            key = key << np.uint64(8) | _DIGITS[at]
            state = _STATES[at]
        keys[i] = key


def _radix_pass(
    keys: NDArray[np.uint64],
    rows: NDArray[np.int32],
    out_keys: NDArray[np.uint64],
    out_rows: NDArray[np.int32],
    shift: int,
) -> bool:
    """One stable pass over `_DIGIT` bits; False, and nothing moved, if all keys share them."""
    parts = get_num_threads()
    count = np.zeros((parts, 1 << _DIGIT), np.int64)
    in_threads(_count_digits, (keys, np.uint64(shift), count), parts, 1)
    if count.sum(0).max() == keys.size:
        return False
    by_digit = count.T.ravel()
    place = np.ascontiguousarray((np.cumsum(by_digit) - by_digit).reshape(-1, parts).T)
    in_threads(_move, (keys, rows, out_keys, out_rows, np.uint64(shift), place), parts, 1)
    return True


@njit(cache=True, nogil=True)
def _count_digits(keys, shift, count, first, last):  # type: ignore[no-untyped-def]
    parts, mask = count.shape[0], np.uint64((1 << _DIGIT) - 1)
    for part in range(first, last):
        for i in range(keys.size * part // parts, keys.size * (part + 1) // parts):
            count[part, np.int64(keys[i] >> shift & mask)] += 1


@njit(cache=True, nogil=True)
def _move(keys, rows, out_keys, out_rows, shift, place, first, last):  # type: ignore[no-untyped-def]
    parts, mask = place.shape[0], np.uint64((1 << _DIGIT) - 1)
    for part in range(first, last):
        for i in range(keys.size * part // parts, keys.size * (part + 1) // parts):
            digit = np.int64(keys[i] >> shift & mask)
            to = place[part, digit]
            place[part, digit] = to + 1
            out_keys[to] = keys[i]
            out_rows[to] = rows[i]


def _sort_rows(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Sorted keys and the stable permutation that sorts them; `keys` is used as scratch."""
    rows = np.arange(keys.size, dtype=np.int32)
    if keys.size < 2 or bool((keys[1:] >= keys[:-1]).all()):
        return keys, rows
    other_keys, other_rows = np.empty_like(keys), np.empty_like(rows)
    for shift in range(0, 2 * _BITS, _DIGIT):
        if _radix_pass(keys, rows, other_keys, other_rows, shift):
            keys, other_keys = other_keys, keys
            rows, other_rows = other_rows, rows
    return keys, rows


def _settle_ties(
    keys: NDArray[np.uint64], rows: NDArray[np.int32], by: tuple[NDArray[np.generic], ...]
) -> None:
    """Sort the rows inside every run of equal keys by the columns `by`, the first one first."""
    same = keys[1:] == keys[:-1]
    if not same.any():
        return
    tied = np.zeros(keys.size, bool)
    tied[1:] = same
    tied[:-1] |= same
    at = np.flatnonzero(tied)
    members = rows[at]
    order = np.lexsort((*(column[members] for column in reversed(by)), keys[at]))
    rows[at] = members[order]


def _check(east: NDArray[np.float64], north: NDArray[np.float64]) -> None:
    if east.size >= 2**31:
        raise BedsieveError(f"{east.size} points are too many for one table. Use smaller tiles.")
    if not (np.isfinite(east).all() and np.isfinite(north).all()):
        raise BedsieveError("A position is NaN or infinite. Drop such points when harmonising.")


def space_order(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    point_id: NDArray[np.uint64],
    cell: float = 1.0,
) -> NDArray[np.int32]:
    """Order of points along a Hilbert curve over square cells, ties by point_id.

    The curve is fixed in the plane (cell corners at multiples of `cell`), so two points keep
    their order whatever other points stand beside them.

    Parameters
    ----------
    east, north : ndarray of float64, shape (n,)
        Projected positions, m.
    point_id : ndarray of uint64, shape (n,)
    cell : float
        Side of a cell, m.

    Returns
    -------
    ndarray of int32, shape (n,)
        Rows in the order of the curve.

    Raises
    ------
    BedsieveError
        If a position is not finite, or further than 2**31 cells from the origin.
    """
    _check(east, north)
    if not cell > 0:
        raise BedsieveError(f"The cell of a space order must be positive, not {cell} m.")
    for axis in (east, north):
        if axis.size and max(-axis.min(), axis.max()) >= cell * _HALF:
            raise BedsieveError(f"A position is too far out for cells of {cell} m. Enlarge them.")
    keys, rows = _sort_rows(_curve_keys(east, north, 0.0, 0.0, float(cell), _HALF))
    _settle_ties(keys, rows, (point_id,))
    return rows


class SortedPoints(NamedTuple):
    """Points along the curve, with their boxes.

    Attributes
    ----------
    east, north : ndarray of float64, shape (m,)
        Positions in curve order, m; coincident points stand together, by point_id.
    point_id : ndarray of uint64, shape (m,)
    row : ndarray of int32, shape (m,)
        Row of each point in the input.
    boxes : ndarray of float64, shape (nodes + FAN, 4)
        West, east, south and north border of each box; the buckets first, the root last. The
        rows after it mean nothing: they let `FAN` boxes be read from anywhere.
    level : ndarray of int64, shape (levels + 1,)
        Where each level of boxes starts in `boxes`.
    """

    east: NDArray[np.float64]
    north: NDArray[np.float64]
    point_id: NDArray[np.uint64]
    row: NDArray[np.int32]
    boxes: NDArray[np.float64]
    level: NDArray[np.int64]


def sort_points(
    east: NDArray[np.float64], north: NDArray[np.float64], point_id: NDArray[np.uint64]
) -> SortedPoints:
    """Sort points along a Hilbert curve as fine as their extent allows, and box them.

    Parameters
    ----------
    east, north : ndarray of float64, shape (n,)
        Projected positions, m; all finite.
    point_id : ndarray of uint64, shape (n,)

    Raises
    ------
    BedsieveError
        If a position is not finite.
    """
    _check(east, north)
    if east.size == 0:
        empty = np.zeros(0)
        no_id, no_row = np.zeros(0, np.uint64), np.zeros(0, np.int32)
        return SortedPoints(empty, empty, no_id, no_row, np.zeros((0, 4)), np.zeros(1, np.int64))
    extent = max(float(np.ptp(east)), float(np.ptp(north)))
    cell = extent / 4294967295.0 if extent > 1e-290 else 1.0
    keys, rows = _sort_rows(_curve_keys(east, north, east.min(), north.min(), cell, 0))
    _settle_ties(keys, rows, (east, north, point_id))
    del keys
    return boxed(east[rows], north[rows], point_id[rows], rows)


def boxed(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    point_id: NDArray[np.uint64],
    row: NDArray[np.int32],
) -> SortedPoints:
    """Put the tree of boxes over points that stand in curve order already."""
    sizes: list[int] = [-(-east.size // BUCKET)]
    while sizes[-1] > 1:
        sizes.append(-(-sizes[-1] // FAN))
    level = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    boxes = np.empty((level[-1] + FAN, 4))
    in_threads(_bucket_boxes, (east, north, boxes), sizes[0])
    for up in range(1, len(sizes)):
        _upper_boxes(boxes, level[up - 1], level[up], level[up + 1])
    return SortedPoints(east, north, point_id, row, boxes, level)


@njit(cache=True, nogil=True)
def _bucket_boxes(east, north, boxes, first, last):  # type: ignore[no-untyped-def]
    for b in range(first, last):
        west = south = np.inf
        east_most = north_most = -np.inf
        for i in range(b * BUCKET, min((b + 1) * BUCKET, east.size)):
            west, east_most = min(west, east[i]), max(east_most, east[i])
            south, north_most = min(south, north[i]), max(north_most, north[i])
        boxes[b, 0], boxes[b, 1], boxes[b, 2], boxes[b, 3] = west, east_most, south, north_most


@njit(cache=True, nogil=True)
def _upper_boxes(boxes, below, here, end):  # type: ignore[no-untyped-def]
    for b in range(here, end):
        first = below + (b - here) * FAN
        copy_into(boxes[b], boxes[first])
        for c in range(first + 1, min(first + FAN, here)):
            boxes[b, 0] = min(boxes[b, 0], boxes[c, 0])
            boxes[b, 1] = max(boxes[b, 1], boxes[c, 1])
            boxes[b, 2] = min(boxes[b, 2], boxes[c, 2])
            boxes[b, 3] = max(boxes[b, 3], boxes[c, 3])
