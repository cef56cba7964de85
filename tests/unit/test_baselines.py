"""The baselines by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from bedsieve.evaluation.baselines import (
    BASELINES,
    PYOD,
    mistie_interpolation,
    neighbour_residual,
    pyod_scores,
    residual_features,
    score_baselines,
)
from tests.unit.flight_lines import flight_lines


def straight(n: int, survey: int = 1, track: int = 0, north: float = 0.0) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "point_id": np.arange(n, dtype=np.uint64) + survey * 2**32 + 1000 * track,
            "survey_no": pl.Series([survey] * n, dtype=pl.UInt32),
            "track_id": pl.Series([track] * n, dtype=pl.Int32),
            "track_seq": pl.Series(range(n), dtype=pl.UInt32),
            "east": np.arange(n) * 10.0,
            "north": np.full(n, north),
            "ice_thickness": np.full(n, 1000.0),
        }
    )


def test_neighbour_residual_takes_the_nearest_and_skips_empty_slots() -> None:
    thickness = np.array([10.0, 20.0, 60.0, 100.0])
    neighbour = np.array([[1, 2, 3], [0, -1, -1], [-1, -1, -1]], np.int32)
    found = neighbour_residual(thickness, neighbour, nearest=2)
    assert found[:2].tolist() == [10 - 40, 20 - 10]
    assert np.isnan(found[2])


def test_misties_run_linearly_between_crossings_and_stay_beyond_them() -> None:
    line, lone = straight(11), straight(3, track=1, north=500.0)
    points = pl.concat([line, lone]).sample(fraction=1.0, shuffle=True, seed=3)
    first = int(line["point_id"][0])
    crossovers = pl.DataFrame(
        {
            "point_id_a": pl.Series([first + 2, 1, first + 5], dtype=pl.UInt64),
            "point_id_b": pl.Series([1, first + 6, 2], dtype=pl.UInt64),
            "mistie": [40.0, -80.0, 999.0],
            "self_crossing": [False, False, True],
        }
    )
    score = dict(zip(points["point_id"], mistie_interpolation(points, crossovers), strict=True))
    along = [score[first + i] for i in range(11)]
    assert along == pytest.approx([40, 40, 40, 50, 60, 70, 80, 80, 80, 80, 80])
    assert all(np.isnan(score[p]) for p in lone["point_id"])


def test_pyod_finds_the_odd_row_and_repeats_itself() -> None:
    X = np.random.default_rng(0).normal(size=(300, 3))
    X[7] = 9.0
    X[20:40, 1] = np.nan
    X = np.column_stack([X, np.full(300, np.nan), np.ones(300)])
    first, again = pyod_scores(X, 1), pyod_scores(X, 1)
    assert set(first) == set(PYOD)
    for name, score in first.items():
        assert np.argmax(score) == 7, name
        assert np.array_equal(score, again[name])
    assert all((s == 0).all() for s in pyod_scores(np.full((4, 2), np.nan), 0).values())


def test_residual_features_do_not_cross_from_line_to_line() -> None:
    points = pl.concat([straight(12), straight(12, track=1, north=50.0)])
    thickness = points["ice_thickness"].to_numpy().copy()
    thickness[12:] += 500
    nothing = np.zeros(24)
    X = residual_features(points.with_columns(ice_thickness=pl.Series(thickness)), nothing, nothing)
    assert np.nanmax(X) == 0
    assert np.isnan(X[[11, 23], 1]).all()


def test_all_baselines_have_a_score_a_point() -> None:
    points = flight_lines(lines=6, points=60)
    neighbour = np.tile(np.arange(16, dtype=np.int32), (points.height, 1))
    crossovers = pl.DataFrame(
        schema={
            "point_id_a": pl.UInt64,
            "point_id_b": pl.UInt64,
            "mistie": pl.Float64,
            "self_crossing": pl.Boolean,
        }
    )
    scores = score_baselines(100, points, neighbour, crossovers, 0, 100.0)
    assert tuple(scores) == BASELINES
    assert all(len(score) == 100 for score in scores.values())
    assert np.isnan(scores["mistie_interpolation"]).all()
    assert np.isfinite(scores["iforest_residuals"]).all()
