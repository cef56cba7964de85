"""Physics PCA of a matrix: against scikit-learn and brute force; features by hand."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
import polars as pl
import pytest

from bedsieve.detectors.pca import FEATURES, GridModel, feature_matrix, fit_grid
from bedsieve.detectors.pca_detector import PhysicsPCA
from bedsieve.errors import BedsieveError


def _correlated(n: int, seed: int, p: int = 8, latent: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(latent, p))
    X = rng.normal(size=(n, latent)) @ loadings + 0.4 * rng.normal(size=(n, p))
    return X * rng.uniform(0.01, 1000, p) + rng.uniform(-3000, 3000, p)


def _fit(X: np.ndarray, variance_kept: float = 0.95) -> GridModel:
    fitted = fit_grid(X, variance_kept)
    assert fitted is not None
    np.testing.assert_array_equal(fitted[0].errors(X), fitted[1])
    return fitted[0]


@pytest.mark.parametrize("variance_kept", [0.6, 0.95])
@pytest.mark.parametrize("seed", range(4))
def test_errors_equal_scikit_learn(seed: int, variance_kept: float) -> None:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    X = _correlated(20_000 + seed, seed)
    standard = StandardScaler().fit_transform(X)
    peer = PCA(n_components=variance_kept, svd_solver="full").fit(standard)
    rebuilt = peer.inverse_transform(peer.transform(standard))
    model = _fit(X, variance_kept)
    assert model.discarded.shape == (8, 8 - peer.n_components_)
    expected = ((standard - rebuilt) ** 2).mean(axis=1)
    np.testing.assert_allclose(model.errors(X), expected, rtol=0, atol=1e-8)
    assert model.median == pytest.approx(np.median(expected), rel=1e-6)
    assert model.mad == pytest.approx(np.median(np.abs(expected - np.median(expected))), rel=1e-5)


def test_a_missing_value_takes_the_best_fit() -> None:
    X = _correlated(2_000, 1)
    model = _fit(X, 0.7)
    rng = np.random.default_rng(2)
    holes = X[:200].copy()
    holes[rng.random(holes.shape) < 0.4] = np.nan
    got = model.errors(holes)
    standard = (holes - model.centre) / model.scale
    for row, error in zip(standard, got, strict=True):
        has = np.isfinite(row)
        # Least squares over the missing values: |D_o' x_o + D_m' x_m|² least.
        target = row[has] @ model.discarded[has]
        fill = np.linalg.lstsq(model.discarded[~has].T, -target, rcond=None)[0]
        least = np.sum((target + fill @ model.discarded[~has]) ** 2)
        if np.isnan(error):
            assert least < 1e-9
        else:
            assert error == pytest.approx(least / has.sum(), abs=1e-9)
    assert np.isnan(got).any()
    assert np.isfinite(got).sum() > 100


def test_what_was_not_measured_cannot_accuse() -> None:
    X = _correlated(1_000, 3)
    model = _fit(X)
    whole = model.errors(X) * 8
    for feature in range(8):
        holes = X.copy()
        holes[:, feature] = np.nan
        assert (model.errors(holes) * 7 <= whole + 1e-9).all()


def test_features_without_values_or_spread_are_left_out() -> None:
    X = _correlated(5_000, 4)
    X[:, 2] = np.nan
    X[:, 5] = 250.0
    X[: 5_000 // 2 + 1, 7] = np.nan
    model = _fit(X)
    assert model.columns.tolist() == [0, 1, 3, 4, 6]
    np.testing.assert_allclose(
        model.errors(X),
        _fit(X[:, [0, 1, 3, 4, 6]]).errors(X[:, [0, 1, 3, 4, 6]]),
        rtol=1e-6,
        atol=1e-9,
    )


def test_too_little_to_fit_gives_no_model() -> None:
    assert fit_grid(np.empty((0, 8), np.float32)) is None
    assert fit_grid(np.full((100, 8), 3.0)) is None
    assert fit_grid(np.tile(np.arange(8.0), (1, 1))) is None


def test_one_component_is_always_tested() -> None:
    X = np.random.default_rng(0).normal(size=(1_000, 3))
    assert _fit(X, 0.999).discarded.shape == (3, 1)


def test_scattered_gaps_do_not_spoil_the_components() -> None:
    X = _correlated(50_000, 6)
    holes = X.copy()
    holes[np.random.default_rng(1).random(X.shape) < 0.05] = np.nan
    whole, pairwise = _fit(X), _fit(holes)
    assert pairwise.discarded.shape == whole.discarded.shape
    difference = pairwise.discarded @ pairwise.discarded.T - whole.discarded @ whole.discarded.T
    assert np.abs(difference).max() < 0.05


def test_threads_and_order_of_reading_change_nothing() -> None:
    X = _correlated(100_000, 7).astype(np.float32)
    threads = numba.get_num_threads()
    many = _fit(X)
    numba.set_num_threads(1)
    try:
        one = _fit(X)
        np.testing.assert_array_equal(one.errors(X), many.errors(X))
    finally:
        numba.set_num_threads(threads)
    assert (one.median, one.mad) == (many.median, many.mad)
    parts = [many.errors(X[i : i + 3333]) for i in range(0, len(X), 3333)]
    np.testing.assert_array_equal(np.concatenate(parts), many.errors(X))


def test_features_by_hand() -> None:
    points = pl.DataFrame(
        {
            "ice_thickness": [np.e - 1, 1000.0, 1000.0],
            "bed_elev": [-20.0, 400.0, None],
            "bed_reconstructed": [False, True, False],
            "z": pl.Series([10.0, 1400.0, 1400.0], dtype=pl.Float32),
            "v": pl.Series([0.0, None, -2.0], dtype=pl.Float32),
        }
    )
    X = feature_matrix(points)
    residual = 10 + 20 - (np.e - 1)
    nan = np.nan
    np.testing.assert_allclose(X[0], [1, -20, residual, 10, nan, 0, nan, nan], rtol=1e-6)
    np.testing.assert_allclose(X[1, 1:], [400, nan, 1400, nan, nan, nan, nan])
    np.testing.assert_allclose(X[2, 1:], [nan, nan, 1400, nan, np.log(3), nan, nan], rtol=1e-6)
    assert X.shape == (3, len(FEATURES))


def test_the_detector_keeps_the_contract_of_the_library(tmp_path: Path) -> None:
    from sklearn.base import clone

    X = _correlated(5_000, 9)
    X[:50, 3] += 8 * X[:, 3].std()
    detector = PhysicsPCA(variance_kept=0.7, contamination=0.01)
    twin = clone(detector).fit(X)
    detector.fit(X)
    np.testing.assert_array_equal(detector.decision_scores_, twin.decision_scores_)
    np.testing.assert_array_equal(detector.decision_scores_, detector.decision_function(X))
    assert detector.decision_scores_[:50].mean() > 5 * detector.decision_scores_[50:].mean()
    shuffle = np.random.default_rng(1).permutation(5_000)
    np.testing.assert_array_equal(
        detector.decision_function(X[shuffle]), detector.decision_scores_[shuffle]
    )
    assert detector.labels_.sum() == detector.predict(X).sum()
    assert 0 < detector.labels_.sum() <= 51
    detector.save(tmp_path / "pca.npz")
    loaded = PhysicsPCA.load(tmp_path / "pca.npz")
    np.testing.assert_array_equal(loaded.decision_function(X), detector.decision_scores_)
    with pytest.raises(BedsieveError, match="nothing to learn"):
        PhysicsPCA().fit(np.ones((10, 3)))


# ---- tiles
