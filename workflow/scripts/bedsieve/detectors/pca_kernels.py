"""The two passes over a tile's features: moments for a covariance, and reconstruction errors.

In: a row-major float32 or float64 feature matrix, NaN where a value is missing. Out: sums over the
pairs of features that a row has, and per row the mean squared error of its reconstruction. Both run
over fixed blocks of rows whose results are added in block order, so threads change nothing. Inside,
a few hundred rows at a time are turned to column order, where arithmetic runs in vectors; the rows
that lack a value are taken one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from bedsieve.kernels import in_threads

Floats = npt.NDArray[np.float64]

_BLOCK = 16384
_LANES = 256


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _dot(a: Floats, b: Floats) -> float:
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _sum(a: Floats) -> float:
    total = 0.0
    for i in range(a.size):
        total += a[i]
    return total


@njit(cache=True, nogil=True)
def _add_partial_row(x: Floats, counts: Floats, sums: Floats, products: Floats) -> None:
    """Add a row that lacks values, over the pairs that it has."""
    for a in range(x.size):
        for b in range(x.size):
            if x[a] == x[a] and x[b] == x[b]:
                counts[a, b] += 1
                sums[a, b] += x[a]
                products[a, b] += x[a] * x[b]


@njit(cache=True, nogil=True)
def _add_block(
    X: npt.NDArray[Any],
    columns: npt.NDArray[np.int64],
    shift: Floats,
    counts: Floats,
    sums: Floats,
    products: Floats,
) -> None:
    p = columns.size
    lanes = np.empty((p, _LANES))
    row_sums = np.empty(_LANES)
    for start in range(0, X.shape[0], _LANES):
        rows = X[start : min(X.shape[0], start + _LANES)]
        size = rows.shape[0]
        row_sums[:] = 0.0
        for j in range(p):
            for i in range(size):
                lanes[j, i] = rows[i, columns[j]] - shift[j]
            for i in range(size):
                row_sums[i] += lanes[j, i]
        whole = size
        for i in range(size):
            if row_sums[i] != row_sums[i]:
                whole -= 1
                _add_partial_row(lanes[:, i].copy(), counts, sums, products)
                lanes[:, i] = 0.0
        for a in range(p):
            a_sum = _sum(lanes[a, :size])
            for b in range(p):
                counts[a, b] += whole
                sums[a, b] += a_sum
            for b in range(a, p):
                product = _dot(lanes[a, :size], lanes[b, :size])
                products[a, b] += product
                if b != a:
                    products[b, a] += product


def pair_moments(
    X: npt.NDArray[Any], columns: npt.NDArray[np.int64], shift: Floats
) -> tuple[Floats, Floats, Floats]:
    """Counts, sums and products over the rows that have both features of a pair.

    Parameters
    ----------
    X : (n, m) float array
        Features; NaN where missing.
    columns : (p,) int64 array
        The columns of `X` to use.
    shift : (p,) float64 array
        Subtracted first, so that large means cost no digits.

    Returns
    -------
    counts, sums, products : (p, p) float64 arrays
        Over the rows with both a and b: their number, the sum of x_a, the sum of x_a x_b.
    """
    p = columns.size
    blocks = max(1, (X.shape[0] + _BLOCK - 1) // _BLOCK)
    counts = np.zeros((blocks, p, p))
    sums = np.zeros((blocks, p, p))
    products = np.zeros((blocks, p, p))
    in_threads(_add_blocks, (X, columns, shift, counts, sums, products), blocks)
    for block in range(1, blocks):
        counts[0] += counts[block]
        sums[0] += sums[block]
        products[0] += products[block]
    return counts[0], sums[0], products[0]


@njit(cache=True, nogil=True)
def _add_blocks(X, columns, shift, counts, sums, products, first, last):  # type: ignore[no-untyped-def]
    for block in range(first, last):
        rows = X[block * _BLOCK : min(X.shape[0], (block + 1) * _BLOCK)]
        _add_block(rows, columns, shift, counts[block], sums[block], products[block])


def whole_row_errors(
    X: npt.NDArray[Any],
    columns: npt.NDArray[np.int64],
    centre: Floats,
    scale: Floats,
    discarded: Floats,
    out: npt.NDArray[Any],
) -> npt.NDArray[np.bool_]:
    """Mean squared error of the reconstruction of each row that has every feature.

    Parameters
    ----------
    X : (n, m) float array
        Features; NaN where missing.
    columns : (p,) int64 array
        The columns of `X` that the model uses.
    centre, scale : (p,) float64 arrays
        Standardisation.
    discarded : (p, r) float64 array
        Loadings of the components that were not retained.
    out : (n,) float array
        Filled with the errors (standardised units squared); NaN where a row lacks a feature.

    Returns
    -------
    (2**p,) bool array
        Which sets of present features occur among the rows left (bit j: feature j).
    """
    seen = np.zeros(1 << columns.size, np.bool_)
    blocks = -(-X.shape[0] // _BLOCK)
    in_threads(_whole_rows, (X, columns, centre, 1.0 / scale, discarded, out, seen), blocks)
    return seen


@njit(cache=True, nogil=True)
def _whole_rows(X, columns, centre, inverse, discarded, out, seen, first, last):  # type: ignore[no-untyped-def]
    p, r = columns.size, discarded.shape[1]
    for block in range(first, last):
        lanes = np.empty((p, _LANES))
        along = np.empty(_LANES)
        error = np.empty(_LANES)
        end = min(X.shape[0], (block + 1) * _BLOCK)
        for start in range(block * _BLOCK, end, _LANES):
            size = min(end - start, _LANES)
            for j in range(p):
                for i in range(size):
                    lanes[j, i] = (X[start + i, columns[j]] - centre[j]) * inverse[j]
            error[:] = 0.0
            for c in range(r):
                along[:] = 0.0
                for j in range(p):
                    loading = discarded[j, c]
                    for i in range(size):
                        along[i] += loading * lanes[j, i]
                for i in range(size):
                    error[i] += along[i] * along[i]
            for i in range(size):
                out[start + i] = error[i] / p
                if error[i] != error[i]:
                    # Several threads may write it: all write the same.
                    seen[_present(lanes[:, i])] = True


@njit(cache=True, nogil=True)
def _present(x: Floats) -> int:
    bits = 0
    for j in range(x.size):
        if x[j] == x[j]:
            bits |= 1 << j
    return bits


def partial_row_errors(
    X: npt.NDArray[Any],
    columns: npt.NDArray[np.int64],
    centre: Floats,
    scale: Floats,
    which: npt.NDArray[np.int64],
    forms: Floats,
    widths: npt.NDArray[np.int64],
    out: npt.NDArray[Any],
) -> None:
    """Fill in the errors of the rows that lack features, where `out` is NaN.

    Parameters
    ----------
    X, columns, centre, scale, out
        As in `whole_row_errors`.
    which : (2**p,) int64 array
        Index into `forms` for each set of present features.
    forms : (k, p, p) float64 array
        The error as a quadratic form of the present features, zero elsewhere.
    widths : (k,) int64 array
        Number of features that the error is a mean over; 0 where it says nothing (stays NaN).
    """
    blocks = -(-X.shape[0] // _BLOCK)
    in_threads(_partial_rows, (X, columns, centre, scale, which, forms, widths, out), blocks)


@njit(cache=True, nogil=True)
def _partial_rows(X, columns, centre, scale, which, forms, widths, out, first, last):  # type: ignore[no-untyped-def]
    p = columns.size
    x = np.empty(p)
    for block in range(first, last):
        for i in range(block * _BLOCK, min(X.shape[0], (block + 1) * _BLOCK)):
            if out[i] == out[i]:
                continue
            for j in range(p):
                x[j] = (X[i, columns[j]] - centre[j]) / scale[j]
            k = which[_present(x)]
            if widths[k] == 0:
                continue
            error = 0.0
            for a in range(p):
                for b in range(p):
                    if x[a] == x[a] and x[b] == x[b]:
                        error += x[a] * x[b] * forms[k, a, b]
            out[i] = max(error, 0.0) / widths[k]
