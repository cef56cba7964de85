"""Node features of the graph network, their scale, and the regions of points."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.detectors.gnn_folds import Folds, find_folds
from bedsieve.detectors.gnn_settings import GnnSettings
from bedsieve.detectors.node_features import FEATURES, Scaler, fit_scaler, raw_features

GOLDEN = {
    # First golden row of methods.md section 0, with its covariates from study B's appendix.
    "ice_thickness": 625.85,
    "bed_elev": 1148.46094612036 - 625.85,
    "bed_reconstructed": True,
    "z": 1148.46094612036,
    "s": 0.020026324393046153,
    "vx": -7.159774627555366,
    "vy": 16.24773632616157,
    "smb": 178.53328122200676,
    "temp": 253.65128984883358,
}


def test_features_of_the_golden_row() -> None:
    x = raw_features(pl.DataFrame([GOLDEN]))[0]
    speed = 17.755318666172382
    want = [
        math.log(626.85), 522.61094612036, math.nan, 625.85, math.log(1 + speed), 0.020026324,
        1148.46094612036, 178.533281222, 253.6512898488, -7.159774627 / speed, 16.247736326 / speed,
        0, 1, 1,
    ]  # fmt: skip
    np.testing.assert_allclose(x, want, rtol=1e-6)


def test_residual_is_masked_where_it_tests_nothing() -> None:
    rows = [
        {**GOLDEN, "bed_elev": 500.0, "bed_reconstructed": False},
        {**GOLDEN, "bed_elev": 500.0, "bed_reconstructed": True},
        {**GOLDEN, "bed_elev": 1148.46094612036 - 625.85 + 5e-4, "bed_reconstructed": False},
        {**GOLDEN, "bed_elev": None, "bed_reconstructed": False},
    ]
    x = raw_features(pl.DataFrame(rows))
    assert x[0, 2] == pytest.approx(1148.46094612036 - 500 - 625.85)
    assert np.isnan(x[1:, 2]).all()
    assert x[:, 11].tolist() == [1, 0, 0, 0]


def test_absent_columns_are_missing_not_an_error() -> None:
    x = raw_features(pl.DataFrame({"ice_thickness": [100.0, 200.0]}))
    assert np.isfinite(x[:, 0]).all()
    assert np.isnan(x[:, 1:11]).all()
    assert not x[:, 11:].any()
    scaler = fit_scaler(x, np.array([0.1, 0.2, 0.3]))
    assert set(scaler.absent) == set(FEATURES) - {"sl_ice"}
    assert np.isfinite(scaler.apply(x)).all()


def test_no_feature_depends_on_place_track_time_or_reference() -> None:
    rows = pl.DataFrame([GOLDEN, GOLDEN])
    extra = rows.with_columns(
        east=pl.Series([0.0, 1e6]), track_id=pl.Series([1, 2]), year=pl.Series([1970, 2020]),
        ith_bm=pl.Series([1.0, 4000.0]), lon=pl.Series([0.0, 90.0]),
    )  # fmt: skip
    np.testing.assert_array_equal(raw_features(extra)[0], raw_features(extra)[1])


def test_scaling_by_hand() -> None:
    x = np.zeros((5, 14), np.float32)
    x[:, 0] = [1, 2, 3, 4, 1e6]
    x[:, 1] = [0, 0, 0, 0, 7]
    x[:, 8] = np.nan
    x[0, 7] = np.nan
    scaler = fit_scaler(x, np.array([-1.0, 0.0, 1.0]))
    assert scaler.median[0] == 3
    assert scaler.scale[0] == pytest.approx((4 - 2) / 1.349)
    # Quartiles agree: the standard deviation instead.
    assert scaler.scale[1] == pytest.approx(np.std([0, 0, 0, 0, 7]))
    assert scaler.g_scale == pytest.approx(1 / 1.349)
    assert scaler.absent == ("temp",)
    scaled = scaler.apply(x.copy())
    np.testing.assert_allclose(scaled[:, 0], [-1.349, -0.6745, 0, 0.6745, 12], rtol=1e-6)
    assert scaled[0, 7] == 0
    assert not scaled[:, 8].any()
    again = Scaler.from_mapping(scaler.to_mapping())
    assert again == scaler


def test_scale_is_frozen() -> None:
    x = np.random.default_rng(0).normal(size=(50, 14)).astype(np.float32)
    scaler = fit_scaler(x, np.ones(3))
    one = scaler.apply(x.copy())[:1]
    x[1:] *= 100
    np.testing.assert_array_equal(scaler.apply(x)[:1], one)


def _points(n: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "point_id": rng.permutation(n).astype(np.uint64),
            "survey_no": rng.integers(1, 6, n).astype(np.uint32),
            "east": np.where(rng.random(n) < 0.5, -1e6, 1e6) + rng.normal(0, 1e4, n),
            "north": rng.normal(0, 1e5, n),
        }
    )


def test_regions_are_the_two_clusters_named_from_the_west() -> None:
    points = _points(300, 0)
    folds = find_folds(points, GnnSettings(), 0)
    region = folds.region_of(points)
    np.testing.assert_array_equal(region, (points["east"] > 0).to_numpy().astype(np.int8))
    # Model A trains on the west and scores the east.
    assert folds.scorer_of(region)[region == 1].tolist() == [0] * int((region == 1).sum())
    assert folds.to_mapping()["models"]["A"] == {"scores": "B", "trained_on": ["A"]}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["regions", "blocks", "surveys"]), st.integers(2, 5))
def test_a_points_region_is_its_own(seed: int, kind: str, n: int) -> None:
    points = _points(200, seed)
    folds = find_folds(points, GnnSettings(folds=kind, n_folds=n, block_size=20_000.0), seed)
    folds = Folds.from_mapping(folds.to_mapping())
    region = folds.region_of(points)
    assert set(region.tolist()) <= set(range(n))
    some = points[::3]
    np.testing.assert_array_equal(folds.region_of(some), region[::3])
    assert (
        find_folds(points.reverse(), GnnSettings(folds=kind, n_folds=n, block_size=20_000.0), seed)
        == folds
    )
    for fold in range(n):
        assert folds.scorer_of(np.array([folds.scored_by(fold)]))[0] == fold
