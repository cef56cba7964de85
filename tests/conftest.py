"""Tests share one cache of compiled kernels, made anew whenever a kernel changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from bedsieve.job import kernel_digest

_CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / "numba"
os.environ.setdefault("NUMBA_CACHE_DIR", str(_CACHE / kernel_digest()))

# The same examples in every run, so that what passed on one machine passes on the next;
# HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("same", derandomize=True)
settings.register_profile("search", max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs first, then dry runs: a test of minutes that comes last leaves the other processes idle."""
    items.sort(
        key=lambda item: ("finished" not in _fixtures(item), item.path.parent.name != "workflow")
    )


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])
