"""The parts of the segments detector: nodes, kriging from other lines, steps and the chain."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.detectors.segments_chain import (
    BIASED,
    HONEST,
    LEVELS,
    STATES,
    K,
    _advance,
    _step_density,
    posterior,
)
from bedsieve.detectors.segments_kriging import expected_from_other_lines
from bedsieve.detectors.segments_network import cross_track_table
from bedsieve.detectors.segments_nodes import (
    CELL,
    make_buckets,
    make_nodes,
    nearest_of_other_lines,
)
from bedsieve.detectors.segments_score import (
    resolution,
    survey_segments,
)
from bedsieve.detectors.segments_steps import displaced_runs, track_steps
from bedsieve.tile_names import SEGMENT_MARGIN
from tests.unit.segment_lines import NO_MISTIES, crossing_lines, ground, with_error


def test_nodes_are_medians_of_a_line_in_a_cell_whatever_the_order() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-500, 500, 400), rng.uniform(-500, 500, 400)
    h, line = rng.normal(1000, 50, 400), rng.integers(0, 3, 400)
    nodes = make_nodes(x, y, h, line)
    for i in range(0, 400, 7):
        same = (line == line[i]) & (x // 200 == x[i] // 200) & (y // 200 == y[i] // 200)
        node = nodes.of_point[i]
        assert nodes.thickness[node] == pytest.approx(np.median(h[same]))
        assert nodes.east[node] == pytest.approx(x[same].mean())
        assert nodes.line[node] == line[i]
    shuffled = rng.permutation(400)
    again = make_nodes(x[shuffled], y[shuffled], h[shuffled], line[shuffled])
    assert np.array_equal(again.thickness, nodes.thickness)
    assert np.array_equal(again.of_point, nodes.of_point[shuffled])


def test_neighbours_are_the_nearest_of_other_lines_few_of_each() -> None:
    rng = np.random.default_rng(2)
    n, reach, most, per_line = 300, 2500.0, 10, 2
    x, y = rng.uniform(0, 6000, n), rng.uniform(0, 6000, n)
    line = rng.integers(0, 9, n)
    nodes = make_nodes(x, y, np.full(n, 1000.0), line, cell=0.01)
    buckets = make_buckets(nodes)
    out, distance = np.empty(most, np.int64), np.empty(most)
    for at in range(0, n, 11):
        found = nearest_of_other_lines(
            at, nodes.east, nodes.north, nodes.line, buckets, reach, most, per_line, out, distance
        )
        d = np.hypot(nodes.east - nodes.east[at], nodes.north - nodes.north[at])
        expected, taken = [], dict.fromkeys(range(9), 0)
        for node in np.argsort(d):
            one = int(nodes.line[node])
            if one != nodes.line[at] and d[node] <= reach and taken[one] < per_line:
                expected.append(int(node))
                taken[one] += 1
        assert out[:found].tolist() == expected[:most]


def test_other_lines_predict_the_ground_and_a_biased_line_does_not_mislead_them() -> None:
    frame = crossing_lines()
    biased = with_error(frame, 1, 7, 0, 300, pl.col("ice_thickness") + 150)
    table = biased.join(cross_track_table(biased, biased.clear()), on="point_id")
    truth = ground(table["east"].to_numpy(), table["north"].to_numpy())
    miss = np.abs(table["expected_m"].to_numpy() - truth)
    assert np.quantile(miss, 0.99) < 20
    own = ((table["survey_no"] == 1) & (table["track_id"] == 7)).to_numpy()
    assert np.median(miss[own]) < 6
    assert (miss / table["sigma_m"].to_numpy() < 3).mean() > 0.99


def test_kriging_of_two_lines_is_the_textbook_formula() -> None:
    x, y = np.array([0.0, 1000.0, 0.0]), np.array([0.0, 0.0, 700.0])
    h = np.array([1000.0, 1040.0, 980.0])
    nodes = make_nodes(x, y, h, np.array([0, 1, 2]))
    expected, sigma, lines = expected_from_other_lines(x, y, nodes)
    assert lines.tolist() == [2, 2, 2]
    # At point 0, from nodes 1 and 2: the pair's relief is measured and blended with the prior.
    d12, d01, d02 = np.hypot(1000, 700), 1000.0, 700.0

    def rho(d: float) -> float:
        return float((1 + np.sqrt(3) * d / 2000) * np.exp(-np.sqrt(3) * d / 2000))

    noise, offset = 25.0, 64.0
    measured = (60.0**2 - 2 * (noise + offset)) / (2 * (1 - rho(d12))) / 0.455
    relief2 = (measured + 10 * 120.0**2) / 11
    a = np.ones((3, 3))
    a[2, 2] = 0
    a[:2, :2] = relief2 * np.array([[1, rho(d12)], [rho(d12), 1]]) + (noise + offset) * np.eye(2)
    right = np.array([relief2 * rho(d01), relief2 * rho(d02), 1])
    weights = np.linalg.solve(a, right)
    assert expected[0] == pytest.approx(weights[:2] @ [1040, 980])
    assert sigma[0] ** 2 == pytest.approx(relief2 - weights @ right + noise + offset)


def test_alone_there_is_nothing_to_expect() -> None:
    frame = crossing_lines().filter((pl.col("survey_no") == 1) & (pl.col("track_id") == 3))
    table = cross_track_table(frame, frame.clear())
    assert table["expected_m"].null_count() == frame.height
    scores, runs = survey_segments(frame, table, NO_MISTIES)
    assert runs.height == 0
    assert scores["score"].max() < 0.5


def test_steps_are_what_goes_beyond_the_slope() -> None:
    x = np.arange(0, 6000.0, 30)
    h = 1000 + 0.2 * x + np.where(x >= 3000, 80.0, 0.0)
    step, scale, gap = track_steps(h, x, 0 * x, np.array([0, len(x)]))
    assert np.flatnonzero(np.abs(step) > 1).tolist() == [99]
    assert step[99] == pytest.approx(80)
    assert np.isnan(step[-1])
    assert np.allclose(gap[:-1], 30)
    assert np.all(scale[:-1] == 3.0)


def test_displaced_runs_come_back_and_turns_between_lines_do_not() -> None:
    x, y = np.arange(0, 6000.0, 30), np.zeros(200)
    y[80:120] += 1500
    x[80:120] -= 400
    first = np.array([0, 200])
    gap = np.append(np.hypot(np.diff(x), np.diff(y)), np.nan)
    assert np.flatnonzero(displaced_runs(x, y, gap, first)).tolist() == list(range(80, 120))
    # Three parallel lines flown to and fro, as one track.
    way = np.arange(0, 1500.0, 30)
    x = np.concatenate([way, way[::-1], way])
    y = np.repeat([0.0, 500.0, 1000.0], 50)
    gap = np.append(np.hypot(np.diff(x), np.diff(y)), np.nan)
    assert not displaced_runs(x, y, gap, np.array([0, 150])).any()


@settings(max_examples=15, deadline=None)
@given(
    step=st.floats(-900, 900), scale=st.floats(3, 200), equal=st.booleans(), p=st.floats(1e-4, 0.5)
)
def test_backward_is_the_transpose_of_forward(
    step: float, scale: float, equal: bool, p: float
) -> None:
    forward, backward = np.zeros((STATES, STATES)), np.zeros((STATES, STATES))
    into = np.empty(K)
    into[:] = [_step_density(step, level, scale) for level in LEVELS]
    for s in range(STATES):
        unit = np.zeros(STATES)
        unit[s] = 1.0
        _advance(unit, forward[s], step, scale, equal, p, into, False)
        _advance(unit, backward[s], step, scale, equal, p, into, True)
    np.testing.assert_allclose(forward, backward.T, rtol=1e-12, atol=0)
    assert (forward >= 0).all()


def test_a_step_leads_from_honest_to_its_own_size() -> None:
    into, honest, after = np.empty(K), np.zeros(STATES), np.empty(STATES)
    honest[HONEST] = 1.0
    into[:] = [_step_density(150.0, level, 5.0) for level in LEVELS]
    _advance(honest, after, 150.0, 5.0, False, 0.01, into, False)
    likeliest = LEVELS[np.argmax(after[BIASED : BIASED + K])]
    assert likeliest == pytest.approx(150, rel=0.12)


def _chain(residual: np.ndarray, thickness: np.ndarray, lines: int, chunk: int) -> np.ndarray:
    n = len(residual)
    x = 30.0 * np.arange(n)
    first = np.array([0, n])
    step, scale, gap = track_steps(thickness, x, 0 * x, first)
    log_odds, _, _ = posterior(
        residual, np.full(n, 12.0), np.full(n, lines), step, scale, gap,
        np.zeros(n, bool), np.full(n, 0.01), first, chunk,
    )  # fmt: skip
    return np.asarray(log_odds)


def test_the_blame_lies_where_the_thickness_itself_steps() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 3, 400)
    shift = np.where((np.arange(400) >= 150) & (np.arange(400) < 250), 120.0, 0.0)
    bad = _chain(noise + shift, 1500 + noise + shift, 2, 20_000)
    assert (bad[150:250] > 10).all()
    assert (bad[:148] < 0).all()
    assert (bad[252:] < 0).all()
    # The same mis-ties, but this line runs smoothly through them: the other line is wrong.
    assert (_chain(noise + shift, 1500 + noise, 2, 20_000) < 0).all()
    # Without other lines the two steps still tell.
    assert (_chain(np.full(400, np.nan), 1500 + noise + shift, 0, 20_000)[150:250] > 3).all()


def test_a_line_biased_as_a_whole_needs_several_other_lines() -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 3, 400)
    many = _chain(noise + 110, 1500 + noise, 8, 20_000)
    assert (many > 5).all()
    assert (many > _chain(noise + 110, 1500 + noise, 1, 20_000)).all()
    assert (_chain(noise + 15, 1500 + noise, 8, 20_000) < 0).all()


def test_chunks_bound_memory_and_change_nothing() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 4, 500)
    shift = np.where((np.arange(500) // 60) % 3 == 1, 90.0, 0.0)
    whole = _chain(noise + shift, 1500 + noise + shift, 5, 20_000)
    for chunk in (1, 37, 250):
        assert np.array_equal(_chain(noise + shift, 1500 + noise + shift, 5, chunk), whole)


def test_resolution_is_read_off_the_values() -> None:
    rng = np.random.default_rng(8)
    h = rng.uniform(500, 3000, 500)
    assert resolution(np.round(h)) == 1.0
    assert resolution(np.round(h, 1)) == 0.1
    assert resolution(h) == 0.01


@pytest.mark.parametrize("thickness", [2.5e4, 2.3e5, 1e6, 1e30, 1e300])
def test_no_thickness_is_too_absurd_to_be_judged(thickness: float) -> None:
    rng = np.random.default_rng(6)
    noise = rng.normal(0, 3, 60)
    spike = np.where(np.arange(60) == 30, thickness, 0.0)
    bad = _chain(noise + spike, 1500 + noise + spike, 2, 20_000)
    assert np.isfinite(bad).all()
    assert bad[30] > 10
    assert (np.delete(bad, 30) < 0).all()


def test_margin_is_three_cells() -> None:
    # The plan reads it while the workflow is parsed, where what knows the cell would take seconds to import.
    assert SEGMENT_MARGIN == 3 * CELL
