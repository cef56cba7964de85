"""Exact copies: positions and thicknesses in, what becomes of each row out.

A survey may list a position twice, within a file or in two releases. Copies that agree are one
measurement and become their mean; copies that do not agree cannot both be right, and nothing
says which is, so none is kept (Study B).

`merge_duplicates` is the rule itself, on arrays in memory; the tile stage uses it too.
`Suspects` finds, in one pass over any number of rows and bounded memory, the few rows that may
have a copy at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

UNIQUE, MERGED, CONFLICT = 0, 1, 2
MAX_RELATIVE_STD = 0.10


@dataclass(frozen=True)
class Duplicates:
    """What becomes of each row.

    Attributes
    ----------
    kept : ndarray of bool, shape (n,)
        Rows that remain: those without a copy, and the first of copies that agree.
    ice_thickness : ndarray of float64, shape (n,)
        Mean over the copies for the kept row of a group, the row's own value elsewhere (m).
    kept_row : ndarray of int64, shape (n,)
        Index of the row that carries this row's mean: itself where kept, -1 where all copies
        are dropped.
    code : ndarray of uint8, shape (n,)
        `UNIQUE` where kept, `MERGED` into another row, or dropped by `CONFLICT`.
    """

    kept: NDArray[np.bool_]
    ice_thickness: Floats
    kept_row: NDArray[np.int64]
    code: NDArray[np.uint8]


def merge_duplicates(
    keys: tuple[ArrayLike, ...],
    ice_thickness: ArrayLike,
    order: ArrayLike,
    max_relative_std: float = MAX_RELATIVE_STD,
) -> Duplicates:
    """Merge rows with equal keys to their mean thickness, or drop them all (Study B).

    Parameters
    ----------
    keys : tuple of array-like, each of shape (n,)
        Rows are copies of each other where all keys are exactly equal: (lon, lat) or
        (east, north). No NaN.
    ice_thickness : array-like, shape (n,)
        Thickness (m), > 0.
    order : array-like, shape (n,)
        Decides which of the copies is the first one, which stays (row number or point_id).
    max_relative_std : float
        Largest standard deviation (ddof 1) over mean for copies to agree.

    Returns
    -------
    Duplicates
        Independent of the sequence of the rows, given `order`.
    """
    thickness = np.asarray(ice_thickness, dtype=np.float64)
    n = len(thickness)
    columns = [np.asarray(key) for key in keys]
    by_key = np.lexsort((np.asarray(order), *reversed(columns)))
    new = np.ones(n, dtype=bool)
    if n:
        same = np.ones(n - 1, dtype=bool)
        for column in columns:
            same &= column[by_key[1:]] == column[by_key[:-1]]
        new[1:] = ~same
    starts = np.flatnonzero(new)
    sizes = np.diff(starts, append=n)
    group = np.repeat(np.arange(len(starts)), sizes)
    value = thickness[by_key]
    mean = np.add.reduceat(value, starts) / sizes if n else value
    # Deviations from the mean, not sums of squares: those cancel at 4,000 m and 1 cm.
    square = np.add.reduceat((value - mean[group]) ** 2, starts) if n else value
    std = np.sqrt(square / np.maximum(sizes - 1, 1))
    agree = std <= max_relative_std * mean
    carrier = by_key[starts]

    kept, code = np.zeros(n, dtype=bool), np.full(n, CONFLICT, dtype=np.uint8)
    kept_row = np.full(n, -1, dtype=np.int64)
    code[by_key[agree[group]]] = MERGED
    kept_row[by_key] = np.where(agree[group], carrier[group], -1)
    kept[carrier[agree]] = True
    code[kept] = UNIQUE
    merged = thickness.copy()
    merged[carrier[agree & (sizes > 1)]] = mean[agree & (sizes > 1)]
    return Duplicates(kept, merged, kept_row, code)


def merge_positions(
    lonlat: tuple[Floats, Floats],
    eastnorth: tuple[Floats, Floats],
    ice_thickness: Floats,
    order: ArrayLike,
    max_relative_std: float = MAX_RELATIVE_STD,
) -> Duplicates:
    """`merge_duplicates` by (lon, lat), then by (east, north) among what that kept (Study B)."""
    first = merge_duplicates(lonlat, ice_thickness, order, max_relative_std)
    left = np.flatnonzero(first.kept)
    second = merge_duplicates(
        (eastnorth[0][left], eastnorth[1][left]),
        first.ice_thickness[left],
        np.asarray(order)[left],
        max_relative_std,
    )
    # What the second step makes of a row holds for all rows that the first merged into it too.
    final = np.full(len(ice_thickness), -1, dtype=np.int64)
    final[left] = np.where(second.kept_row >= 0, left[second.kept_row], -1)
    kept_row = np.where(first.kept_row >= 0, final[first.kept_row], -1)
    thickness = np.asarray(ice_thickness, dtype=np.float64).copy()
    thickness[left] = second.ice_thickness
    kept = kept_row == np.arange(len(kept_row))
    code = np.where(kept, UNIQUE, np.where(kept_row >= 0, MERGED, CONFLICT)).astype(np.uint8)
    return Duplicates(kept, thickness, kept_row, code)


class Suspects:
    """The rows that may have a copy, found in memory of a fixed size.

    Two bit arrays remember which hash values of (east, north) were met once and more than once.
    Every true copy is suspected; the share of others suspected by chance grows with the number
    of rows over the number of bits.

    Parameters
    ----------
    rows : int
        About how many rows to expect.
    most_bits : int
        Size of each array at most (a power of two); 2²⁸ bits are 32 MiB.
    """

    def __init__(self, rows: int, most_bits: int = 1 << 28) -> None:
        bits = min(1 << max(int(16 * max(rows, 1)).bit_length(), 16), most_bits)
        self._mask = np.uint64(bits - 1)
        self._once = np.zeros(bits >> 6, dtype=np.uint64)
        self._again = np.zeros(bits >> 6, dtype=np.uint64)

    def add(self, east: Floats, north: Floats, valid: NDArray[np.bool_]) -> None:
        """Remember the positions of the valid rows."""
        _remember(east, north, valid, self._mask, self._once, self._again)

    def among(self, east: Floats, north: Floats, valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which valid rows may have a copy among all the rows that were added."""
        return np.asarray(_recall(east, north, valid, self._mask, self._again))


