"""Training that gives the same numbers each time.

In: the kind of device, or nothing. Out: torch set so within a context, and what the caller had restored after it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def deterministic(device: str) -> Iterator[None]:
    """Only algorithms that give the same numbers each time, and the caller's random state kept."""
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    # torch would also fill each new array before it is written: a fifth of a step, for nothing.
    options: Any = torch.utils.deterministic
    filling = options.fill_uninitialized_memory
    with torch.random.fork_rng(enabled=True):
        torch.use_deterministic_algorithms(True)
        options.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            options.fill_uninitialized_memory = filling


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, so that weights don't depend on the number of threads.

    For networks so small that a second thread gains little.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
