"""The graph autoencoder's features, surroundings, strata and score, by brute force."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from sklearn.preprocessing import RobustScaler

from bedsieve.detectors.gae_features import RobustScale, fit_scale, raw_features
from bedsieve.detectors.gae_neighbours import surroundings
from bedsieve.detectors.gae_scale import ScoreScale, fit_score_scale, rank_table
from bedsieve.detectors.gae_settings import GaeSettings
from bedsieve.detectors.gae_strata import Caps, find_strata, stratum_of
from bedsieve.errors import ConfigError
from tests.unit.test_node_features import GOLDEN


def test_features_of_the_golden_row() -> None:
    x = raw_features(pl.DataFrame([GOLDEN]), GaeSettings().features)[0]
    want = [
        625.85, 1148.46094612036, math.log(0.020026324393), 178.53328122200676,
        253.65128984883358, math.log(1 + 17.755318666172382),
    ]  # fmt: skip
    np.testing.assert_allclose(x, want, rtol=1e-6)


def test_velocity_as_a_vector_and_flat_or_missing_surface() -> None:
    names = GaeSettings(velocity="vector").features
    assert names[-2:] == ("vx_log", "vy_log")
    x = raw_features(pl.DataFrame([{**GOLDEN, "s": 0.0}, {**GOLDEN, "s": None}]), names)
    np.testing.assert_allclose(
        x[0, -2:], [-math.log(1 + 7.159774627555366), math.log(1 + 16.24773632616157)], rtol=1e-6
    )
    assert x[0, 2] == pytest.approx(math.log(1e-6))
    assert np.isnan(x[1, 2])


def test_unknown_choices_are_named() -> None:
    with pytest.raises(ConfigError, match="velocity 'speed' is unknown"):
        GaeSettings(velocity="speed")
    with pytest.raises(ConfigError, match="vx_log, which is no feature"):
        GaeSettings(strata_features=("vx_log",))
    chosen = GaeSettings.from_mapping({"widths": [4, 2], "strata_features": ["z"]})
    assert chosen.hops == 4
    assert GaeSettings.from_mapping(chosen.to_mapping()) == chosen


def test_scaling_is_scikit_learns_robust_scaler() -> None:
    names = GaeSettings().features
    x = np.random.default_rng(0).lognormal(size=(101, 6)).astype(np.float32)
    x[:, 3] = 7
    scale = fit_scale(x, names)
    want = RobustScaler().fit(x.astype(np.float64)).transform(x)
    got = scale.apply(x.copy())
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scale.thickness(got), x[:, 0], rtol=1e-5)
    assert RobustScale.from_mapping(scale.to_mapping()) == scale


def test_missing_values_stay_missing() -> None:
    names = GaeSettings().features
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    x[:, 4] = np.nan
    x[0, 3] = np.nan
    scale = fit_scale(x, names)
    assert scale.absent == ("temp",)
    # A tile scored later may have what training lacked.
    later = scale.apply(np.ones((1, 6), np.float32))
    assert np.isnan(later[0]).tolist() == [False, False, False, False, True, False]
    assert np.isnan(scale.apply(x)[0, 3])


def test_surroundings_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    n, k = 40, 5
    points = pl.DataFrame({c: rng.uniform(0, 90, n) for c in ("east", "north", "ice_thickness")})
    points[3, "east"], points[3, "north"] = points[4, "east"], points[4, "north"]
    neighbour = rng.integers(-2, n, (30, k)).astype(np.int32).clip(-1)
    neighbour[3], neighbour[5] = 4, -1
    found = surroundings(points, neighbour, 25)
    e, h = points.select("east", "north").to_numpy(), points["ice_thickness"].to_numpy()
    for i in range(25):
        near = neighbour[i][neighbour[i] >= 0]
        if near.size == 0:
            assert np.isnan(found.difference[i])
            assert (found.distance[i], found.gradient[i]) == (np.inf, 0)
            continue
        d = np.hypot(*(e[near] - e[i]).T)
        assert found.difference[i] == pytest.approx(abs(h[i] - np.median(h[near])))
        assert found.distance[i] == pytest.approx(d.mean())
        slope = np.abs(h[near] - h[i]) / np.maximum(d, 1)
        assert found.gradient[i] == pytest.approx(np.median(slope))
    assert found.gradient.size == 25


def test_strata_are_nearest_centres_and_as_tight_as_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 3)).astype(np.float32) + rng.integers(0, 4, (2000, 1)) * 5
    x[7, 1] = np.nan
    filled = np.nan_to_num(x).astype(np.float64)
    centres = find_strata(x, 8, seed=0)
    apart = ((filled[:, None] - centres) ** 2).sum(2)
    np.testing.assert_array_equal(stratum_of(x, centres), apart.argmin(1))
    assert (np.diff(centres[:, 0]) >= 0).all()
    best = KMeans(8, n_init=5, random_state=0).fit(filled).inertia_
    assert apart.min(1).sum() < 1.15 * best
    np.testing.assert_array_equal(find_strata(x, 8, seed=0), centres)
    assert not np.array_equal(find_strata(x, 8, seed=1), centres)


def test_fewer_distinct_points_than_strata() -> None:
    x = np.repeat(np.array([[1, 2], [3, 4]], np.float32), 5, axis=0)
    np.testing.assert_array_equal(find_strata(x, 9, seed=0), [[1, 2], [3, 4]])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 4))
def test_caps_by_brute_force(seed: int, cap: int, cuts: int) -> None:
    rng = np.random.default_rng(seed)
    n, strata = int(rng.integers(1, 60)), 5
    stratum = rng.integers(0, strata, n).astype(np.int16)
    draw = rng.permutation(1000)[:n].astype(np.uint64)
    caps = Caps(strata, cap)
    for part in np.array_split(rng.permutation(n), cuts):
        caps.add(stratum[part], draw[part])
    taken = draw <= caps.limits()[stratum]
    for s in range(strata):
        mine = np.sort(draw[stratum == s])
        np.testing.assert_array_equal(np.sort(draw[taken & (stratum == s)]), mine[:cap])
        assert caps.size[s] == mine.size


def test_ranks_are_mean_ranks() -> None:
    values = np.random.default_rng(0).integers(0, 50, 300).astype(np.float32)
    levels, rank = rank_table(values)
    np.testing.assert_allclose(np.interp(values, levels, rank), rankdata(values) / values.size)


def test_ranks_of_many_values_are_nearly_exact() -> None:
    values = np.random.default_rng(0).lognormal(sigma=2, size=30_000).astype(np.float32)
    levels, rank = rank_table(values)
    assert levels.size <= 4097
    got = np.interp(values, levels, rank)
    np.testing.assert_allclose(got, rankdata(values) / values.size, atol=5e-4)


def test_score_by_hand() -> None:
    error = np.array([math.e - 1, 0, math.e**2 - 1])
    distance = np.array([0.0, 1000.0, np.inf])
    gradient = np.array([0.3, 0.1, 0.2])
    scale = fit_score_scale(error, distance, gradient)
    assert scale.largest == pytest.approx(2)
    # v = 2 ae + w rank: ae 1/2, 0, 1; w 1, 1/e, 0; rank 1, 1/3, 2/3.
    v = np.array([2.0, 1 / 3 / math.e, 2.0])
    np.testing.assert_allclose(
        scale.score(error, distance, gradient), (v - v.min()) / (v.max() - v.min()), rtol=1e-6
    )
    assert ScoreScale.from_mapping(scale.to_mapping()) == scale


def test_score_is_frozen_and_clipped() -> None:
    rng = np.random.default_rng(0)
    error, distance, gradient = rng.exponential(20, (3, 500))
    scale = fit_score_scale(error, distance, gradient)
    score = scale.score(error, distance, gradient)
    assert (score.min(), score.max()) == (0, 1)
    np.testing.assert_array_equal(scale.score(error[:9], distance[:9], gradient[:9]), score[:9])
    assert scale.score(np.array([1e9]), np.array([0.0]), np.array([1e9])).tolist() == [1]
    # Greater errors and steeper surroundings never score less.
    assert (np.diff(scale.score(np.sort(error), distance * 0, gradient * 0)) >= 0).all()
    assert (np.diff(scale.score(error * 0, distance * 0, np.sort(gradient))) >= 0).all()


def test_points_that_are_all_alike_score_zero() -> None:
    same = np.zeros(4)
    assert fit_score_scale(same, same, same).score(same, same, same).tolist() == [0, 0, 0, 0]
