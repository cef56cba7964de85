"""Keep the memory that a training step frees for the next one.

In: nothing. Out: nothing but time: each step of the graph network asks for a few GiB in pieces of a hundred MB and
more, which the C library fetches from the system and gives back every time, and the system clears each page
anew, a quarter of a step's time. Outside glibc nothing is changed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Numbers of mallopt(3) and glibc's own settings.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_TRIMMED_FROM, _MMAPPED_AT_MOST = 128 << 10, 65536
_NEVER = 2**31 - 1


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Let the process keep what it frees within the context; afterwards it is given back."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        yield
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        library.mallopt(_MMAP_MAX, _MMAPPED_AT_MOST)
        library.mallopt(_TRIM_THRESHOLD, _TRIMMED_FROM)
        library.malloc_trim(0)
