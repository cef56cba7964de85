"""The segments detector on whole surveys and tiles: runs with ends, offsets and names, and its tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bedsieve.detectors.segments_network import cross_track_table
from bedsieve.detectors.segments_runs import CAUSES
from bedsieve.detectors.segments_score import survey_segments
from bedsieve.detectors.segments_tile import score_tile_segments, window_segments
from bedsieve.errors import BedsieveError
from tests.unit.segment_lines import NO_MISTIES, crossing_lines, score_survey, with_error


def test_a_biased_sector_is_found_with_its_ends_offset_and_name() -> None:
    frame = with_error(crossing_lines(), 1, 5, 100, 180, pl.col("ice_thickness") + 110)
    scores, runs = score_survey(frame)
    assert runs.height == 1
    run = runs.row(0, named=True)
    assert (run["track_id"], run["cause"]) == (5, "biased sector")
    assert (run["first_row"], run["last_row"]) == (5 * 300 + 100, 5 * 300 + 179)
    assert run["offset_m"] == pytest.approx(110, abs=12)
    assert run["length_m"] == pytest.approx(79 * 30)
    flagged = scores.filter(pl.col("score") > 0.5)
    assert flagged.height == 80
    assert (flagged["run_id"] == run["run_id"]).all()
    assert run["score"] > 0.8


@pytest.mark.parametrize(
    ("a", "b", "value", "cause"),
    [
        (0, 300, pl.col("ice_thickness") - 90, "biased line"),
        (50, 70, pl.col("ice_thickness") * 0.3048, "unit slip (feet)"),
        (50, 90, pl.col("ice_thickness") * 0.6, "wrong layer"),
        (50, 51, pl.col("ice_thickness") + 400, "spike"),
        (50, 110, pl.lit(1511.25), "flat line"),
    ],
)
def test_causes_have_names(a: int, b: int, value: pl.Expr, cause: str) -> None:
    _, runs = score_survey(with_error(crossing_lines(), 1, 6, a, b, value))
    assert cause in CAUSES
    assert runs["cause"].to_list() == [cause]


def test_columns_in_each_others_place_are_named() -> None:
    frame = crossing_lines()
    there = (pl.col("survey_no") == 1) & pl.col("row").is_between(1830, 1860)
    swapped = frame.with_columns(
        pl.when(there).then("surface_alt").otherwise("ice_thickness").alias("ice_thickness"),
        pl.when(there).then("ice_thickness").otherwise("surface_alt").alias("surface_alt"),
    )
    _, runs = score_survey(swapped)
    assert runs["cause"].to_list() == ["swapped columns"]


def test_good_lines_are_left_alone_and_short_ones_say_so() -> None:
    frame = crossing_lines(7)
    frame = frame.filter(
        (pl.col("survey_no") != 1) | (pl.col("track_id") != 4) | (pl.col("row") % 300 < 2)
    )
    scores, runs = score_survey(frame)
    assert runs.height == 0
    short = scores.filter(pl.col("code") == "short_track")
    assert short.height == 2
    assert short["score"].is_nan().all()
    assert scores.filter(pl.col("code").is_null())["score"].max() < 0.5


def test_scores_keep_the_order_of_the_survey() -> None:
    frame = with_error(crossing_lines(), 1, 5, 100, 180, pl.col("ice_thickness") + 110)
    evidence = cross_track_table(frame, frame.clear())
    survey = frame.filter(pl.col("survey_no") == 1)
    mixed = survey.sample(fraction=1.0, shuffle=True, seed=1)
    plain, _ = survey_segments(survey, evidence, NO_MISTIES)
    scores, _ = survey_segments(mixed, evidence, NO_MISTIES)
    assert scores["point_id"].equals(mixed["point_id"])
    assert scores.sort("point_id").equals(plain.sort("point_id"))


def test_a_tile_sees_what_the_whole_sees() -> None:
    frame = with_error(crossing_lines(side=12_000.0), 1, 5, 100, 180, pl.col("ice_thickness") + 110)
    whole = cross_track_table(frame, frame.clear())
    core = pl.col("east").is_between(4100, 5300) & pl.col("north").is_between(4300, 5650)
    ring = pl.col("east").is_between(500, 8900) & pl.col("north").is_between(700, 9250)
    part = cross_track_table(frame.filter(core), frame.filter(ring & ~core))
    assert part.height > 100
    assert part.equals(
        whole.join(
            part.select("point_id"), on="point_id", how="right", maintain_order="right"
        ).select(part.columns)
    )


def _files(folder: Path, frame: pl.DataFrame, inside: pl.Expr) -> list[Path]:
    """A tile's points, its halo and some crossovers, written."""
    one, two = 2**32 + 1500 + 120, 2 * 2**32 + 5
    crossovers = pl.DataFrame(
        {
            "point_id_a": [one, one + 1, one + 2, 2**32 + 3],
            "point_id_b": [two, two, one + 9, two],
            "mistie": [108.0, 114.0, 1.0, 2.0],
            "self_crossing": [False, False, True, False],
            "kind": ["crossing"] * 4,
        },
        schema_overrides={"point_id_a": pl.UInt64, "point_id_b": pl.UInt64},
    )
    paths = [folder / f"{name}.parquet" for name in ("points", "halo", "crossovers")]
    for table, path in zip(
        (frame.filter(inside), frame.filter(~inside), crossovers), paths, strict=True
    ):
        table.write_parquet(path)
    return paths


