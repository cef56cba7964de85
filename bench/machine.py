"""What this machine can do at best: memory, gather, disk. The stages are to be seen beside it.

``run`` gives a row a limit; there is no peer.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit, prange

from bench.side_by_side import REPEATS

_BYTES = 1 << 30


@njit(parallel=True)
def _copy(source, target):  # type: ignore[no-untyped-def]
    for i in prange(source.size):
        target[i] = source[i]


@njit(parallel=True)
def _gather(source, index, target):  # type: ignore[no-untyped-def]
    for i in prange(index.size):
        target[i] = source[index[i]]


def run(n: int) -> list[dict[str, Any]]:
    """Copy (GB/s, read and written), random 8-byte gather (M/s) and disk (MB/s) of a 1 GiB array."""
    source = np.arange(_BYTES // 8, dtype=np.float64)
    target = np.empty_like(source)
    index = np.random.default_rng(0).integers(0, source.size, 20_000_000)
    gathered = np.empty(index.size)
    _copy(source[:8], target[:8])
    _gather(source, index[:8], gathered[:8])
    copied = 2 * _BYTES / 1e9 / _best(lambda: _copy(source, target))
    gathers = index.size / 1e6 / _best(lambda: _gather(source, index, gathered))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        file = Path(folder, "block")
        written = _BYTES / 1e6 / _best(lambda: _write(file, source))
        read = _BYTES / 1e6 / _best(lambda: _read(file, target))
    return [
        {"stage": f"limit: {name}", "n": _BYTES, "ours_mps": value}
        for name, value in (
            ("memory copy, GB/s", copied),
            ("random gather, M/s", gathers),
            ("disk write with fsync, MB/s", written),
            ("disk read past the page cache, MB/s", read),
        )
    ]


def _best(work: Callable[[], None]) -> float:
    """Seconds of the fastest of several runs: a limit is what is possible."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _write(file: Path, values: np.ndarray[Any, Any]) -> None:
    with file.open("wb", buffering=0) as stream:
        values.tofile(stream)
        os.fsync(stream.fileno())


def _read(file: Path, target: np.ndarray[Any, Any]) -> None:
    with file.open("rb", buffering=0) as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        view, at = memoryview(target).cast("B"), 0
        while at < len(view):
            at += stream.readinto(view[at : at + (1 << 24)])
