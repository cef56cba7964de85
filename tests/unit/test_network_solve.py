"""The crossover network's equations: against dense algebra, at any thread count, drawn against exact."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.errors import BedsieveError
from bedsieve.graph import network_solve
from bedsieve.graph.network_solve import Network, OneLine, huber, uncertainty

PRIOR = np.array([0.01, 10.0])


def _made(lines: int, crossovers: int, seed: int) -> tuple[Network, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, lines, crossovers)
    b = (a + rng.integers(1, lines, crossovers)) % lines
    along = rng.normal(0, 50, (2, crossovers))
    return Network(a, b, *along, lines), rng.normal(0, 20, crossovers)


def _design(network: Network) -> np.ndarray:
    """A row a crossover; columns: all constants, then all drifts."""
    n, rows = network.lines, np.arange(network.a.size)
    design = np.zeros((rows.size, 2 * n))
    design[rows, network.a], design[rows, network.b] = 1, -1
    design[rows, n + network.a], design[rows, n + network.b] = network.along_a, -network.along_b
    return design


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(1, 60), st.integers(0, 10_000))
def test_equals_dense_least_squares(lines: int, crossovers: int, seed: int) -> None:
    network, mistie = _made(lines, crossovers, seed)
    rng = np.random.default_rng(seed + 1)
    weights, ridge = rng.uniform(0.1, 1, crossovers), rng.uniform(0.1, 2, (lines, 2))
    design = _design(network)
    normal = design.T @ (weights[:, None] * design)
    right = design.T @ (weights * mistie)
    exact = np.linalg.solve(normal + np.diag(ridge.T.ravel()), right).reshape(2, lines).T
    found = network.solve(weights, ridge, mistie, np.zeros((lines, 2)))
    np.testing.assert_allclose(found, exact, atol=1e-4 * max(1.0, np.abs(exact).max()))
    np.testing.assert_allclose(network.predict(exact), design @ exact.T.ravel(), atol=1e-8)
    inverse = np.linalg.inv(normal + np.diag(ridge.T.ravel()))
    variance = (inverse @ normal @ inverse).diagonal()[:lines]
    np.testing.assert_allclose(network.variance(weights, ridge), variance, atol=1e-8)


def test_drawn_uncertainties_are_the_exact_ones_to_their_accuracy(monkeypatch) -> None:
    network, mistie = _made(80, 900, 4)
    _, weights, scale = huber(network, mistie, PRIOR)
    exact = uncertainty(network, weights, scale, PRIOR)
    monkeypatch.setattr(network_solve, "EXACT_LINES", 10)
    drawn = uncertainty(network, weights, scale, PRIOR)
    ratio = drawn / exact
    assert abs(np.median(ratio) - 1) < 0.04
    assert ratio.std() == pytest.approx(1 / np.sqrt(2 * network_solve.DRAWS), rel=0.35)
    np.testing.assert_array_equal(drawn, uncertainty(network, weights, scale, PRIOR))


def test_thread_count_changes_nothing(monkeypatch) -> None:
    monkeypatch.setattr(network_solve, "EXACT_LINES", 10)
    network, mistie = _made(60, 500, 5)
    results = []
    before = numba.get_num_threads()
    for threads in (1, before):
        numba.set_num_threads(threads)
        solution, weights, scale = huber(network, mistie, PRIOR)
        results.append((solution, uncertainty(network, weights, scale, PRIOR)))
    numba.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_line_is_a_straight_fit() -> None:
    along = np.linspace(-20, 20, 200)
    mistie = 30 + 0.5 * along + np.random.default_rng(0).normal(0, 2, 200)
    mistie[::20] = 900
    solution, weights, _ = huber(OneLine(along), mistie, np.array([1e-6, 1e-6]))
    assert solution[0] == pytest.approx([30, 0.5], abs=0.6)
    assert weights[::20].max() < 0.01


def test_values_that_are_not_finite_are_told() -> None:
    network, mistie = _made(5, 40, 1)
    mistie[3] = np.inf
    with pytest.raises(BedsieveError, match="did not settle"):
        network.solve(np.ones(40), np.ones((5, 2)), mistie, np.zeros((5, 2)))
