"""The ensemble table: order, mean over members present, and errors that name the member."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.ensemble.combine import combine, weighted_mean
from bedsieve.ensemble.lookup import values_at
from bedsieve.errors import BedsieveError, ConfigError, InputError

SURVEY = 2**32


def table(
    path: Path, ids: list[int], scores: list[float | None], rows_a_group: int = 2, **more: list
) -> Path:
    frame = pl.DataFrame(
        {"point_id": ids, "score": scores, **more},
        schema_overrides={"point_id": pl.UInt64, "score": pl.Float32},
    )
    frame.write_parquet(path, row_group_size=rows_a_group)
    return path


def points(path: Path, ids: list[int]) -> Path:
    pl.DataFrame({"point_id": ids}, schema={"point_id": pl.UInt64}).write_parquet(path)
    return path


def test_rows_follow_the_points_and_tables_may_cover_more(tmp_path: Path) -> None:
    tile = points(tmp_path / "points.parquet", [SURVEY + 5, 3, SURVEY + 1, 0])
    one = table(tmp_path / "one.parquet", [0, 1, 2, 3, 4], [0.1, 0.2, 0.3, 0.9, 0.5])
    two = table(tmp_path / "two.parquet", [SURVEY + i for i in range(7)], [0.0, 1, 0, 0, 0, 0.6, 0])
    gnn = table(
        tmp_path / "gnn.parquet", [3, SURVEY + 1, SURVEY + 5, 0], [0.7, float("nan"), 0.4, 0]
    )
    combine(tile, {"along_track": [one, two], "gnn": [gnn]}, tmp_path / "out.parquet", 0.75)
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out["point_id"].to_list() == [SURVEY + 5, 3, SURVEY + 1, 0]
    assert out["score"].to_list() == pytest.approx([0.5, 0.8, 1.0, 0.05])
    assert out["n_members"].to_list() == [2, 2, 1, 2]
    assert out["flag"].to_list() == [False, True, True, False]
    assert out["score_gnn"].to_list() == [pytest.approx(0.4), pytest.approx(0.7), None, 0.0]
    assert out["reason"].is_null().to_list() == [True, False, False, True]
    assert out.schema["n_members"] == pl.UInt8
    assert out.schema["score"] == out.schema["score_gnn"] == pl.Float32


def test_a_score_on_the_threshold_is_flagged(tmp_path: Path) -> None:
    tile = points(tmp_path / "points.parquet", [1])
    only = table(tmp_path / "s.parquet", [1], [0.7])
    combine(tile, {"along_track": [only]}, tmp_path / "out.parquet", 0.7)
    assert pl.read_parquet(tmp_path / "out.parquet")["flag"].to_list() == [True]


def test_inputs_are_averaged_and_raw_scores_are_kept(tmp_path: Path) -> None:
    tile = points(tmp_path / "points.parquet", [1, 2])
    one = table(tmp_path / "one.parquet", [1, 2], [0.2, 0.4])
    two = table(tmp_path / "two.parquet", [1, 2], [0.6, float("nan")])
    members = {"a": [one], "b": [two]}
    combine(tile, members, tmp_path / "out.parquet", 0.7, inputs={"a": lambda score: 2 * score})
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out["score"].to_list() == pytest.approx([0.5, 0.8])
    assert out["score_a"].to_list() == pytest.approx([0.2, 0.4])


def test_evidence_becomes_the_reason(tmp_path: Path) -> None:
    tile = points(tmp_path / "points.parquet", [2, 1])
    only = table(tmp_path / "s.parquet", [1, 2], [0.931, 0.2], residual=[187.3, -3.0])
    combine(tile, {"along_track": [only]}, tmp_path / "out.parquet", 0.7)
    assert pl.read_parquet(tmp_path / "out.parquet")["reason"].to_list() == [
        None,
        "187 m thicker than the median of its 8 neighbours along the track (along_track score 0.93)",
    ]


def test_a_point_without_any_score_stays_unscored(tmp_path: Path) -> None:
    tile = points(tmp_path / "points.parquet", [1, 2, 3])
    only = table(tmp_path / "s.parquet", [1, 2], [float("nan"), 0.5], code=["lone_point", None])
    combine(tile, {"along_track": [only]}, tmp_path / "out.parquet", 0.4)
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out["score"].to_list() == [None, 0.5, None]
    assert out["n_members"].to_list() == [0, 1, 0]
    assert out["flag"].to_list() == [False, True, False]


def test_an_empty_tile_gives_an_empty_table(tmp_path: Path) -> None:
    tile = points(tmp_path / "points.parquet", [])
    only = table(tmp_path / "s.parquet", [1], [0.5])
    combine(tile, {"along_track": [only]}, tmp_path / "out.parquet", 0.7)
    assert pl.read_parquet(tmp_path / "out.parquet").schema == {
        "point_id": pl.UInt64,
        "score": pl.Float32,
        "n_members": pl.UInt8,
        "score_along_track": pl.Float32,
        "flag": pl.Boolean,
        "line_bias_m": pl.Float32,
        "explained": pl.Boolean,
        "reason": pl.String,
    }


def test_weights_of_others_change_nothing(tmp_path: Path) -> None:
    tile = points(tmp_path / "points.parquet", [1, 2])
    members = {}
    for name, scores in (("along_track", [0.2, 0.4]), ("gnn", [0.8, 0.6])):
        members[name] = [table(tmp_path / f"{name}.parquet", [1, 2], scores)]
    found = []
    for weights in ({"gnn": 3.0}, {"gnn": 3.0, "segments": 16.0}):
        combine(tile, members, tmp_path / "out.parquet", 0.7, weights)
        found.append(pl.read_parquet(tmp_path / "out.parquet"))
    assert found[0].equals(found[1])
    assert found[0]["score"].to_list() == pytest.approx([0.65, 0.55])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"members": {"along_track": ["s"], "gnn": []}},
            ConfigError,
            "member gnn has no score table",
        ),
        ({"members": {}}, ConfigError, "no member"),
        ({"weights": {"along_track": 0.0}}, ConfigError, "must be above 0"),
        ({"members": {"gnn": ["other"]}}, BedsieveError, "gnn hold none of the tile's points"),
        ({"members": {"gnn": ["wild"]}}, BedsieveError, "outside 0 to 1"),
        (
            {"members": {"gnn": ["absent"]}},
            InputError,
            "absent.parquet: the score table is missing",
        ),
        ({"members": {"gnn": ["s", "s"]}}, BedsieveError, "twice"),
    ],
)
def test_what_cannot_be_combined_is_said(
    tmp_path: Path, change: dict, error: type[Exception], message: str
) -> None:
    tile = points(tmp_path / "points.parquet", [1, 2])
    table(tmp_path / "s.parquet", [1, 2], [0.5, 0.6])
    table(tmp_path / "other.parquet", [8, 9], [0.5, 0.6])
    table(tmp_path / "wild.parquet", [1, 2], [0.5, 1.5])
    members = {
        name: [tmp_path / f"{stem}.parquet" for stem in stems]
        for name, stems in change.get("members", {"along_track": ["s"]}).items()
    }
    with pytest.raises(error, match=message):
        combine(tile, members, tmp_path / "out.parquet", 0.7, weights=change.get("weights"))
    assert not (tmp_path / "out.parquet").exists()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.lists(
            st.one_of(st.just(float("nan")), st.floats(0, 1, width=32)), min_size=3, max_size=3
        ),
        min_size=1,
        max_size=20,
    ),
    st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
)
def test_the_mean_is_over_the_members_present(
    rows: list[list[float]], weights: list[float]
) -> None:
    mean, count = weighted_mean(np.array(rows, dtype=np.float32), np.array(weights))
    for row, value, n in zip(rows, mean, count, strict=True):
        present = [(w, s) for w, s in zip(weights, row, strict=True) if s == s]
        assert n == len(present)
        if present:
            expected = sum(w * s for w, s in present) / sum(w for w, _ in present)
            assert value == pytest.approx(expected, abs=1e-6)
        else:
            assert np.isnan(value)


def test_look_up_agrees_with_a_join_on_shuffled_tables(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    every = rng.permutation(5000).astype(np.uint64)
    frame = pl.DataFrame({"point_id": every, "score": rng.random(5000), "code": ["x"] * 5000})
    frame[:3000].write_parquet(tmp_path / "a.parquet", row_group_size=700)
    frame[3000:].drop("code").write_parquet(tmp_path / "b.parquet", row_group_size=300)
    wanted = rng.permutation(8000)[:2500].astype(np.uint64)
    found = values_at(wanted, [tmp_path / "a.parquet", tmp_path / "b.parquet"], ["score", "code"])
    joined = pl.DataFrame({"point_id": wanted}).join(
        frame, on="point_id", how="left", maintain_order="left"
    )
    assert found["score"].to_list() == joined["score"].to_list()
    assert found["found"].to_list() == (wanted < 5000).tolist()
    assert set(found["code"].to_list()) == {"x", None}
