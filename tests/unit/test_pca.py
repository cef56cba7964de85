"""Physics PCA: against scikit-learn, brute force and hand-made tiles; frozen models; borrowing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numba
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from polars.testing import assert_frame_equal

from bedsieve.detectors.order_statistics import median, median_and_mad
from bedsieve.detectors.pca import FEATURES, GridModel, feature_matrix, fit_grid
from bedsieve.detectors.pca_detector import PhysicsPCA
from bedsieve.detectors.pca_model import PCAConfig, load_model, save_model
from bedsieve.detectors.pca_score import NO_EVIDENCE, score_tile
from bedsieve.detectors.pca_train import adjacent_tiles, train_pca
from bedsieve.errors import BedsieveError, InputError
from bedsieve.graph.crossovers import write_crossovers
from bedsieve.graph.tile_geometry import TileBox
from tests.unit.flight_lines import flight_lines, with_long_segments


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


_positive = st.floats(0, 2.0**100, width=32) | st.just(float("nan"))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 40), elements=_positive))
def test_median_and_mad_equal_numpy(values: np.ndarray) -> None:
    finite = values[np.isfinite(values)].astype(np.float64)
    middle, mad = median_and_mad(values)
    if finite.size == 0:
        assert np.isnan(middle)
        assert np.isnan(mad)
        return
    assert middle == np.median(finite)
    deviations = np.abs(values[np.isfinite(values)] - np.float32(middle)).astype(np.float64)
    assert mad == np.median(deviations)


def test_median_of_many_equals_numpy() -> None:
    values = np.random.default_rng(3).exponential(size=300_001).astype(np.float32)
    assert median(values) == np.median(values)
    assert median(values[1:]) == np.median(values[1:].astype(np.float64))
    assert median(values - 1, centre=-0.25) == np.median(np.abs(values - 1 + np.float32(0.25)))


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


def _points(n: int, seed: int, east: float = 0.0, survey: int = 1, lines: int = 4) -> pl.DataFrame:
    """Points on parallel lines 100 m apart along the line, with covariates that fit each other."""
    rng = np.random.default_rng(seed)
    along = 100.0 * (np.arange(n) // lines)
    track = np.arange(n) % lines
    wave = np.sin(along / 7000 + track) + 0.2 * np.sin(along / 900)
    surface = 1500 + 300 * np.cos(along / 30_000 + seed)
    bed = 200 * wave - 300 + rng.normal(0, 3, n)
    row = track * n + np.arange(n) // lines
    return pl.DataFrame(
        {
            "point_id": (survey * 2**32 + row).astype(np.uint64),
            "survey_no": np.full(n, survey, np.uint32),
            "track_id": track.astype(np.int32),
            "track_seq": row.astype(np.uint32),
            "east": east + along,
            "north": 5000.0 * track,
            "ice_thickness": surface - bed + rng.normal(0, 4, n),
            "bed_elev": bed,
            "bed_reconstructed": np.zeros(n, bool),
            "year": np.full(n, 2012, np.float32),
            "z": surface.astype(np.float32),
            "s": (0.002 + 0.001 * np.abs(wave)).astype(np.float32),
            "v": np.exp(3 + 0.5 * wave + 0.1 * rng.normal(size=n)).astype(np.float32),
            "smb": (200 - 0.1 * surface + rng.normal(0, 2, n)).astype(np.float32),
            "temp": (260 - 0.01 * surface + rng.normal(0, 0.2, n)).astype(np.float32),
        }
    )


_CROSSOVERS: dict[str, Any] = {
    "point_id_a": pl.UInt64,
    "point_id_b": pl.UInt64,
    "end_id_a": pl.UInt64,
    "end_id_b": pl.UInt64,
    "fraction_a": pl.Float64,
    "fraction_b": pl.Float64,
    "h_a": pl.Float64,
    "h_b": pl.Float64,
    "distance": pl.Float64,
    "self_crossing": pl.Boolean,
}


def _tile(root: Path, name: str, points: pl.DataFrame, halo: pl.DataFrame | None = None) -> Path:
    folder = root / "tiles" / name
    folder.mkdir(parents=True, exist_ok=True)
    points.write_parquet(folder / "points.parquet")
    (points.clear() if halo is None else halo).write_parquet(folder / "halo.parquet")
    pl.DataFrame(schema=_CROSSOVERS).write_parquet(folder / "crossovers.parquet")
    return folder


def _score(folder: Path, model: Path) -> pl.DataFrame:
    out = folder / "pca.parquet"
    score_tile(
        folder / "points.parquet",
        folder / "halo.parquet",
        [folder / "crossovers.parquet"],
        model,
        out,
    )
    return pl.read_parquet(out)


def _train(root: Path, folders: list[Path], version: str = "v1", **config: Any) -> Path:
    out = root / "models" / version / "pca"
    paths = [folder / "points.parquet" for folder in folders]
    train_pca(paths, out, version=version, config=PCAConfig(**config))
    return out


@pytest.fixture(name="three")
def _three(tmp_path: Path) -> list[Path]:
    """A full tile, a thin one beside it, and a thin one far away."""
    return [
        _tile(tmp_path, "x0_y0", _points(8000, 1)),
        _tile(tmp_path, "x1_y0", _points(400, 2, east=500e3, survey=2)),
        _tile(tmp_path, "x7_y7", _points(300, 3, east=3500e3, survey=3)),
    ]


def test_bad_thicknesses_come_out_on_top_and_verified(tmp_path: Path) -> None:
    points = _points(8000, 1)
    bad = np.zeros(8000, bool)
    bad[np.random.default_rng(0).choice(np.arange(500, 7500), 20, replace=False)] = True
    # An echo picked 900 m too shallow: thinner ice over a higher bed, and the surface still fits.
    spoilt = points.with_columns(
        ice_thickness=pl.col("ice_thickness") - 900.0 * bad,
        bed_elev=pl.col("bed_elev") + 900.0 * bad,
    )
    folder = _tile(tmp_path, "x0_y0", spoilt)
    table = _score(folder, _train(tmp_path, [folder]))
    score = table["score"].to_numpy()
    assert table["point_id"].equals(points["point_id"])
    assert ((score >= 0) & (score <= 1)).all()
    assert score[bad].min() > np.quantile(score[~bad], 0.99)
    verified = table["verified"].to_numpy()
    assert verified[bad].all()
    assert not verified[~bad].any()
    assert table["law_crossing"].null_count() == 8000
    assert table["law_rate"].null_count() == 0
    assert table["code"].null_count() == 8000
    assert not table["pooled"].any()


def test_a_chained_survey_is_followed_along_its_chain(tmp_path: Path) -> None:
    spiky = 400.0 * (np.arange(8000) % 40 == 3)
    points = _points(8000, 1).with_columns(ice_thickness=pl.col("ice_thickness") + spiky)
    # A file whose rows stand in no order: point_id follows the file, track_seq the chain.
    numbers = np.random.default_rng(2).permutation(8000).astype(np.uint64) + np.uint64(2**32)
    chained = points.with_columns(point_id=pl.Series(numbers))
    in_order, mixed = _tile(tmp_path, "x0_y0", points), _tile(tmp_path, "x5_y0", chained)
    model = _train(tmp_path, [in_order])
    expected, got = (_score(folder, model)["law_rate"] for folder in (in_order, mixed))
    assert got.equals(expected)
    assert expected.max() > 0


def test_thin_grids_borrow_and_say_so(
    tmp_path: Path, three: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = _train(tmp_path, three)
    said = capsys.readouterr().err
    assert "1 grids of their own points, 1 borrow from their neighbours, 1 use the pooled" in said
    sources = {}
    for folder in three:
        table = _score(folder, model)
        sources[folder.name] = (table["model"].unique().to_list(), table["pooled"].unique()[0])
        assert table["score"].is_finite().all()
    assert sources == {
        "x0_y0": (["own"], False),
        "x1_y0": (["neighbours"], True),
        "x7_y7": (["pooled"], True),
    }
    unseen = _score(_tile(tmp_path, "x-3_y2", _points(500, 9, survey=9)), model)
    assert unseen["model"].unique().to_list() == ["pooled"]


def test_the_left_out_features_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = _points(8000, 1).drop("smb").with_columns(temp=pl.lit(None, pl.Float32))
    folder = _tile(tmp_path, "x0_y0", points)
    table = _score(folder, _train(tmp_path, [folder]))
    said = capsys.readouterr().err
    assert "smb is left out in 1 grids" in said
    assert "temp is left out in 1 grids" in said
    assert "bed is left out" not in said
    assert table["recon_mse"].null_count() == 0


def test_a_score_depends_on_no_other_tile(tmp_path: Path, three: list[Path]) -> None:
    model = _train(tmp_path, three)
    alone = (_score(three[0], model), (three[0] / "pca.parquet").read_bytes())
    for folder in three[1:]:
        _score(folder, model)
    _score(_tile(tmp_path, "x0_y1", _points(9000, 5, survey=8)), model)
    again = _score(three[0], model)
    assert again.equals(alone[0])
    assert (three[0] / "pca.parquet").read_bytes() == alone[1]


def test_training_is_bit_identical_in_any_order(tmp_path: Path, three: list[Path]) -> None:
    first = (_train(tmp_path, three) / "model.json").read_bytes()
    second = (_train(tmp_path, three[::-1], "v2") / "model.json").read_bytes()
    assert first == second


def test_the_version_freezes_the_limits_of_the_laws(tmp_path: Path, three: list[Path]) -> None:
    from dataclasses import replace

    from bedsieve.detectors.physics_laws import LawLimits

    strict = LawLimits(rate=(0.0, 0.01), rate_noise=0.0, relative_noise=0.0)
    strict_model = _train(tmp_path, three, "strict", laws=strict)
    assert load_model(strict_model).laws == strict
    assert load_model(_train(tmp_path, three)).laws == replace(strict, **vars(LawLimits()))
    assert _score(three[0], strict_model)["law_rate"].mean() > 0.5


def test_saved_models_keep_every_bit(tmp_path: Path, three: list[Path]) -> None:
    folder = _train(tmp_path, three)
    model = load_model(folder)
    save_model(model, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (folder / "model.json").read_bytes()
    X = _correlated(100, 1).astype(np.float32)
    grid = model.grids["x0_y0"][0]
    refitted = fit_grid(feature_matrix(pl.read_parquet(three[0] / "points.parquet")))
    assert refitted is not None
    np.testing.assert_array_equal(grid.errors(X), refitted[0].errors(X))


def test_tampered_weights_are_refused(tmp_path: Path, three: list[Path]) -> None:
    model = _train(tmp_path, three)
    weights = model / "model.json"
    weights.write_text(weights.read_text().replace('"z_low": ', '"z_low": 1'))
    with pytest.raises(InputError, match=r"model\.json: is not the file"):
        _score(three[0], model)


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    folder = _tile(tmp_path, "x0_y0", _points(4, 1).head(1))
    with pytest.raises(InputError, match="1 points are too few"):
        _train(tmp_path, [folder])


@pytest.fixture(name="flown", scope="module")
def _flown(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, Path, pl.DataFrame]:
    """Flight lines that cross, a model, and the scores of all of them in one tile."""
    folder = tmp_path_factory.mktemp("flown")
    frame = with_long_segments(flight_lines(lines=60, side=8000.0, points=170, corner=(2e4, 2e4)))
    rng = np.random.default_rng(4)
    frame = frame.with_columns(
        bed_elev=500 - pl.col("ice_thickness") + rng.normal(0, 3, frame.height),
        bed_reconstructed=pl.lit(False),
        z=(500 + rng.normal(0, 3, frame.height)).astype(np.float32),
        s=rng.uniform(0.001, 0.06, frame.height).astype(np.float32),
    )
    model = _train(folder, [_tile(folder, "x0_y0", frame)])
    return frame, model, _scored_by_tiles(frame, 1e6, model, folder)


def _scored_by_tiles(frame: pl.DataFrame, size: float, model: Path, root: Path) -> pl.DataFrame:
    """Scores of all points, tile by tile, each with its own crossovers and the pooled components."""
    names = frame.select((pl.col("east", "north") // size).cast(pl.Int64)).unique(
        maintain_order=True
    )
    east, north = frame["east"].to_numpy(), frame["north"].to_numpy()
    parts = []
    for ix, iy in names.iter_rows():
        name, box = f"x{ix}_y{iy}", TileBox(ix, iy, size)
        around = pl.Series((box.distance(east, north) <= 3000.0) & ~box.owns(east, north))
        core = frame.filter(pl.Series(box.owns(east, north)))
        folder = _tile(root / f"{size:.0f}", name, core, frame.filter(around))
        paths = [folder / f"{file}.parquet" for file in ("points", "halo", "crossovers", "beyond")]
        write_crossovers(*paths, tile=name, tile_size=size, reach=3000.0)
        score_tile(*paths[:2], paths[2:], model, folder / "pca.parquet", tile="none")
        parts.append(pl.read_parquet(folder / "pca.parquet"))
    return pl.concat(parts).sort("point_id")


@pytest.mark.parametrize("size", [1300.0, 2500.0, 6000.0])
def test_any_tiling_gives_the_same_scores(
    flown: tuple[pl.DataFrame, Path, pl.DataFrame], size: float, tmp_path: Path
) -> None:
    frame, model, whole = flown
    assert_frame_equal(_scored_by_tiles(frame, size, model, tmp_path), whole, check_exact=True)
    assert whole["law_crossing"].drop_nulls().len() > 1000
    assert whole["law_crossing"].n_unique() > 100
    assert 0 < whole["law_rate"].mean() < 1
    assert 0 < whole["law_shear"].mean() < 1


def test_a_crossing_judges_the_nearer_end_and_other_flights_only(tmp_path: Path) -> None:
    points = _points(8000, 1)
    folder = _tile(tmp_path, "x0_y0", points)
    model = _train(tmp_path, [folder])
    ids = points["point_id"].to_numpy()
    # Points 0, 4, 8, … are one line, 1, 5, 9, … the next; each row a crossing of the two.
    rows = [
        (ids[0], ids[1], ids[4], ids[5], 0.8, 0.2, 1000.0, 3000.0, 0.0, False),
        (ids[40], ids[80], ids[44], ids[84], 0.2, 0.8, 1000.0, 3000.0, 0.0, True),
    ]
    pl.DataFrame(rows, schema=_CROSSOVERS, orient="row").write_parquet(
        folder / "crossovers.parquet"
    )
    law = _score(folder, model)["law_crossing"]
    assert np.flatnonzero(law.is_not_null().to_numpy()).tolist() == [1, 4]
    assert law[1] == 1.0


def test_a_point_without_any_evidence_has_a_code(tmp_path: Path) -> None:
    folder = _tile(tmp_path, "x0_y0", _points(8000, 1))
    model = _train(tmp_path, [folder])
    bare = (
        _points(8, 4)
        .head(1)
        .with_columns(
            [pl.lit(None, pl.Float32).alias(name) for name in ("z", "s", "v", "smb", "temp")]
            + [pl.lit(None, pl.Float64).alias("bed_elev")]
        )
    )
    table = _score(_tile(tmp_path, "x0_y1", bare), model)
    assert table["code"].to_list() == [NO_EVIDENCE]
    assert np.isnan(table["score"][0])
    assert table["recon_mse"].to_list() == [None]
    assert table["verified"].to_list() == [False]


def test_adjacent_tiles() -> None:
    around = adjacent_tiles("x-1_y0")
    assert len(set(around)) == 8
    assert "x-2_y-1" in around
    assert "x0_y1" in around
    assert "x-1_y0" not in around
