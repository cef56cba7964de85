"""Training that gives the same numbers each time.

In: the kind of device. Out: torch set so within a context, and the caller's random state as it was.
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