@njit(cache=True, nogil=True)
def _hashes(east, north):  # type: ignore[no-untyped-def]
    # + 0.0 makes -0.0 and 0.0, which are equal, one pattern of bits.
    x = (east + 0.0).view(np.uint64)
    y = (north + 0.0).view(np.uint64)
    h = x * np.uint64(0x9E3779B97F4A7C15) ^ (y + np.uint64(0x632BE59BD9B4E019))
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@njit(cache=True, nogil=True)
def _remember(east, north, valid, mask, once, again):  # type: ignore[no-untyped-def]
    hashes = _hashes(east, north)
    for k in range(len(hashes)):
        if valid[k]:
            slot = hashes[k] & mask
            word, bit = slot >> np.uint64(6), np.uint64(1) << (slot & np.uint64(63))
            if once[word] & bit:
                again[word] |= bit
            else:
                once[word] |= bit


@njit(cache=True, nogil=True)
def _recall(east, north, valid, mask, again):  # type: ignore[no-untyped-def]
    hashes = _hashes(east, north)
    out = np.zeros(len(hashes), np.bool_)
    for k in range(len(hashes)):
        if valid[k]:
            slot = hashes[k] & mask
            out[k] = (again[slot >> np.uint64(6)] >> (slot & np.uint64(63))) & np.uint64(1) != 0
    return out


def position_shares(east: Floats, north: Floats, shares: int) -> NDArray[np.int64]:
    """A number 0..shares-1 for each position, the same for copies, to treat them in parts."""
    # Other bits than those that `Suspects` looks at, which are alike among its suspects.
    return np.asarray((_hashes(east, north) >> np.uint64(34)) % np.uint64(shares), dtype=np.int64)
