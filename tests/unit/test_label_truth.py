"""Labels counted against a truth worked out by hand."""

from __future__ import annotations

import polars as pl
import pytest

from bedsieve.evaluation.label_truth import label_truth, main, summary


def test_counts_by_region_and_kind() -> None:
    # Ten points in the west, ten in the east; outlier labels on two of each.
    east = [float(i) for i in range(10)] + [1000.0 + i for i in range(10)]
    points = pl.DataFrame(
        {
            "point_id": pl.Series(range(20), dtype=pl.UInt64),
            "survey_no": pl.Series([1] * 20, dtype=pl.UInt32),
            "east": east,
            "north": [0.0] * 20,
        }
    )
    ids = pl.Series([0, 1, 2, 3, 10, 11, 12], dtype=pl.UInt64)
    labels = pl.DataFrame({"point_id": ids, "label": [1, 1, 0, None, 1, 1, 0]})
    kinds = {0: "spike", 2: "sector", 10: "spike", 11: "sector", 15: "sector"}
    truth = pl.DataFrame(
        {"point_id": points["point_id"], "kind": [kinds.get(i) for i in range(20)]}
    )
    table = label_truth(points, labels, truth)
    rows = {(r["region"], r["kind"]): tuple(r.values())[2:] for r in table.iter_rows(named=True)}
    assert rows["A", "good"] == (8, 0, 1)
    assert rows["A", "spike"] == (1, 0, 1)
    assert rows["A", "sector"] == (1, 1, 0)
    assert rows["B", "sector"] == (2, 0, 1)
    assert rows["all", "spike"] == (2, 0, 2)
    shares = {row["region"]: row for row in summary(table).iter_rows(named=True)}
    assert shares["A"]["bad_share"] == pytest.approx(0.2)
    assert shares["A"]["bad_share_of_inliers"] == 1.0
    assert shares["A"]["outlier_precision"] == 0.5
    assert shares["B"]["outlier_precision"] == 1.0
    assert shares["all"]["bad_share_of_inliers"] == 0.5


def test_a_run_without_truth_is_said_in_one_line(tmp_path, capsys) -> None:
    assert main([str(tmp_path)]) == 1
    assert "only simulated surveys have a truth" in capsys.readouterr().err
