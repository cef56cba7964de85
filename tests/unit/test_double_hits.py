"""Double hits against a plain comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bedsieve.errors import BedsieveError
from bedsieve.graph.double_hits import double_hits


def by_brute_force(east, north, line, radius):
    found = set()
    for i in range(east.size):
        for j in range(i + 1, east.size):
            dx, dy = east[j] - east[i], north[j] - north[i]
            if line[i] != line[j] and dx * dx + dy * dy <= radius * radius:
                found.add((i, j))
    return found


def as_set(a, b):
    pairs = {(min(i, j), max(i, j)) for i, j in zip(a.tolist(), b.tolist(), strict=True)}
    assert len(pairs) == a.size, "a pair came twice"
    return pairs


@settings(max_examples=60, deadline=None)
@example(seed=1, n=28, radius=300.0, lines=2, grid=True)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(0, 150),
    radius=st.sampled_from([10.0, 25.0, 300.0]),
    lines=st.integers(1, 6),
    grid=st.booleans(),
)
def test_finds_what_brute_force_finds(seed, n, radius, lines, grid):
    rng = np.random.default_rng(seed)
    side = radius * 15
    east, north = rng.uniform(-side, side, n), rng.uniform(-side, side, n)
    if grid:  # points on cell borders, at exactly the radius, and at one place
        east, north = np.round(east / radius) * radius, np.round(north / radius) * radius
    line = rng.integers(0, lines, n) + 2**32
    ids = rng.permutation(n).astype(np.uint64)
    a, b = double_hits(east, north, line, ids, radius)
    assert as_set(a, b) == by_brute_force(east, north, line, radius)
    assert (ids[a] < ids[b]).all()


def test_points_of_one_line_are_no_double_hit_and_the_radius_is_inclusive():
    east, north = np.array([0.0, 1.0, 25.0, 50.1]), np.zeros(4)
    ids = np.arange(4, dtype=np.uint64)
    a, b = double_hits(east, north, np.array([7, 7, 8, 7]), ids)
    assert as_set(a, b) == {(0, 2), (1, 2)}


def test_crowded_cells_and_far_places():
    rng = np.random.default_rng(3)
    east = np.concatenate([rng.normal(-2.9e6, 40, 400), rng.normal(2.9e6, 40, 400)])
    north = np.concatenate([rng.normal(2.9e6, 40, 400), rng.normal(-2.9e6, 40, 400)])
    line = rng.integers(0, 5, 800)
    a, b = double_hits(east, north, line, np.arange(800, dtype=np.uint64))
    assert as_set(a, b) == by_brute_force(east, north, line, 25.0)
    assert a.size > 10_000


def test_many_blocks_make_the_table_grow():
    n = 3000
    east = np.repeat(np.arange(n // 2) * 5000.0, 2)
    north = np.tile([0.0, 9.0], n // 2)
    a, b = double_hits(east, north, np.tile([1, 2], n // 2), np.arange(n, dtype=np.uint64))
    assert as_set(a, b) == {(i, i + 1) for i in range(0, n, 2)}


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan")])
def test_a_radius_must_be_positive(radius):
    with pytest.raises(BedsieveError, match="radius"):
        double_hits(np.zeros(2), np.zeros(2), np.arange(2), np.arange(2, dtype=np.uint64), radius)


def test_positions_must_be_finite():
    with pytest.raises(BedsieveError, match="position"):
        double_hits(np.array([0, np.nan]), np.zeros(2), np.arange(2), np.arange(2, dtype=np.uint64))
