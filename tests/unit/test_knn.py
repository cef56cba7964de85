"""Exact nearest neighbours against brute force, on data that trip trees and grids."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.errors import BedsieveError
from bedsieve.graph.grid import space_order
from bedsieve.graph.knn import nearest

Points = tuple[np.ndarray, np.ndarray]


def brute(east, north, point_id, k, max_distance=np.inf, n_query=None):
    """Rows and distances of the k nearest by sorting all pairs."""
    n_query = east.size if n_query is None else n_query
    rows = np.full((n_query, k), -1, np.int32)
    distances = np.full((n_query, k), np.inf)
    for q in range(n_query):
        d2 = (east - east[q]) ** 2 + (north - north[q]) ** 2
        order = np.lexsort((point_id, d2))
        order = order[(order != q) & (d2[order] <= max_distance**2)][:k]
        rows[q, : order.size] = order
        distances[q, : order.size] = np.sqrt(d2[order])
    return rows, distances


def shuffled_ids(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(n).astype(np.uint64) + np.uint64(7 << 32)


def uniform(n: int) -> Points:
    east, north = np.random.default_rng(1).uniform(-2e6, 2e6, (2, n))
    return east, north


def gridded(n: int) -> Points:
    side = int(np.sqrt(n))
    east, north = np.divmod(np.arange(side * side), side)
    return east * 500.0, north * 500.0


def collinear(n: int) -> Points:
    step = np.random.default_rng(2).permutation(n)
    return step * 20.0, np.full(n, -3.0)


def duplicated(n: int) -> Points:
    rng = np.random.default_rng(3)
    places = rng.uniform(0, 1e3, (2, n // 8))
    pick = rng.integers(0, n // 8, n)
    return places[0, pick], places[1, pick]


def coincident(n: int) -> Points:
    return np.full(n, 12.5), np.full(n, -1e6)


def skewed(n: int) -> Points:
    """Half of the points within a metre, the rest over a continent, one far out."""
    rng = np.random.default_rng(4)
    east, north = rng.normal(0, 1e6, (2, n))
    east[: n // 2], north[: n // 2] = rng.normal(5e5, 0.1, (2, n // 2))
    east[-1] = 1e9
    return east, north


def clusters(n: int) -> Points:
    """Groups of fewer points than k, far apart, beside a dense line."""
    rng = np.random.default_rng(5)
    centre = rng.uniform(-1e6, 1e6, (2, n // 10))
    east, north = (c + rng.normal(0, 1, c.size) for c in np.repeat(centre, 5, axis=1))
    line = np.arange(n // 2) * 30.0
    return np.concatenate([east, line]), np.concatenate([north, 0.1 * line])


def circle(n: int) -> Points:
    angle = np.linspace(0, 2 * np.pi, n)
    return np.append(1e4 * np.cos(angle), 0.0), np.append(1e4 * np.sin(angle), 0.0)


SHAPES = [uniform, gridded, collinear, duplicated, coincident, skewed, clusters, circle]


@pytest.mark.parametrize("k", [1, 16, 32])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_brute_force(shape: Callable[[int], Points], k: int) -> None:
    east, north = shape(900)
    ids = shuffled_ids(east.size)
    rows, distances = brute(east, north, ids, k)
    found = nearest(east, north, ids, k)
    np.testing.assert_array_equal(found.row, rows)
    np.testing.assert_array_equal(found.distance, distances)


@pytest.mark.parametrize("shape", SHAPES)
def test_distance_limit_and_queries_of_the_first_rows(shape: Callable[[int], Points]) -> None:
    east, north = shape(600)
    ids = shuffled_ids(east.size)
    for limit in (0.0, 25.0, 500.0, 5000.0):
        rows, distances = brute(east, north, ids, 8, limit, n_query=200)
        found = nearest(east, north, ids, 8, max_distance=limit, n_query=200)
        np.testing.assert_array_equal(found.row, rows)
        np.testing.assert_array_equal(found.distance, distances)


@pytest.mark.parametrize("n", [0, 1, 2, 16, 17, 33])
def test_fewer_points_than_neighbours(n: int) -> None:
    east, north = uniform(n)
    rows, _ = brute(east, north, shuffled_ids(n), 16)
    found = nearest(east, north, shuffled_ids(n), 16)
    np.testing.assert_array_equal(found.row, rows)
    assert (np.isinf(found.distance) == (found.row < 0)).all()


def test_large_k() -> None:
    east, north = skewed(700)
    ids = shuffled_ids(700)
    np.testing.assert_array_equal(
        nearest(east, north, ids, 300).row, brute(east, north, ids, 300)[0]
    )


def test_many_points_at_one_place_end_in_time() -> None:
    n = 200_000
    east, north = coincident(n)
    ids = shuffled_ids(n)
    found = nearest(east, north, ids, 16)
    least = np.argsort(ids)[:17]
    expected = np.broadcast_to(least[:16], (n, 16)).copy()
    for q in least[:16]:
        expected[q] = least[least != q]
    np.testing.assert_array_equal(found.row, expected)
    assert (found.distance == 0).all()


def test_result_does_not_depend_on_threads_or_order() -> None:
    east, north = clusters(4000)
    ids = shuffled_ids(east.size)
    whole = nearest(east, north, ids)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        np.testing.assert_array_equal(nearest(east, north, ids).row, whole.row)
    finally:
        numba.set_num_threads(threads)
    order = np.random.default_rng(0).permutation(east.size)
    other = nearest(east[order], north[order], ids[order])
    np.testing.assert_array_equal(order[other.row], whole.row[order])


coordinate = st.one_of(
    st.integers(-4, 4).map(float), st.floats(-1e7, 1e7, allow_nan=False, allow_subnormal=False)
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=80),
    st.integers(1, 20),
    st.sampled_from([0.5, 3.0, np.inf]),
)
def test_any_points(places: list[tuple[float, float]], k: int, limit: float) -> None:
    east, north = np.array(places).T.copy()
    ids = shuffled_ids(east.size)
    rows, distances = brute(east, north, ids, k, limit)
    found = nearest(east, north, ids, k, max_distance=limit)
    np.testing.assert_array_equal(found.row, rows)
    np.testing.assert_array_equal(found.distance, distances)


def spread_by_hand(east, north, ids, line, q, k, tracks, limit):
    """The definition of min_tracks, step by step."""
    d2 = (east - east[q]) ** 2 + (north - north[q]) ** 2
    order = [i for i in np.lexsort((ids, d2)) if i != q and d2[i] <= limit**2]
    chosen, rest = order[:k], order[k:]
    while len({line[i] for i in chosen}) < tracks:
        new = next((i for i in rest if line[i] not in {line[j] for j in chosen}), None)
        doubles = [i for i in chosen if sum(line[j] == line[i] for j in chosen) > 1]
        if new is None or not doubles:
            break
        chosen.remove(doubles[-1])
        chosen.append(new)
    return chosen + [-1] * (k - len(chosen))


@pytest.mark.parametrize("limit", [400.0, np.inf])
@pytest.mark.parametrize("k", [3, 16])
def test_neighbours_of_enough_tracks(k: int, limit: float) -> None:
    rng = np.random.default_rng(6)
    line = np.repeat(np.arange(12), 50)
    offset = rng.permutation(12)[line] * 60.0
    east, north = np.tile(np.arange(50) * 10.0, 12), offset + np.round(rng.normal(0, 1, 600))
    ids = shuffled_ids(600)
    found = nearest(east, north, ids, k, max_distance=limit, line=line, min_tracks=5)
    for q in range(600):
        expected = spread_by_hand(east, north, ids, line, q, k, 5, limit)
        assert found.row[q].tolist() == expected
        filled = found.row[q] >= 0
        d = np.sqrt((east - east[q]) ** 2 + (north - north[q]) ** 2)
        np.testing.assert_array_equal(found.distance[q][filled], d[found.row[q][filled]])


def test_enough_tracks_among_points_at_one_place() -> None:
    line = np.repeat(np.arange(6), 40)
    east, north, ids = np.zeros(240), np.zeros(240), shuffled_ids(240)
    found = nearest(east, north, ids, 4, line=line, min_tracks=4)
    for q in range(240):
        assert found.row[q].tolist() == spread_by_hand(east, north, ids, line, q, 4, 4, np.inf)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k must be"),
        ({"max_distance": -1.0}, "max_distance"),
        ({"max_distance": np.nan}, "max_distance"),
        ({"min_tracks": 5}, "line"),
    ],
)
def test_senseless_arguments(change: dict[str, float], message: str) -> None:
    with pytest.raises(BedsieveError, match=message):
        nearest(np.zeros(3), np.zeros(3), shuffled_ids(3), **change)


def test_positions_that_are_not_finite() -> None:
    with pytest.raises(BedsieveError, match="NaN or infinite"):
        nearest(np.array([0.0, np.nan]), np.zeros(2), shuffled_ids(2), 1)


def test_space_order_walks_the_cells_of_a_square_one_step_at_a_time() -> None:
    east, north = (a.ravel() + 0.5 for a in np.meshgrid(np.arange(32.0), np.arange(32.0)))
    order = space_order(east, north, shuffled_ids(1024), cell=1.0)
    assert sorted(order) == list(range(1024))
    steps = np.abs(np.diff(east[order])) + np.abs(np.diff(north[order]))
    assert (steps == 1).all()


def test_space_order_is_that_of_the_plane_and_ties_go_by_point_id() -> None:
    east, north = uniform(3000)
    east[::3], north[::3] = np.round(east[::3], -6), np.round(north[::3], -6)
    ids = shuffled_ids(3000)
    order = space_order(east, north, ids, cell=10.0)
    half = np.flatnonzero(np.arange(3000) % 2)
    place = np.empty(3000, int)
    place[order] = np.arange(3000)
    alone = half[space_order(east[half], north[half], ids[half], cell=10.0)]
    assert (np.diff(place[alone]) > 0).all()
    same = (east[order][1:] == east[order][:-1]) & (north[order][1:] == north[order][:-1])
    assert same.any()
    assert (ids[order][1:][same] > ids[order][:-1][same]).all()


@pytest.mark.parametrize(("cell", "message"), [(0.0, "positive"), (1e-6, "too far out")])
def test_space_order_refuses_cells_that_cannot_be(cell: float, message: str) -> None:
    with pytest.raises(BedsieveError, match=message):
        space_order(np.array([5e5]), np.zeros(1), shuffled_ids(1), cell=cell)
