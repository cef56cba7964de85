"""Tests share one cache of compiled kernels, made anew whenever a kernel changes."""

from __future__ import annotations

import os
from pathlib import Path

from bedsieve.job import kernel_digest

_CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / "numba"
os.environ.setdefault("NUMBA_CACHE_DIR", str(_CACHE / kernel_digest()))
