"""Pegasus: latent coordinates, tail shares, and tiles whose anomalies lie off, on or both."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bedsieve.detectors.on_manifold import NEIGHBOURS, ON_MANIFOLD, fit_on_manifold
from bedsieve.detectors.pca import GridModel, fit_grid
from bedsieve.detectors.pca_latent import latent_axes, latent_coordinates, standardised
from bedsieve.detectors.pca_model import PCAConfig
from bedsieve.detectors.pca_train import train_pca
from bedsieve.detectors.pegasus_model import load_model
from bedsieve.detectors.pegasus_score import score_tile
from bedsieve.detectors.pegasus_settings import PegasusSettings
from bedsieve.detectors.pegasus_train import train_pegasus
from bedsieve.detectors.tail_shares import TailShares, fit_tail_shares
from bedsieve.errors import BedsieveError, ConfigError, InputError

SMALL = {"sample": 400, "budget": 0.02}


def correlated(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)) * [3, 2, 1] @ rng.normal(size=(3, 8)) + 0.2 * rng.normal(
        size=(n, 8)
    )
    return X * rng.uniform(0.01, 1000, 8) + rng.uniform(-3000, 3000, 8)


def fitted(X: np.ndarray) -> GridModel:
    found = fit_grid(X)
    assert found is not None
    return found[0]


def test_latent_coordinates_equal_scikit_learn() -> None:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    X = correlated(3000, 0)
    grid = fitted(X)
    axes = latent_axes(grid, X)
    peer = PCA(n_components=0.95, svd_solver="full")
    expected = peer.fit_transform(StandardScaler().fit_transform(X))
    assert axes.shape == (8, peer.n_components_)
    np.testing.assert_allclose(axes.T @ axes, np.eye(axes.shape[1]), atol=1e-12)
    np.testing.assert_allclose(axes.T @ grid.discarded, 0, atol=1e-12)
    # An axis has no preferred direction.
    found = latent_coordinates(grid, axes, X)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-6)


def test_a_missing_feature_takes_the_value_that_the_error_assumes() -> None:
    X = correlated(2000, 1)
    grid = fitted(X)
    holes = X[:300].copy()
    holes[np.random.default_rng(2).random(holes.shape) < 0.3] = np.nan
    Z = standardised(grid, holes)
    has = np.isfinite(holes[:, grid.columns])
    np.testing.assert_allclose(Z[has], ((holes - grid.centre) / grid.scale)[has])
    errors = grid.errors(holes)
    known = np.isfinite(errors)
    least = ((Z @ grid.discarded) ** 2).sum(axis=1) / has.sum(axis=1)
    np.testing.assert_allclose(least[known], errors[known], atol=1e-9)
    np.testing.assert_allclose(least[~known], 0, atol=1e-9)


def test_tail_shares_by_brute_force() -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 40, 300).astype(float)
    weights = rng.uniform(0.5, 2, 300)
    table = fit_tail_shares(values, weights)
    for value in range(40):
        expected = weights[values >= value].sum() / weights.sum()
        assert table.of(np.array([float(value)]))[0] == pytest.approx(expected)
    assert table.of(np.array([-5.0]))[0] == 1
    assert table.of(np.array([99.0])) == table.of(np.array([values.max()]))
    assert np.isnan(table.of(np.array([np.nan]))[0])


def test_long_tables_stay_fine_in_the_tail() -> None:
    values = np.random.default_rng(4).normal(size=100_000)
    table = fit_tail_shares(values, np.ones(values.size))
    assert len(table.value) <= 513
    for share in (0.5, 0.01, 1e-4):
        value = np.quantile(values, 1 - share)
        # Of 100,000 the last are counted one by one.
        expected = pytest.approx((values >= value).mean(), rel=0.03, abs=1e-5)
        assert table.of(np.array([value]))[0] == expected
    assert table.evidence(np.array([np.quantile(values, 0.99)]), 0.01)[0] == pytest.approx(
        0.5, abs=0.01
    )
    assert TailShares.from_mapping(json.loads(json.dumps(table.to_mapping()))) == table


@pytest.mark.parametrize("name", sorted(ON_MANIFOLD))
def test_every_method_finds_what_stands_apart(name: str) -> None:
    rng = np.random.default_rng(5)
    X, new = rng.normal(size=(400, 3)), rng.normal(size=(50, 3))
    method = fit_on_manifold(name, X, share=0.05, seed=1)
    far = method.score(np.array([[9.0, 9, 9], [-9, -9.0, -9]]))
    scores = method.score(new)
    assert far.min() > scores.max()
    parts = np.concatenate([method.score(new[:7]), method.score(new[7:])])
    np.testing.assert_allclose(parts, scores, rtol=1e-12)
    again = fit_on_manifold(name, X, share=0.05, seed=1)
    np.testing.assert_array_equal(again.score(new), scores)
    assert method.training.shape == (400,)


def test_no_point_is_its_own_neighbour_in_training() -> None:
    X = np.random.default_rng(6).normal(size=(200, 2))
    training = fit_on_manifold("lof", X, share=0.05, seed=0).training
    distance = np.linalg.norm(X[:, None] - X[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    near = np.argsort(distance, axis=1)[:, :NEIGHBOURS]
    reach = np.take_along_axis(distance, near, axis=1)
    density = 1 / (np.maximum(reach, reach[:, -1][near]).mean(axis=1) + 1e-10)
    np.testing.assert_allclose(training, density[near].mean(axis=1) / density, rtol=1e-6)


def test_an_unknown_method_or_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="lof"):
        fit_on_manifold("loff", np.zeros((9, 2)), share=0.1, seed=0)
    with pytest.raises(ConfigError, match="methods"):
        PegasusSettings.from_mapping({"methods": ["loff"]})
    with pytest.raises(ConfigError, match="manifold 'tsne'"):
        PegasusSettings.from_mapping({"manifold": "tsne"})
    with pytest.raises(ConfigError, match="unknown setting quantile"):
        PegasusSettings.from_mapping({"quantile": 0.9})
    with pytest.raises(ConfigError, match="budget"):
        PegasusSettings(budget=0.5)


def herd(
    folder: Path, tile: str, n: int = 3000, seed: int = 0
) -> tuple[dict[str, Path], slice, slice]:
    """Points whose features follow two numbers; then 20 that break the rule and 20 that are extreme by it."""
    rng = np.random.default_rng(seed)
    size, form = rng.normal(size=(2, n))
    pegasus, sampson = slice(n - 40, n - 20), slice(n - 20, n)
    size[sampson] += 9
    noise = 0.05 * rng.normal(size=(7, n))
    thickness = np.exp(7 + 0.1 * (size + noise[0]))
    bed = 300 * (form + noise[1])
    smb = 150 + 20 * (size + noise[2])
    smb[pegasus] += 60
    frame = pl.DataFrame(
        {
            "point_id": np.arange(n, dtype=np.uint64) + np.uint64((seed + 1) << 32),
            "ice_thickness": thickness,
            "bed_elev": bed,
            "bed_reconstructed": np.zeros(n, bool),
            "z": (2000 + 300 * (size + form + noise[3])).astype(np.float32),
            "s": (0.01 * np.exp(0.2 * (form + noise[4]))).astype(np.float32),
            "v": np.exp(3 + 0.5 * (size + noise[5])).astype(np.float32),
            "smb": smb.astype(np.float32),
            "temp": (250 + 5 * (form + noise[6])).astype(np.float32),
        }
    )
    path = folder / tile / "points.parquet"
    path.parent.mkdir(parents=True)
    frame.write_parquet(path)
    return {"points": path}, pegasus, sampson


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("pegasus")
    made = [herd(folder, "x0_y0", seed=0), herd(folder, "x5_y0", seed=1)]
    few = herd(folder, "x9_y0", n=300, seed=2)
    tiles = [tile for tile, _, _ in [*made, few]]
    train_pca(
        [tile["points"] for tile in tiles],
        folder / "pca",
        version="v1",
        config=PCAConfig(min_points=1000),
    )
    train_pegasus(tiles, folder / "pca", folder / "pegasus", SMALL, seed=7)
    return folder, made, few


def scored(folder: Path, tile: dict[str, Path], out: Path, **options: int) -> pl.DataFrame:
    score_tile(tile, folder / "pca", folder / "pegasus", out, **options)
    return pl.read_parquet(out)


def test_off_and_on_are_told_apart(trained, tmp_path: Path) -> None:
    folder, made, _ = trained
    for tile, pegasus, sampson in made:
        table = scored(folder, tile, tmp_path / "s.parquet")
        assert table.schema == {
            "point_id": pl.UInt64, "score": pl.Float32, "code": pl.String, "off": pl.Float32,
            "on": pl.Float32, "on_method": pl.String, "origin": pl.String,
        }  # fmt: skip
        origin = table["origin"].to_numpy()
        assert np.isin(origin[pegasus], ["off", "both"]).mean() >= 0.9
        assert np.isin(origin[sampson], ["on", "both"]).mean() >= 0.9
        assert (origin[pegasus] == "off").mean() > (origin[sampson] == "off").mean()
        rest = np.delete(origin, np.r_[pegasus, sampson])
        assert (rest != "none").mean() < 0.04
        larger = table.select(pl.max_horizontal("off", "on")).to_series()
        assert table["score"].equals(larger.rename("score"))
        assert ((table["score"] >= 0.5) == (table["origin"] != "none")).all()
        assert set(table["on_method"]) <= {"isolation_forest", "lof"}


def test_each_evidence_flags_its_budget_over_what_it_was_trained_on(
    trained, tmp_path: Path
) -> None:
    folder, made, _ = trained
    table = pl.concat([scored(folder, tile, tmp_path / "s.parquet") for tile, _, _ in made])
    assert (table["off"] >= 0.5).mean() == pytest.approx(0.02, abs=0.006)
    # Two methods, so up to twice the budget.
    assert 0.015 < (table["on"] >= 0.5).mean() < 0.045


def test_chunks_change_nothing(trained, tmp_path: Path) -> None:
    folder, made, _ = trained
    whole = scored(folder, made[0][0], tmp_path / "a.parquet")
    parts = scored(folder, made[0][0], tmp_path / "b.parquet", chunk=701)
    np.testing.assert_allclose(parts["score"], whole["score"], atol=1e-6)
    assert parts["point_id"].equals(whole["point_id"])


def test_a_tile_without_components_uses_the_pooled_manifold(trained, tmp_path: Path) -> None:
    folder, _, (tile, pegasus, sampson) = trained
    model = load_model(folder / "pegasus", folder / "pca")
    assert set(model.places) == {"pooled", "x0_y0", "x5_y0"}
    table = scored(folder, tile, tmp_path / "s.parquet")
    assert table["score"].is_not_nan().all()
    assert np.median(table["score"].to_numpy()[pegasus]) > 0.5
    assert np.median(table["score"].to_numpy()[sampson]) > 0.5


def test_training_again_gives_the_same_files_in_any_order(trained) -> None:
    folder, made, few = trained
    tiles = [few[0], made[1][0], made[0][0]]
    train_pegasus(tiles, folder / "pca", folder / "again", SMALL, seed=7)
    for name in ("model.json", "sample.parquet"):
        assert (folder / "again" / name).read_bytes() == (folder / "pegasus" / name).read_bytes()
    with pytest.raises(BedsieveError, match="trained already"):
        train_pegasus(tiles, folder / "pca", folder / "again", SMALL, seed=7)


def test_another_manifold_beneath_is_refused(trained, tmp_path: Path) -> None:
    folder, _, _ = trained
    other = tmp_path / "pca"
    shutil.copytree(folder / "pca", other)
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"version": "v2"}))
    with pytest.raises(InputError, match="not the manifold that pegasus was trained on"):
        load_model(folder / "pegasus", other)


def test_too_few_points_are_told(trained, tmp_path: Path) -> None:
    folder, _, _ = trained
    tile, _, _ = herd(tmp_path, "x0_y0", n=100)
    with pytest.raises(BedsieveError, match="fewer than 120 points"):
        train_pegasus([tile], folder / "pca", tmp_path / "pegasus", SMALL)
