"""Detectors against the pseudo-labels: the table by hand and beside scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bedsieve.evaluation.on_labels import Labelled, label_figures, read_labelled
from bedsieve.products.tile_points import TileFiles


def _tile(folder: Path, number: int, n: int = 300) -> TileFiles:
    """Points 100 km from the next tile's; a third has a label, some of those none after a conflict."""
    rng = np.random.default_rng(number)
    home = folder / f"x{number}_y0"
    home.mkdir()
    ids = np.arange(n, dtype=np.uint64) + 1000 * number
    bad = rng.random(n) < 0.3
    score = np.clip(np.where(bad, 0.6, 0.4) + rng.normal(0, 0.15, n), 0, 1)
    pl.DataFrame(
        {
            "point_id": ids,
            "survey_no": np.full(n, 1 + number, np.uint32),
            "track_id": (np.arange(n) // 20).astype(np.int32),
            "east": 100_000.0 * number + rng.uniform(0, 1000, n),
            "north": rng.uniform(0, 1000, n),
        }
    ).write_parquet(home / "points.parquet")
    pl.DataFrame(
        {
            "score": score.astype(np.float32),
            "score_one": pl.Series(np.where(bad, 0.9, 0.1), dtype=pl.Float32),
            "score_two": pl.Series([None] * n, dtype=pl.Float32),
        }
    ).write_parquet(home / "ensemble.parquet")
    told = rng.permutation(n)[: n // 3]
    label = pl.Series(bad[told].astype(np.int8)).to_list()
    label[:5] = [None] * 5
    pl.DataFrame({"point_id": ids[told], "label": pl.Series(label, dtype=pl.Int8)}).write_parquet(
        home / "labels.parquet"
    )
    return TileFiles(*(home / f"{part}.parquet" for part in ("points", "ensemble", "labels")))


def test_the_table_agrees_with_scikit_learn(tmp_path: Path) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    labelled = read_labelled([_tile(tmp_path, k) for k in (1, 0)], ["one", "two"])
    assert len(labelled.outlier) == 2 * 95
    table = label_figures(labelled, replicates=40)
    assert table.select("detector", "region").rows() == [
        (name, region) for name in ("one", "two", "ensemble") for region in ("A", "B", "all")
    ]
    for region, number in (("A", 0), ("B", 1)):
        part = labelled.region == number
        assert np.unique(labelled.line[part] // 2**32).tolist() == [1 + number]
        row = table.filter(detector="ensemble", region=region).row(0, named=True)
        truth, score = labelled.outlier[part], labelled.scores["ensemble"][part]
        assert row["inliers"] + row["outliers"] == 95
        assert row["share"] == pytest.approx(truth.mean())
        assert row["auc"] == pytest.approx(roc_auc_score(truth, score))
        assert row["average_precision"] == pytest.approx(average_precision_score(truth, score))
        assert row["auc_low"] < row["auc"] < row["auc_high"]
    perfect = table.filter(detector="one", region="all").row(0, named=True)
    assert (perfect["auc"], perfect["precision_90"]) == (1.0, 1.0)
    silent = table.filter(detector="two", region="all").row(0, named=True)
    assert silent["auc"] == 0.5
    assert silent["average_precision"] == pytest.approx(silent["share"])


def test_precision_at_a_recall_by_hand() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    outlier = np.array([1, 0, 1, 0, 0, 1, 0, 1], bool)
    one = Labelled({"d": score}, outlier, np.arange(8), np.zeros(8, np.int64))
    row = label_figures(one, replicates=20).filter(region="all").row(0, named=True)
    found = [row[f"precision_{recall}"] for recall in (25, 50, 75, 90)]
    assert found == pytest.approx([1, 2 / 3, 3 / 6, 4 / 8])


def test_a_region_without_labels_of_both_kinds_has_no_figure() -> None:
    one = Labelled({"d": np.ones(3)}, np.zeros(3, bool), np.arange(3), np.zeros(3, np.int64))
    for row in label_figures(one, replicates=20).iter_rows(named=True):
        assert row["auc"] is None
        assert row["average_precision"] is None
        assert row["precision_50"] is None
