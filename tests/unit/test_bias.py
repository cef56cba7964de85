"""The bias network: known biases come back, outliers and new lines change nothing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from bedsieve.graph.bias import bias_at, fit_new_lines, read_network, solve_bias
from bedsieve.graph.crossovers import KINDS

N = 12  # lines each way


def lattice(bias, drift=None, noise=2.0, seed=0, spacing=10_000.0):
    """North-south and east-west lines that all cross; biases of lines 0..N-1 and N..2N-1."""
    rng = np.random.default_rng(seed)
    a, b = (axis.ravel() for axis in np.meshgrid(np.arange(N), np.arange(N), indexing="ij"))
    east, north = a * spacing, b * spacing
    drift = np.zeros(2 * N) if drift is None else drift
    middle = (N - 1) * spacing / 2
    value_a = bias[a] + drift[a] * (north - middle) / 1000
    value_b = bias[N + b] + drift[N + b] * (east - middle) / 1000
    mistie = value_a - value_b + rng.normal(0, noise, a.size)
    return pl.DataFrame({"a": a, "b": N + b, "east": east, "north": north, "mistie": mistie})


def known_bias():
    bias = np.zeros(2 * N)
    bias[3], bias[N + 5] = 80.0, -40.0
    return bias


def test_a_biased_line_is_found_and_the_others_stay_near_zero():
    bias = known_bias()
    table = solve_bias(lattice(bias))
    assert table["line"].to_list() == list(range(2 * N))
    np.testing.assert_allclose(table["bias_m"], bias, atol=3.0)
    flagged = table.filter(pl.col("z").abs() > 5)["line"].to_list()
    assert flagged == [3, N + 5]
    assert (table["n_crossings"] == N).all()
    assert table["sigma"].is_between(0.2, 2.0).all()


def test_sigma_is_the_spread_of_the_solution_over_noise():
    found = np.stack([solve_bias(lattice(known_bias(), seed=s))["bias_m"] for s in range(40)])
    spread = found.std(axis=0, ddof=1)
    sigma = solve_bias(lattice(known_bias()))["sigma"].to_numpy()
    assert 0.6 < np.median(spread / sigma) < 1.6


def test_a_drift_comes_back_and_can_be_applied_at_points():
    drift = np.zeros(2 * N)
    drift[2] = 0.5
    network = lattice(known_bias(), drift)
    table = solve_bias(network)
    row = table.row(2, named=True)
    assert row["drift_m_per_km"] * row["axis_north"] == pytest.approx(0.5, abs=0.1)
    line = np.array([2, 2, 999])
    east, north = np.full(3, 20_000.0), np.array([0.0, 100_000.0, 0.0])
    applied = bias_at(table, line, east, north)
    assert applied[1] - applied[0] == pytest.approx(50.0, abs=8.0)
    assert applied[2] == 0.0


def test_wild_misties_do_not_move_the_biases():
    clean = solve_bias(lattice(known_bias()))
    wild = lattice(known_bias()).with_columns(
        pl.when(pl.int_range(pl.len()) % 11 == 0).then(600.0).otherwise("mistie").alias("mistie")
    )
    robust = solve_bias(wild)
    np.testing.assert_allclose(robust["bias_m"], clean["bias_m"], atol=6.0)


def test_two_islands_have_a_datum_each():
    one, two = lattice(known_bias()), lattice(np.zeros(2 * N))
    two = two.with_columns(pl.col("a") + 100, pl.col("b") + 100, pl.col("east") + 1e6)
    table = solve_bias(pl.concat([one, two]))
    assert table["component"].n_unique() == 2
    medians = table.group_by("component").agg(pl.col("bias_m").median())["bias_m"]
    np.testing.assert_allclose(medians, 0.0, atol=1e-9)


def test_a_new_line_is_fitted_against_the_frozen_ones_and_moves_nobody():
    network = lattice(known_bias())
    frozen = solve_bias(network)
    new = pl.DataFrame(
        {
            "a": np.full(N, 500),
            "b": np.arange(N, 2 * N),
            "east": np.full(N, 25_000.0),
            "north": np.arange(N) * 10_000.0,
            "mistie": 120.0 - known_bias()[N:],
        }
    )
    between_new = new.with_columns(pl.lit(501, pl.Int64).alias("b"), pl.lit(-900.0).alias("mistie"))
    fitted = fit_new_lines(frozen, pl.concat([network, new, between_new]))
    assert fitted["line"].to_list() == [500]
    assert fitted["bias_m"][0] == pytest.approx(120.0, abs=3.0)
    assert fitted["z"][0] > 10
    assert fitted.schema == frozen.schema
    turned = new.select(
        pl.col("b").alias("a"), pl.col("a").alias("b"), "east", "north", -pl.col("mistie")
    )
    assert_frame_equal(fit_new_lines(frozen, turned), fitted)
    assert fit_new_lines(frozen, network).height == 0
    assert fit_new_lines(frozen, network).schema == frozen.schema


def test_reading_takes_crossings_between_different_lines(tmp_path):
    pl.DataFrame(
        {
            "kind": pl.Series(["double_hit", "crossing", "crossing"], dtype=KINDS),
            "line_a": [1, 1, 2],
            "line_b": [2, 1, 3],
            "survey_no_a": pl.Series([1, 1, 1], dtype=pl.UInt32),
            "survey_no_b": pl.Series([1, 1, 2], dtype=pl.UInt32),
            "east": [0.0, 1.0, 2.0],
            "north": [0.0, 1.0, 2.0],
            "mistie": [5.0, 6.0, 7.0],
        }
    ).write_parquet(tmp_path / "crossovers.parquet")
    paths = [tmp_path / "crossovers.parquet"]
    assert read_network(paths)["mistie"].to_list() == [7.0]
    assert read_network(paths, ("crossing", "double_hit"))["mistie"].to_list() == [5.0, 7.0]
    by_survey = read_network(paths, ("crossing", "double_hit"), unit="survey_no")
    assert by_survey.select("a", "b").rows() == [(1, 2)]
    table = solve_bias(by_survey, unit="survey_no")
    assert table["survey_no"].to_list() == [1, 2]
    assert table["bias_m"].to_list() == pytest.approx([3.5, -3.5], abs=0.1)
