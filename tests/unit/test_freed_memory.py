"""Memory that is freed and asked for again."""

import resource

import pytest
import torch

from bedsieve.detectors.nets import freed_memory
from bedsieve.detectors.nets.freed_memory import keep_freed_memory

PAGES = (64 << 20) // 4096


def _faults() -> int:
    """Pages that the system has to clear for 256 MiB written four times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.full((64 << 20,), 1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(
    not hasattr(freed_memory.ctypes.CDLL(None), "mallopt"), reason="glibc's settings"
)
def test_freed_memory_is_kept_within_the_context_only() -> None:
    usual = _faults()
    with keep_freed_memory():
        _faults()
        assert _faults() < PAGES // 8
    # glibc may have kept a block or two for good; within the context it was all of them.
    assert _faults() > usual // 4
