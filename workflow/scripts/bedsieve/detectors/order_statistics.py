"""Exact medians of millions of float32 values without a copy: radix selection on their bits.

In: a float32 array of any length (NaN allowed and left out), seen as |value − centre|. Out: order
statistics, the median and the median absolute deviation. A partition needs a copy per statistic;
two histograms over the upper and the lower 16 bits of non-negative floats, whose bits sort like
their values, need none and run on all cores. Counts are integers, so threads change nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from bedsieve.kernels import in_threads

Floats32 = npt.NDArray[np.float32]

NORMAL_CONSISTENCY = 1.4826
"""MAD times this is the standard deviation of a normal distribution."""

_MOST_PARTS = 32
_LEAST_PART = 1 << 18
_BLOCK = 2048
_LARGEST_BITS = np.uint32(0x7F800000)  # +inf; the bits of |NaN| are larger


@njit(cache=True, nogil=True)
def _count_upper(values, centre, step, counts, first, last):  # type: ignore[no-untyped-def]
    """How many values have each upper half of their bits, by part, `counts` (parts, 65536)."""
    for part in range(first, last):
        block = np.empty(_BLOCK, np.float32)
        bits = block.view(np.uint32)
        end = min(values.size, (part + 1) * step)
        for start in range(part * step, end, _BLOCK):
            stop = min(end, start + _BLOCK)
            for i in range(start, stop):
                block[i - start] = abs(values[i] - centre)
            for j in range(stop - start):
                if bits[j] <= _LARGEST_BITS:
                    counts[part, bits[j] >> np.uint32(16)] += 1


@njit(cache=True, nogil=True)
def _count_lower(values, centre, upper, step, counts, first, last):  # type: ignore[no-untyped-def]
    """Of those with some upper halves, how many have each lower half, `counts` (parts, upper, 65536)."""
    for part in range(first, last):
        block = np.empty(_BLOCK, np.float32)
        bits = block.view(np.uint32)
        end = min(values.size, (part + 1) * step)
        for start in range(part * step, end, _BLOCK):
            stop = min(end, start + _BLOCK)
            for i in range(start, stop):
                block[i - start] = abs(values[i] - centre)
            for j in range(stop - start):
                for u in range(upper.size):
                    if bits[j] >> np.uint32(16) == upper[u]:
                        counts[part, u, bits[j] & np.uint32(0xFFFF)] += 1


def median(values: Floats32, centre: float | None = None) -> float:
    """Median of |value − centre|, exact in float32.

    Parameters
    ----------
    values : (n,) float32 array
        Any unit. NaN is left out.
    centre : float, optional
        Subtracted in float32; without it 0, and `values` must not be negative.

    Returns
    -------
    float
        The mean of the two middle values where their number is even; NaN without any value.
    """
    values = np.ascontiguousarray(values, np.float32)
    around = np.float32(0.0 if centre is None else centre)
    parts = min(_MOST_PARTS, 1 + values.size // _LEAST_PART)
    step = -(-values.size // parts)
    by_part = np.zeros((parts, 65536), np.int64)
    in_threads(_count_upper, (values, around, step, by_part), parts, 1)
    upper_counts = by_part.sum(0)
    total = int(upper_counts.sum())
    if total == 0:
        return float("nan")
    ends = np.cumsum(upper_counts)
    ranks = np.array([(total - 1) // 2, total // 2])
    buckets = np.searchsorted(ends, ranks, side="right")
    distinct = np.unique(buckets)
    lower = np.zeros((parts, distinct.size, 65536), np.int64)
    in_threads(_count_lower, (values, around, distinct.astype(np.uint32), step, lower), parts, 1)
    lower_ends = np.cumsum(lower.sum(0), axis=1)
    picked = []
    for rank, bucket in zip(ranks, buckets, strict=True):
        within = rank - (ends[bucket] - upper_counts[bucket])
        row = lower_ends[np.searchsorted(distinct, bucket)]
        low = int(np.searchsorted(row, within, side="right"))
        picked.append(np.uint32(int(bucket) << 16 | low).view(np.float32))
    return float((np.float64(picked[0]) + np.float64(picked[1])) / 2)


def median_and_mad(values: Floats32) -> tuple[float, float]:
    """Median and median absolute deviation of non-negative float32 values (NaN left out)."""
    middle = median(values)
    return middle, median(values, centre=middle)
