"""The summary table against a direct computation, and its codes and edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import polars.testing
import pytest

from bedsieve.products.bins import band_of
from bedsieve.products.summary import read_summary, summarise, write_summary
from bedsieve.products.summary_html import scores_html, surveys_html
from tests.unit.tile_tables import tally

NAMES = {1: "A_1999", 2: "B_2011", 4: "C_<empty>"}


@pytest.fixture
def run(tmp_path: Path) -> tuple[list[Path], dict[str, list[Path]], pl.DataFrame]:
    rng = np.random.default_rng(1)
    n = 20_000
    ids = np.where(rng.random(n) < 0.3, 2**32, 2**33).astype(np.uint64) + np.arange(
        n, dtype=np.uint64
    )
    residual = rng.standard_normal(n) * rng.choice([1.0, 30.0, 300.0], n)
    score = np.tanh(np.abs(residual) / 100).astype(np.float32)
    gnn = rng.random(n).astype(np.float32)
    code = np.full(n, None, dtype=object)
    gnn[:500], code[:500] = np.nan, "too_few_neighbours"
    everything = pl.DataFrame({"point_id": ids, "residual": residual, "s": score, "g": gnn})
    along = everything.select("point_id", pl.col("s").alias("score"), "residual", code=None)
    along.sort("point_id").write_parquet(tmp_path / "along.parquet")
    graph = everything.select("point_id", pl.col("g").alias("score"), code=pl.Series(code.tolist()))
    graph.write_parquet(tmp_path / "gnn.parquet")
    mean = pl.when(pl.col("g").is_nan()).then("s").otherwise((pl.col("s") + pl.col("g")) / 2)
    ensemble = everything.select(
        "point_id",
        mean.alias("score"),
        (mean >= 0.7).alias("flag"),
        pl.col("s").alias("score_along_track"),
        pl.col("g").fill_nan(None).alias("score_gnn"),
        "residual",
    )
    members = {"along_track": [tmp_path / "along.parquet"], "gnn": [tmp_path / "gnn.parquet"]}
    tiles = [tally(tmp_path / f"x{k}_y0", ensemble[k::3], members) for k in range(3)]
    return tiles, members, ensemble


def test_bands_hold_their_lower_edge() -> None:
    scores = np.array([0, 0.0999, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1], dtype=np.float32)
    assert band_of(scores).tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 6]


@pytest.mark.parametrize("column", ["along_track", "gnn", "ensemble"])
def test_counts_shares_and_medians_agree_with_a_direct_computation(run: tuple, column: str) -> None:
    tiles, members, ensemble = run
    table = summarise(tiles, list(members), NAMES).scores.filter(
        pl.col("detector") == column, kind="band"
    )
    scores = ensemble["score" if column == "ensemble" else f"score_{column}"]
    edges = [0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0001]
    for row, low, high in zip(table.iter_rows(named=True), edges[:-1], edges[1:], strict=True):
        inside = ensemble.filter((scores >= np.float32(low)) & (scores < np.float32(high)))
        assert row["count"] == inside.height
        assert row["share"] == pytest.approx(inside.height / 20_000)
        assert row["median_residual"] == pytest.approx(inside["residual"].abs().median(), rel=0.01)
    assert table["range"].to_list()[0] == "0–0.1"
    assert table["range"].to_list()[-1] == "0.99–1"


def test_points_at_least_so_high_and_those_without_a_score(run: tuple) -> None:
    tiles, members, ensemble = run
    scores = summarise(tiles, list(members), NAMES).scores
    above = scores.filter(detector="gnn", kind="at_least")
    assert above["count"].to_list() == [
        int((ensemble["score_gnn"] >= np.float32(t)).sum()) for t in (0.5, 0.7, 0.9)
    ]
    missing = scores.filter(kind="not_scored").select("detector", "range", "count").rows()
    assert missing == [("gnn", "too_few_neighbours", 500)]


def test_surveys_are_all_listed(run: tuple) -> None:
    tiles, members, ensemble = run
    summary = summarise(tiles, list(members), NAMES)
    assert summary.points == 20_000
    rows = {row["survey"]: row for row in summary.surveys.iter_rows(named=True)}
    assert list(rows) == list(NAMES.values())
    first = ensemble.filter(pl.col("point_id") < 2**33)
    assert rows["A_1999"]["points"] == rows["A_1999"]["scored"] == first.height
    assert rows["A_1999"]["flagged"] == first["flag"].sum()
    assert rows["A_1999"]["share_flagged"] == pytest.approx(first["flag"].mean())
    assert rows["C_<empty>"]["points"] == 0
    assert rows["C_<empty>"]["share_flagged"] is None


def test_a_summary_does_not_depend_on_the_cut(run: tuple, tmp_path: Path) -> None:
    tiles, members, ensemble = run
    whole = summarise([tally(tmp_path / "all", ensemble, members)], list(members), NAMES)
    parts = summarise(tiles[::-1], list(members), NAMES)
    pl.testing.assert_frame_equal(whole.scores, parts.scores)
    pl.testing.assert_frame_equal(whole.surveys, parts.surveys)
    assert whole.points == parts.points


def test_without_any_tile_everything_is_zero() -> None:
    summary = summarise([], ["along_track"], NAMES)
    assert summary.points == 0
    assert summary.scores["count"].sum() == 0
    assert summary.surveys["points"].to_list() == [0, 0, 0]


def test_a_point_that_no_member_scored_is_counted(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "point_id": [1, 2],
            "score": [None, 0.2],
            "flag": [False, False],
            "score_gnn": [None, 0.2],
        },
        schema_overrides={"point_id": pl.UInt64, "score": pl.Float32, "score_gnn": pl.Float32},
    )
    pl.DataFrame(
        {"point_id": [2], "score": [0.2]}, schema_overrides={"point_id": pl.UInt64}
    ).write_parquet(tmp_path / "gnn.parquet")
    tile = tally(tmp_path / "x0_y0", frame, {"gnn": [tmp_path / "gnn.parquet"]})
    scores = summarise([tile], ["gnn"], {0: "S"}).scores
    assert scores.filter(kind="not_scored").select("detector", "range", "count").rows() == [
        ("gnn", "no_row", 1),
        ("ensemble", "no_member", 1),
    ]


def test_tables_are_written_as_tsv(run: tuple, tmp_path: Path) -> None:
    tiles, members, _ = run
    summary = summarise(tiles, list(members), NAMES)
    write_summary(summary, tmp_path / "scores.tsv", tmp_path / "surveys.tsv")
    back = read_summary(tmp_path / "scores.tsv", tmp_path / "surveys.tsv")
    pl.testing.assert_frame_equal(back.scores, summary.scores, abs_tol=1e-5)
    pl.testing.assert_frame_equal(back.surveys, summary.surveys, abs_tol=1e-5)
    assert back.points == summary.points


def test_html_shows_the_numbers_and_escapes_names(run: tuple) -> None:
    tiles, members, _ = run
    summary = summarise(tiles, list(members), NAMES)
    page = scores_html(summary)
    count = summary.scores.filter(detector="gnn", kind="band")["count"][0]
    assert f"{count:,}" in page
    assert "too few neighbours" in page
    assert "C_&lt;empty&gt;" in surveys_html(summary)
