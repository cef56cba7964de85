"""The tests that SparKer is measured beside, against sums written out, and the made-up data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bedsieve.benchmarks.sparker import (
    BLOBS,
    CASES,
    Plan,
    _in_gauss,
    _in_square,
    _intrusions,
    _one_hot,
    _power,
    _uniform,
    run,
    square,
)
from bedsieve.benchmarks.two_sample import DenseRatio, gaussian, mmd


def test_mmd_is_its_sums() -> None:
    rng = np.random.default_rng(0)
    X, Y, width = rng.normal(size=(5, 2)), rng.normal(size=(4, 2)), 0.7
    X[3], Y[1] = X[1], Y[0]  # points that are alike are worked out once

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


def test_the_dense_fit_minimises_what_it_should() -> None:
    rng = np.random.default_rng(4)
    data, reference = rng.integers(0, 3, (40, 2)) * 1.0, rng.integers(0, 4, (120, 2)) * 1.0
    dense = DenseRatio(rng.normal(1.5, 1, (6, 2)), 1.2, ridge=1e-2)
    t = dense.fit(data, reference)
    f, g = dense.log_ratio(data), dense.log_ratio(reference)
    assert t == pytest.approx(-2 * (np.expm1(g).sum() / 3 - f.sum()))

    def loss(alpha: np.ndarray) -> float:
        own, known = (gaussian(X, dense.centres, 1.2) @ alpha for X in (data, reference))
        ridge = 1e-2 * len(data) * (alpha**2).sum()
        return float(np.log1p(np.exp(-own)).sum() + np.log1p(np.exp(known)).sum() / 3 + ridge)

    least = loss(dense.alpha)
    assert all(
        loss(dense.alpha + 0.01 * step) > least for step in np.vstack([np.eye(6), -np.eye(6)])
    )


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


TESTS = {"SparKer"} | {
    f"{kind}, {width} width" for kind in ("MMD", "dense NP") for width in ("median", "last")
}


@pytest.mark.parametrize(
    ("case", "make"), [("power_square", _in_square), ("power_gauss", _in_gauss)]
)
def test_half_of_the_points_apart_are_seen(case: str, make: Any) -> None:
    plan = Plan(inspected=100, reference=300, toys=19, sets=2, shares=(0.0, 0.5))
    rows = _power(case, 0, make, plan)
    power = {(row.variant, row.metric): row.value for row in rows}
    assert len(power) == len(rows) == 2 * len(TESTS)
    assert {(row.method, row.case, row.seed) for row in rows} == {("sparker", case, 0)}
    broad = [
        name for name in TESTS if "last" not in name
    ]  # 100 centres miss a blob in five dimensions
    assert all(power[name, "power at 50.0% anomalies"] == 1 for name in broad)
    assert _power(case, 0, make, plan) == rows


def test_clean_data_give_p_values_of_every_size() -> None:
    (pvalue, distance, low) = _uniform(1, sets=8, n_toys=3)
    assert (pvalue.metric, distance.metric) == ("KS p-value", "KS distance")
    assert 0.01 < pvalue.value <= 1
    assert 0 < distance.value < 0.6
    assert low.value <= 0.5


def test_intrusions_are_told_and_ranked(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    usual = rng.choice(["http", "smtp", "ftp"], 3000, p=[0.7, 0.2, 0.1])
    flag = rng.choice(["SF", "REJ"], 3000, p=[0.9, 0.1])
    odd = np.full(40, "telnet")
    table = {
        "service": np.concatenate([usual, odd, ["telnet"] * 10]),
        "flag": np.concatenate([flag, np.full(50, "SF")]),
        "class": np.concatenate([np.full(3000, "0"), np.full(40, "1"), np.full(10, "0")]),
    }
    pl.DataFrame(table).write_parquet(tmp_path / "u2r.parquet")
    plan = Plan(inspected=200, reference=800, toys=19, sets=2, shares=(0.0, 0.2))
    rows = _intrusions(0, tmp_path / "u2r.parquet", plan)
    found = {(row.variant, row.metric): row.value for row in rows}
    assert len(found) == len(rows) == 2 * 2 * len(TESTS) + 4
    assert found["SparKer", "power at 20.0% anomalies"] == 1
    assert found["SparKer", "median p at 20.0% anomalies"] == pytest.approx(1 / 20)
    assert found["SparKer", "ROC AUC"] > 0.9
