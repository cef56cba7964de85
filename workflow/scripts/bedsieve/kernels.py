"""Compiled kernels on several threads, and a copy of arrays within them, both chosen to compile fast.

In: a kernel over [first, last) that leaves the interpreter's lock (``nogil``), and how far it goes. Out: the
same numbers, whatever the threads. numba's own parallel loops do the same, but compile two to five times as
long, which every new installation pays. They stay where each small item calls functions of many arrays
(double hits, crossings): outside of them every such call counts its arrays' references, a third of the time
there. numba's assignment of one array to a part of another brings the formatting of an error's text along,
three seconds of compilation a process.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from numba import get_num_threads, njit

SMALL = 1 << 20
"""Numbers that are not worth a second thread: handing parts out takes as long."""

_PARTS = 4
"""Parts a thread, so that none waits long for another."""


def in_threads(
    kernel: Callable[..., None],
    arguments: tuple[Any, ...],
    n: int,
    step: int | None = None,
    threads: int | None = None,
    work: int | None = None,
) -> None:
    """Run a kernel over [0, n) in parts.

    Parameters
    ----------
    kernel : callable
        Called as ``kernel(*arguments, first, last)``; parts must not write to the same numbers.
    arguments : tuple
    n : int
    step : int, optional
        Length of a part; by default four parts a thread, or one part on one thread.
    threads : int, optional
        As many as numba was given by default.
    work : int, optional
        Numbers that the kernel goes through: few are not worth a second thread.

    Raises
    ------
    Exception
        What a part raises; others may still be at work on the arrays.
    """
    threads = 1 if work is not None and work < SMALL else threads or get_num_threads()
    if step is None:
        step = max(1, n if threads == 1 else -(-n // (_PARTS * threads)))
    parts = [(first, min(first + step, n)) for first in range(0, n, step)]
    if threads == 1 or len(parts) < 2:
        for part in parts:
            kernel(*arguments, *part)
        return
    for _ in _pool(threads).map(lambda part: kernel(*arguments, *part), parts):
        pass


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "bedsieve-kernel")


@njit(inline="always")
def copy_into(target, source):  # type: ignore[no-untyped-def]
    """target[:source.size] = source within a kernel, of one dimension; a shorter target is not noticed."""
    for k in range(source.size):
        target[k] = source[k]
