"""Exact 16 nearest neighbours of points in random order, as `bench.knn` has them in the order of flight."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.knn import K, columns_of, rows


def run(n: int) -> list[dict[str, Any]]:
    """Rows for n points, shuffled."""
    order = np.random.default_rng(0).permutation(n)
    return rows(f"{K}-NN, shuffled", *(column[order] for column in columns_of(n)))