def test_files_in_and_out_with_crossovers(tmp_path: Path) -> None:
    frame = with_error(crossing_lines(), 1, 5, 100, 180, pl.col("ice_thickness") + 110)
    paths = _files(tmp_path, frame, pl.lit(True))
    out = (tmp_path / "scores.parquet", tmp_path / "runs.parquet")
    with pytest.raises(
        BedsieveError, match="12500 m wide, but the segments detector needs 12600 m"
    ):
        score_tile_segments(*paths, *out, tile="x0_y0", tile_size=9000.0, halo_width=12_500)
    score_tile_segments(*paths, *out, tile="x0_y0", tile_size=9000.0, halo_width=12_600)
    scores, runs = map(pl.read_parquet, out)
    assert scores.columns[:3] == ["point_id", "score", "code"]
    assert scores.schema["score"] == pl.Float32
    assert scores["point_id"].equals(frame["point_id"])
    assert runs["survey_no"].to_list() == [1]
    assert runs["crossovers"].to_list() == [2]
    assert runs["crossover_mistie_m"].to_list() == [111.0]


def test_a_tile_without_points_has_tables_with_the_same_columns(tmp_path: Path) -> None:
    paths = _files(tmp_path, crossing_lines(), pl.lit(True))
    tables = []
    for name, limit in (("full", 1e9), ("empty", -1e9)):
        for path in paths[:2]:
            frame = pl.read_parquet(path)
            frame.filter(pl.col("east") < limit).write_parquet(path)
        out = (tmp_path / f"{name}_scores", tmp_path / f"{name}_runs")
        score_tile_segments(*paths, *out, tile="x0_y0", tile_size=9000.0, halo_width=12_600)
        tables.append([pl.read_parquet(path) for path in out])
    for full, empty in zip(*tables, strict=True):
        assert empty.height == 0
        assert empty.schema == full.schema


def test_a_run_across_the_border_is_seen_by_the_tiles_on_both_sides(tmp_path: Path) -> None:
    frame = with_error(crossing_lines(), 1, 5, 100, 180, pl.col("ice_thickness") + 110)
    crossovers = pl.read_parquet(_files(tmp_path, frame, pl.lit(True))[2])
    whole, _ = window_segments(frame, frame.clear(), crossovers)
    bad = frame.filter((pl.col("survey_no") == 1) & pl.col("row").is_between(1600, 1679))
    for side, tile in (("west", "x0_y0"), ("east", "x1_y0")):
        inside = (pl.col("east") < 4500) if side == "west" else (pl.col("east") >= 4500)
        (tmp_path / side).mkdir()
        paths = _files(tmp_path / side, frame, inside)
        out = (tmp_path / side / "scores", tmp_path / side / "runs")
        score_tile_segments(*paths, *out, tile=tile, tile_size=4500.0, halo_width=12_600)
        scores = pl.read_parquet(out[0]).join(bad, on="point_id", how="semi")
        assert scores.height > 20
        assert (scores["score"] > 0.8).all()
        same = scores.join(whole, on="point_id")
        # The window holds all that there is, so the tile sees what the whole sees.
        assert np.allclose(same["score"], same["score_right"], atol=1e-6)
