"""What the ensemble learns: hand cases, and that no label scores its own point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bedsieve.ensemble.frozen import flag_threshold, mix_of, read_frozen
from bedsieve.ensemble.learning import (
    BINS,
    bin_of,
    class_weights,
    isotonic_knots,
    nonnegative_logistic,
    rank_at,
    rank_knots,
)
from bedsieve.ensemble.settings import EnsembleSettings
from bedsieve.ensemble.train import TileTables, train_ensemble
from bedsieve.errors import InputError
from bedsieve.evaluation.threshold import bad_share, fdr_threshold_of_counts


def test_ranks_are_shares_of_the_reference() -> None:
    counts = np.bincount(bin_of(np.array([0.0, 0.25, 0.25, 0.75])), minlength=BINS)
    knots = rank_knots(counts)
    found = rank_at(knots, np.array([0.0, 0.2, 0.5, 0.9, 1.0, np.nan], np.float32))
    assert found[:5].tolist() == [0.0, 0.25, 0.75, 1.0, 1.0]
    assert np.isnan(found[5])
    with pytest.raises(ValueError, match="no score"):
        rank_knots(np.zeros(BINS, np.int64))


def test_pools_of_a_hand_worked_isotonic_curve() -> None:
    score = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    outlier = np.array([False, True, False, True, True])
    x, y = isotonic_knots(score, outlier, np.ones(5))
    np.testing.assert_allclose(x, [0.1, 0.25, 0.45])
    np.testing.assert_allclose(y, [0.0, 0.5, 1.0])
    _, weighted = isotonic_knots(score, outlier, np.array([1.0, 1, 3, 1, 1]))
    np.testing.assert_allclose(weighted, [0.0, 0.25, 1.0])


def test_isotonic_agrees_with_scikit_learn() -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(0)
    # Middles of bins, so that binning changes nothing.
    score = (rng.integers(0, BINS, 400) + 0.5) / BINS
    outlier = rng.random(400) < score
    weight = rng.uniform(0.5, 2, 400)
    x, y = isotonic_knots(score, outlier, weight)
    peer = IsotonicRegression().fit(score, outlier, sample_weight=weight)
    np.testing.assert_allclose(np.interp(x, x, y), peer.predict(x), atol=1e-9)


def test_a_member_that_points_the_wrong_way_gets_next_to_no_weight() -> None:
    rng = np.random.default_rng(0)
    outlier = rng.random(4000) < 0.2
    good = np.where(outlier, 0.7, 0.3) + rng.normal(0, 0.15, 4000)
    weak = np.where(outlier, 0.55, 0.45) + rng.normal(0, 0.3, 4000)
    X = np.column_stack([good, 1 - good, weak])
    X[rng.random(4000) < 0.1, 2] = np.nan
    w = nonnegative_logistic(X, outlier, class_weights(outlier, 0.02))
    assert w.sum() == pytest.approx(1)
    assert w[0] > 0.8
    assert w[1] == pytest.approx(w[0] / 1000, rel=1e-6)
    assert 0 < w[2] < w[0]


def test_class_weights_give_the_share_asked_for() -> None:
    outlier = np.array([True, False, False, False])
    weight = class_weights(outlier, 0.01)
    assert weight[outlier].sum() / weight.sum() == pytest.approx(0.01)
    assert weight.mean() == pytest.approx(1)


def histograms(rng: np.random.Generator, share: float) -> tuple[Any, Any, Any, Any, Any]:
    """Good points of which the unlabelled are harder than the labelled; their scores and truth too."""
    n = 200_000
    truth = rng.random(n) < share
    score = np.where(truth, rng.beta(8, 2, n), rng.beta(2, 9, n))
    easy = rng.beta(1.5, 12, 50_000)
    bad = rng.beta(8, 2, 3_000)
    counts = [np.bincount(bin_of(s), minlength=BINS) for s in (score, easy, bad)]
    return *counts, score, truth


@pytest.mark.parametrize("share", [0.003, 0.02])
def test_the_share_of_bad_points_and_the_promised_rate_come_out(share: float) -> None:
    every, inlier, outlier, score, truth = histograms(np.random.default_rng(4), share)
    found = bad_share(every, inlier, outlier)
    assert found == pytest.approx(share, rel=0.25)
    for level in (0.05, 0.2):
        threshold = fdr_threshold_of_counts(every, inlier, outlier, level, found)
        flagged = score >= threshold
        assert flagged.sum() > 100
        assert (~truth[flagged]).mean() <= 1.5 * level


def test_no_threshold_where_nothing_can_be_promised() -> None:
    flat = np.ones(BINS, np.int64)
    assert fdr_threshold_of_counts(flat, flat, flat, 0.05, 0.01) == np.inf
    assert fdr_threshold_of_counts(flat, flat, 0 * flat, 0.05, 0.01) == np.inf
    with pytest.raises(ValueError, match="level"):
        fdr_threshold_of_counts(flat, flat, flat, 1.0, 0.01)
    assert bad_share(flat, flat, flat) == 0.5


SECTION: dict[str, Any] = {
    "members": ["good", "noise"],
    "weights": "learned",
    "inputs": "probability",
    "threshold": 0.5,
    "fdr": 0.1,
    "prevalence": None,
}


def settings(**change: Any) -> EnsembleSettings:
    return EnsembleSettings.from_config(SECTION | change)


def make_tiles(folder: Path, names: list[str], n: int = 3000) -> dict[str, TileTables]:
    tiles = {}
    for k, name in enumerate(names):
        rng = np.random.default_rng(k)
        home = folder / name
        home.mkdir(parents=True)
        ids = rng.permutation(n).astype(np.uint64) + np.uint64(k * n)
        bad = rng.random(n) < 0.05
        good = np.clip(np.where(bad, 0.8, 0.2) + rng.normal(0, 0.1, n), 0, 1).astype(np.float32)
        good[:5] = np.nan
        tables = {"good": good, "noise": rng.random(n, dtype=np.float32)}
        pl.DataFrame({"point_id": ids}).write_parquet(home / "points.parquet")
        for member, score in tables.items():
            pl.DataFrame({"point_id": ids, "score": score}).write_parquet(
                home / f"{member}.parquet"
            )
        told = rng.random(n) < 0.5
        pl.DataFrame({"point_id": ids[told], "label": bad[told].astype(np.int8)}).with_columns(
            pl.when(pl.int_range(pl.len()) == 0).then(None).otherwise("label").alias("label")
        ).write_parquet(home / "labels.parquet")
        members = {member: [home / f"{member}.parquet"] for member in tables}
        tiles[name] = TileTables(home / "points.parquet", home / "labels.parquet", members)
    return tiles


def test_what_scores_a_tile_never_saw_its_labels(tmp_path: Path) -> None:
    names = ["x0_y0", "x1_y0", "x2_y0", "x3_y0"]
    tiles = make_tiles(tmp_path / "tiles", names)
    known = settings(prevalence=0.05)
    train_ensemble(tiles, tmp_path / "a", known, version="t")
    frozen = read_frozen(tmp_path / "a")
    assert [tile for tiles_of, _ in frozen.folds for tile in tiles_of] == names
    before = frozen.fitted("x0_y0")
    # Give the labels of one tile to other points of it: what scores that tile must stay as it is.
    labels = pl.read_parquet(tiles["x0_y0"].labels).with_columns(pl.col("label").reverse())
    labels.write_parquet(tiles["x0_y0"].labels)
    train_ensemble(tiles, tmp_path / "b", known, version="t")
    after = read_frozen(tmp_path / "b")
    assert after.fitted("x0_y0").to_mapping() == before.to_mapping()
    assert after.fitted("x3_y0").to_mapping() != frozen.fitted("x3_y0").to_mapping()
    assert after.fitted("x9_y9") is after.whole


def test_learnt_weights_inputs_and_threshold_are_used(tmp_path: Path) -> None:
    tiles = make_tiles(tmp_path / "tiles", ["x0_y0", "x1_y0"])
    train_ensemble(tiles, tmp_path / "m", settings(), version="t")
    mix = mix_of(settings(), "x0_y0", tmp_path / "m")
    assert mix.weights["good"] > 0.9
    assert mix.inputs["good"](np.array([0.05, 0.95], np.float32)) == pytest.approx([0, 1], abs=0.05)
    assert 0 < mix.threshold < 1
    assert flag_threshold(settings(), tmp_path / "m") == mix.threshold
    assert flag_threshold(settings(fdr=None), tmp_path / "m") == 0.5
    assert read_frozen(tmp_path / "m").share == pytest.approx(0.05, rel=0.2)
    document = json.loads((tmp_path / "m" / "manifest.json").read_text())
    assert document["config"]["inputs"] == "probability"


def test_ranks_do_not_depend_on_the_tile(tmp_path: Path) -> None:
    ranked = settings(inputs="rank", weights="equal", fdr=None)
    tiles = make_tiles(tmp_path / "tiles", ["x0_y0", "x1_y0"])
    train_ensemble(tiles, tmp_path / "m", ranked, version="t")
    score = np.linspace(0, 1, 50, dtype=np.float32)
    one, two = (mix_of(ranked, tile, tmp_path / "m").inputs["good"](score) for tile in tiles)
    np.testing.assert_array_equal(one, two)
    every = np.concatenate([pl.read_parquet(t.members["good"][0])["score"] for t in tiles.values()])
    every = every[~np.isnan(every)]
    direct = [(every < s).mean() for s in score]
    np.testing.assert_allclose(one, direct, atol=2e-3)


def test_too_few_labels_are_said_with_the_way_out(tmp_path: Path) -> None:
    tiles = make_tiles(tmp_path / "tiles", ["x0_y0"], n=100)
    with pytest.raises(InputError, match=r"ensemble\.weights: equal"):
        train_ensemble(tiles, tmp_path / "m", settings(), version="t")
    assert not (tmp_path / "m").exists()


def test_one_tile_alone_is_scored_by_what_it_taught(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiles = make_tiles(tmp_path / "tiles", ["x0_y0"])
    train_ensemble(tiles, tmp_path / "m", settings(prevalence=0.03), version="t")
    assert "Too few labels to halve" in capsys.readouterr().out
    assert read_frozen(tmp_path / "m").share == 0.03


def test_the_folder_is_named_after_what_is_learnt() -> None:
    plain = settings(weights="equal", inputs="score", fdr=None)
    assert not plain.learns
    assert settings().learns
    assert settings().key.startswith("probability-learned-")
    assert settings().key == settings(fdr=0.01, threshold=0.9).key
    others = [
        settings(inputs="rank"),
        settings(weights={"good": 2}),
        settings(weights="equal"),
        settings(prevalence=0.01),
        settings(members=["good"]),
    ]
    assert len({other.key for other in others} | {settings().key}) == 6


def test_a_weight_of_no_member_says_nothing() -> None:
    weighted = settings(weights={"good": 2, "segments": 16})
    assert weighted == settings(weights={"good": 2})
    assert settings(weights={"segments": 16}) == settings(weights="equal")
