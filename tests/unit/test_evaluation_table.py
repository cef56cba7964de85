"""The evaluation's table against the figures of `metrics`, and by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from bedsieve.evaluation import metrics
from bedsieve.evaluation.table import ALL, Draws, Judged, evaluation_table, read_judged
from bedsieve.simulate.error_mix import KINDS


def judged(seed: int = 0, n: int = 600) -> Judged:
    """Random tracks with runs of two kinds of error, and scores with many ties and gaps."""
    rng = np.random.default_rng(seed)
    track = np.sort(rng.integers(0, 12, n)).astype(np.int32)
    kind, event = np.full(n, -1, np.int8), np.full(n, -1, np.int64)
    for number, start in enumerate(range(20, n - 20, 60)):
        run = slice(start, start + int(rng.integers(1, 12)))
        kind[run] = (0, 2)[number % 2]
        event[run] = number
    score = np.round(rng.random(n) + 0.5 * (kind >= 0), 1)
    score[rng.random(n) < 0.1] = np.nan
    scores = {"ensemble": score, "other": rng.random(n)}
    role = {"ensemble": "ensemble", "other": "baseline"}
    return Judged(kind, track, event, scores, role, score > 1)


@pytest.mark.parametrize("seed", range(3))
def test_every_figure_on_every_draw_is_that_of_metrics(seed: int) -> None:
    data = judged(seed)
    draws = Draws(data, 6, seed)
    score = data.scores["ensemble"]
    figures = draws.figures(score)
    flag = metrics.flag_budget(score, int((data.kind >= 0).sum()))
    for draw, per_track in enumerate(draws.weight):
        weight = per_track[data.track]
        for column, name in enumerate([*KINDS, ALL]):
            of_kind = data.kind >= 0 if name == ALL else data.kind == column
            stands = of_kind | (data.kind < 0)
            ranking = metrics.Ranking(score[stands], of_kind[stands])
            own = weight[stands]
            event = np.where(of_kind, data.event, -1)
            expected = {
                "average_precision": metrics.average_precision(ranking, own),
                "auc": metrics.area_under_roc(ranking, own),
                "precision_at_budget": metrics.precision_at_budget(ranking, own),
                "recall": metrics.recall(flag, of_kind, weight),
                "precision": metrics.precision(flag[stands], of_kind[stands], own),
                "event_recall": metrics.event_recall(metrics.event_hits(flag, event), weight),
            }
            for figure, value in expected.items():
                if not of_kind.any() and figure != "precision":
                    value = np.nan
                assert figures[figure][draw, column] == pytest.approx(value, nan_ok=True), figure


def test_table_by_hand() -> None:
    """Two tracks of four points: the ensemble finds the spike first, the burst not at all."""
    kind = np.array([0, -1, -1, -1, 1, 1, -1, -1], np.int8)
    event = np.array([0, -1, -1, -1, 1, 1, -1, -1], np.int64)
    score = np.array([0.9, 0.8, 0.7, 0.1, 0.2, 0.3, 0.6, 0.0])
    data = Judged(
        kind,
        np.repeat([0, 1], 4).astype(np.int32),
        event,
        {"ensemble": score, "perfect": (kind >= 0).astype(float)},
        {"ensemble": "ensemble", "perfect": "baseline"},
        score >= 0.9,
    )
    figures, differences = evaluation_table(data, replicates=50)
    row = figures.row(
        by_predicate=(pl.col("detector") == "ensemble") & (pl.col("kind") == ALL), named=True
    )
    # Bad points stand at ranks 1, 5 and 6.
    assert row["average_precision"] == pytest.approx((1 + 2 / 5 + 3 / 6) / 3)
    assert row["recall"] == pytest.approx(1 / 3)
    assert row["event_recall"] == pytest.approx(1 / 2)
    assert (row["points"], row["events"]) == (3, 2)
    spike = figures.row(
        by_predicate=(pl.col("detector") == "ensemble") & (pl.col("kind") == "spike"), named=True
    )
    assert spike["average_precision"] == pytest.approx(1.0)
    assert spike["precision"] == pytest.approx(1 / 3)
    flag = figures.row(
        by_predicate=(pl.col("detector") == "ensemble_flag") & (pl.col("kind") == ALL), named=True
    )
    assert flag["precision"] == pytest.approx(1.0)
    assert flag["average_precision"] is None
    [difference] = differences.rows(named=True)
    assert difference["detector"] == "perfect"
    assert difference["difference"] == pytest.approx(row["average_precision"] - 1)
    assert (
        difference["difference_low"]
        <= difference["difference"]
        <= difference["difference_high"]
        <= 0
    )


def test_events_of_different_files_stay_apart_and_tracks_together(tmp_path) -> None:
    table = pl.DataFrame(
        {
            "point_id": pl.Series([1, 2, 3], dtype=pl.UInt64),
            "line": [7, 7, 9],
            "kind": ["spike", None, "burst"],
            "event": pl.Series([0, -1, 1], dtype=pl.Int32),
            "delta_m": [200.0, 0.0, 90.0],
            "score_pca": pl.Series([0.5, None, 0.1], dtype=pl.Float32),
            "score_ensemble": pl.Series([0.5, 0.2, 0.1], dtype=pl.Float32),
            "score_without_pca": pl.Series([0.5, 0.2, 0.1], dtype=pl.Float32),
            "flag": [True, False, None],
            "beside_gae": pl.Series([0.1, None, 0.2], dtype=pl.Float32),
            "score_with_gae": pl.Series([0.3, 0.2, 0.1], dtype=pl.Float32),
            "baseline_knn_median": [3.0, None, 1.0],
        }
    )
    for name in "ab":
        table.write_parquet(tmp_path / f"{name}.parquet")
    data = read_judged([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert data.event.tolist() == [0, -1, 1, 2, -1, 3]
    assert data.track.tolist() == [0, 0, 1, 0, 0, 1]
    assert data.kind.tolist() == [0, -1, 1, 0, -1, 1]
    assert data.role == {
        "pca": "member",
        "ensemble": "ensemble",
        "without_pca": "ablation",
        "gae": "beside",
        "with_gae": "ablation",
        "knn_median": "baseline",
    }
    assert np.isnan(data.scores["knn_median"][[1, 4]]).all()
    assert data.scores["gae"][[0, 2]] == pytest.approx([0.1, 0.2])
    assert data.flag.tolist() == [True, False, False] * 2
