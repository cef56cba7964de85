"""Order statistics for kernels: the k-th smallest value and the median, without sorting."""

from __future__ import annotations

from numba import njit


@njit(cache=True, nogil=True)
def select(values, k):  # type: ignore[no-untyped-def]
    """Rearrange `values` so that place k holds what it would hold if sorted; smaller ones before."""
    low, high = 0, values.size - 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            return values[k]
    return values[k]


@njit(cache=True, nogil=True)
def median(values):  # type: ignore[no-untyped-def]
    """Median; the mean of the two middle ones for an even number. `values` is rearranged."""
    middle = values.size >> 1
    upper = select(values, middle)
    if values.size & 1:
        return upper
    return 0.5 * (values[:middle].max() + upper)
