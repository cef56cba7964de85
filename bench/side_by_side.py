"""Ours and the peers by turns in one process: medians of time, processor time and peak memory."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPEATS = 3


def _memory(field: str) -> int:
    """A field of this process's memory in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}")


def peak_bytes(work: Callable[[], Any]) -> int:
    """Most memory that `work` held beyond what was held before it, its result included."""
    gc.collect()
    # What earlier work freed but the allocator kept would hide what this work takes.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    result = work()
    peak = _memory("VmHWM")
    del result
    return peak - before


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Elapsed and processor seconds of one run."""
    start, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - processor


def compare(
    stage: str,
    n: int,
    ours: Callable[[], Any],
    peers: dict[str, Callable[[], Any]],
    repeats: int = REPEATS,
) -> list[dict[str, Any]]:
    """One row a peer: medians over `repeats` rounds, in each of which everything runs once.

    `ours` should have been compiled before. ``ratio`` is the median over rounds of the peer's time by
    ours, so that load on the machine hits both.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ("", *peers)}
    for _ in range(repeats):
        times[""].append(seconds(ours))
        for name, peer in peers.items():
            times[name].append(seconds(peer))
    memory = peak_bytes(ours)
    rows = []
    for name in peers:
        pairs = list(zip(times[name], times[""], strict=True))
        rows.append(
            {
                "stage": stage,
                "n": n,
                "ours_mps": _rate(n, times[""]),
                "peer": name,
                "peer_mps": _rate(n, times[name]),
                "ratio": statistics.median(theirs[0] / mine[0] for theirs, mine in pairs),
                "cpu_ratio": statistics.median(theirs[1] / mine[1] for theirs, mine in pairs),
                "ours_cpu_ns_per_point": 1e9 * statistics.median(t[1] for t in times[""]) / n,
                "bytes_per_point": memory / n,
            }
        )
    return rows


def _rate(n: int, times: list[tuple[float, float]]) -> float:
    """Millions of points a second."""
    return n / statistics.median(elapsed for elapsed, _ in times) / 1e6
