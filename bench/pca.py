"""Per-grid PCA with median and MAD of its reconstruction errors, beside scikit-learn on the same tiles.

Both start from the same float32 features,
sorted by tile, and give every point's error and each tile's median and MAD.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bedsieve.detectors.pca import FEATURES, fit_grid
from bench.side_by_side import compare

TILES = 40


def _features(n: int) -> tuple[np.ndarray, list[slice]]:
    """Correlated features of tiles whose sizes are as skewed as Bedmap's (the largest 1/8 of all)."""
    rng = np.random.default_rng(0)
    share = np.sort(rng.lognormal(0, 1.0, TILES))
    ends = np.round(np.cumsum(share / share.sum()) * n).astype(int)
    tiles = [slice(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    X = np.empty((n, len(FEATURES)), np.float32)
    for tile in tiles:
        loadings = rng.normal(size=(4, len(FEATURES)))
        for start in range(tile.start, tile.stop, 100_000):
            rows = min(tile.stop, start + 100_000) - start
            X[start : start + rows] = rng.normal(size=(rows, 4)) @ loadings
            X[start : start + rows] += 0.3 * rng.standard_normal((rows, len(FEATURES)))
    return X, tiles


def _ours(X: np.ndarray, tiles: list[slice]) -> np.ndarray:
    errors = np.empty(len(X), np.float32)
    for tile in tiles:
        fitted = fit_grid(X[tile])
        assert fitted is not None
        model, of_tile = fitted
        errors[tile] = model.robust_z(of_tile)
    return errors


def _sklearn(X: np.ndarray, tiles: list[slice]) -> np.ndarray:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    errors = np.empty(len(X), np.float32)
    for tile in tiles:
        standard = StandardScaler().fit_transform(X[tile])
        model = PCA(n_components=0.95).fit(standard)
        rebuilt = model.inverse_transform(model.transform(standard))
        error = ((standard - rebuilt) ** 2).mean(axis=1)
        middle = np.median(error)
        errors[tile] = (error - middle) / (1.4826 * np.median(np.abs(error - middle)))
    return errors


def run(n: int) -> list[dict[str, Any]]:
    """Time both on `n` points, alternately; memory is ours alone, features left out."""
    small, few = _features(100_000)
    difference = np.abs(_ours(small, few) - _sklearn(small, few)).max()
    if difference >= 1e-2:
        raise ValueError(f"scikit-learn and bedsieve differ by {difference}")
    X, tiles = _features(n)
    peers = {"scikit-learn per tile": lambda: _sklearn(X, tiles)}
    return compare("pca", n, lambda: _ours(X, tiles), peers)
