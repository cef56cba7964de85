"""Arrays that passes with dropout keep on the CPU: in single precision, or as bfloat16's bits in half the memory.

In: a tensor, or within kernels a number of an array of either kind. Out: the tensor's memory, or the number in
the other form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, types
from numba.extending import overload
from torch import Tensor

FOUR = 4
"""Rows that kernels add up together, term by term: a sum then goes to memory a quarter as often."""


def as_bits(tensor: Tensor) -> Any:
    """A tensor's memory as an array, bfloat16 as unsigned words."""
    tensor = tensor.detach()
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


# What differs between the two kinds of arrays. Within kernels numba takes the overload of each function, by the kind;
# outside of them nobody calls it.


def single(x: Any) -> Any:
    """A number in single precision, of itself or of bfloat16's bits."""
    raise NotImplementedError


@overload(single, inline="always")
def _single_of(x):  # type: ignore[no-untyped-def]
    if x == types.uint16:
        return lambda x: np.uint32(np.uint32(x) << np.uint32(16)).view(np.float32)
    return lambda x: x


def kept_as(x: Any, like: Any) -> Any:
    """A number as arrays like `like` hold it: of itself, or rounded to bfloat16 (to even) as its bits."""
    raise NotImplementedError


@overload(kept_as, inline="always")
def _kept_like(x, like):  # type: ignore[no-untyped-def]
    if like.dtype == types.uint16:

        def rounded(x, like):  # type: ignore[no-untyped-def]
            bits = np.float32(x).view(np.uint32)
            even = np.uint32(bits >> np.uint32(16)) & np.uint32(1)
            up = np.uint32(bits + np.uint32(0x7FFF) + even)
            return np.uint16(np.uint32(up >> np.uint32(16)))

        return rounded
    return lambda x, like: x


@njit(inline="always")
def keep(row, numbers):  # type: ignore[no-untyped-def]
    """Write single numbers into an array of either kind."""
    for c in range(row.size):
        row[c] = kept_as(numbers[c], row)
