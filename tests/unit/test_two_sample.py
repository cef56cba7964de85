"""The tests that SparKer is measured beside, against sums written out, and the made-up data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bedsieve.benchmarks.sparker import BLOBS, CASES, _one_hot, run, square
from bedsieve.benchmarks.two_sample import DenseRatio, gaussian, mmd


def test_mmd_is_its_sums() -> None:
    rng = np.random.default_rng(0)
    X, Y, width = rng.normal(size=(5, 2)), rng.normal(size=(4, 2)), 0.7

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / (2 * width**2)))

    within = np.mean([k(X[i], X[j]) for i in range(5) for j in range(5) if i != j])
    beyond = np.mean([k(Y[i], Y[j]) for i in range(4) for j in range(4) if i != j])
    across = np.mean([k(x, y) for x in X for y in Y])
    assert mmd(X, Y, width) == pytest.approx(within + beyond - 2 * across)
    assert gaussian(X, Y, width)[2, 3] == pytest.approx(k(X[2], Y[3]))


def test_the_dense_ratio_is_that_of_the_densities() -> None:
    rng = np.random.default_rng(1)
    data, reference = rng.normal(0.5, 1, (4000, 1)), rng.normal(0, 1, (12_000, 1))
    dense = DenseRatio(np.linspace(-4, 4, 20)[:, None], 1.0)
    assert dense.fit(data, reference) > 100
    at = np.array([[-1.0], [0.0], [1.0]])
    # log N(x; 0.5, 1) - log N(x; 0, 1) = 0.5 x - 0.125
    assert dense.log_ratio(at) == pytest.approx(0.5 * at[:, 0] - 0.125, abs=0.15)


def test_blobs_hold_the_share_that_is_asked_for() -> None:
    X = square(np.random.default_rng(2), 1000, 0.05)
    near = np.linalg.norm(X[:, None] - BLOBS[None], axis=2) < 0.08
    assert (near[:150].argmax(axis=1) == np.repeat([0, 1, 2], 50)).all()
    assert near[150:].mean() < 0.05


def test_columns_that_never_vary_are_left_out(tmp_path: Path) -> None:
    table = {"a": ["x", "y", "y"], "b": ["0", "0", "0"], "class": ["0", "1", "0"]}
    pl.DataFrame(table).write_parquet(tmp_path / "t.parquet")
    normal, bad = _one_hot(tmp_path / "t.parquet")
    assert normal.tolist() == [[1, 0], [0, 1]]
    assert bad.tolist() == [[0, 1]]


def test_an_unknown_case_is_refused() -> None:
    assert "square" in CASES
    with pytest.raises(KeyError):
        run("circle", 0, Path("nowhere"))
