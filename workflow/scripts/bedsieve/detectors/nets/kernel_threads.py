"""Compiled kernels on as many threads as torch was given.

In: a kernel over rows or channels, and how much there is to do. Out: the same numbers, whatever the threads.
The threads are plain ones that sleep when idle, and none for small work: a second pool of spinning threads
beside torch's made a small step up to fifteen times slower on a busy machine.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor

_SMALL = 1 << 20  # numbers that are not worth a second thread


def in_threads(
    kernel: Callable[..., None], arrays: tuple[Any, ...], n: int, step: int, work: int
) -> None:
    """Run a kernel over [0, n) in parts of `step`; `work` says how many numbers it goes through."""
    threads = torch.get_num_threads()
    if threads == 1 or work < _SMALL:
        for start in range(0, n, step):
            kernel(*arrays, start, min(start + step, n))
        return
    parts = [(start, min(start + step, n)) for start in range(0, n, step)]
    for _ in _pool(threads).map(lambda part: kernel(*arrays, *part), parts):
        pass


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "bedsieve-kernel")


def nodes_a_part(n: int) -> int:
    """Rows of one part: several parts a thread, so that none waits long for another."""
    return max(1, -(-n // (4 * torch.get_num_threads())))


def as_arrays(*tensors: Tensor) -> tuple[Any, ...]:
    """Tensors on the CPU as arrays that share their memory."""
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)
