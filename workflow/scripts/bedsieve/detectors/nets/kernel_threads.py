"""Compiled kernels, or whole pieces of work, on as many threads as torch was given.

In: a kernel over rows or channels, and how much there is to do. Out: the same numbers, whatever the threads.
The threads are plain ones that sleep when idle, and none for small work: a second pool of spinning threads
beside torch's made a small step up to fifteen times slower on a busy machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any, TypeVar

import torch
from torch import Tensor

from bedsieve import kernels

Own = TypeVar("Own")


def in_threads(
    kernel: Callable[..., None], arrays: tuple[Any, ...], n: int, work: int, step: int | None = None
) -> None:
    """`bedsieve.kernels.in_threads` on as many threads as torch was given."""
    kernels.in_threads(kernel, arrays, n, step, torch.get_num_threads(), work)


def side_by_side(
    work: Callable[[int, Own], None], parts: Iterable[int], own: Callable[[], Own], kind: str
) -> None:
    """Do each part of a work on one thread, on a CPU as many at a time as torch has threads.

    Parameters
    ----------
    work : callable
        Called with a part and what its thread owns. torch's modes (inference, autocast) hold in the
        thread that entered them, so it has to enter them itself.
    parts : iterable of int
    own : callable
        Makes what no two threads may share.
    kind : str
        Type of the device that does the work; on another than ``"cpu"`` one part is done at a time.

    Notes
    -----
    Within a part torch has one thread: nothing waits between its operations, and no sum is made in an
    order that depends on the number of threads.
    """
    threads, owned = torch.get_num_threads(), local()

    def begin() -> None:
        torch.set_num_threads(1)
        owned.own = own()

    try:
        with ThreadPoolExecutor(threads if kind == "cpu" else 1, "bedsieve-part", begin) as pool:
            for _ in pool.map(lambda part: work(part, owned.own), parts):
                pass
    finally:
        # A thread's number is also what later threads start from.
        torch.set_num_threads(threads)


def as_arrays(*tensors: Tensor) -> tuple[Any, ...]:
    """Tensors on the CPU as arrays that share their memory."""
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)
