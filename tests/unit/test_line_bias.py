"""A biased line is one finding; what it alone explains can be left unflagged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bedsieve.ensemble.combine import combine
from bedsieve.ensemble.line_bias import (
    biased_lines,
    explained,
    list_biased_lines,
    witnesses,
)
from bedsieve.errors import InputError
from bedsieve.files import sha256_of
from bedsieve.graph.bias_model import train_bias
from bedsieve.graph.crossovers import KINDS

SURVEY = 2**32
WHOLE, PART = 3, 5  # a line that is biased over all its length, and one over a third of it


def crossovers(path: Path, new: bool = False) -> Path:
    """Lines 0 to 11 north-south of survey 1, 12 to 23 east-west of survey 2; a line of survey 3 if `new`."""
    rng = np.random.default_rng(1)
    a, b = (axis.ravel() for axis in np.meshgrid(np.arange(12), np.arange(12), indexing="ij"))
    mistie = rng.normal(0, 2, a.size)
    mistie[a == WHOLE] += 120.0
    mistie[(a == PART) & (b < 4)] += 150.0
    frame = pl.DataFrame(
        {
            "line_a": SURVEY + a,
            "line_b": 2 * SURVEY + b,
            "east": a * 1000.0,
            "north": b * 1000.0,
            "mistie": mistie,
        }
    )
    if new:
        row = pl.DataFrame(
            {
                "line_a": np.full(12, 3 * SURVEY + 1),
                "line_b": 2 * SURVEY + np.arange(12),
                "east": np.full(12, 5500.0),
                "north": np.arange(12) * 1000.0,
                "mistie": np.full(12, -90.0),
            }
        )
        frame = pl.concat([frame, row])
    frame.with_columns(
        pl.lit("crossing", dtype=KINDS).alias("kind"),
        (pl.col("line_a") // SURVEY).cast(pl.UInt32).alias("survey_no_a"),
        (pl.col("line_b") // SURVEY).cast(pl.UInt32).alias("survey_no_b"),
    ).write_parquet(path)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    train_bias([crossovers(tmp_path / "c.parquet")], tmp_path / "bias", version="t")
    return tmp_path / "bias"


def test_a_whole_line_is_a_finding_and_a_bad_part_is_none(model: Path, tmp_path: Path) -> None:
    lines = biased_lines(model, [tmp_path / "c.parquet"], 5)
    assert lines["line"].to_list() == [SURVEY + WHOLE]
    assert lines["bias_m"][0] == pytest.approx(120, abs=5)
    assert lines["robust_z"][0] > 5
    assert lines["frozen"].all()
    part = pl.read_parquet(model / "lines.parquet").filter(line=SURVEY + PART)
    assert part["agree"][0] == pytest.approx(8 / 12)
    assert biased_lines(model, [tmp_path / "c.parquet"], 1e4).height == 0


def test_a_line_that_came_later_is_found_by_its_crossings_here(model: Path, tmp_path: Path) -> None:
    lines = biased_lines(model, [crossovers(tmp_path / "new.parquet", new=True)], 5)
    assert lines["line"].to_list() == [SURVEY + WHOLE, 3 * SURVEY + 1]
    assert lines["frozen"].to_list() == [True, False]
    assert lines["bias_m"][1] == pytest.approx(-90, abs=5)


def test_a_version_from_before_is_named_with_the_way_out(model: Path, tmp_path: Path) -> None:
    lines = pl.read_parquet(model / "lines.parquet").drop("agree")
    lines.write_parquet(model / "lines.parquet")
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["files"]["lines.parquet"] = sha256_of(model / "lines.parquet")
    (model / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"Name a new models\.version"):
        biased_lines(model, [tmp_path / "c.parquet"], 5)


def test_what_a_bias_explains() -> None:
    bias = np.array([100.0, 100, 100, 100, 100, np.nan, -100, 100])
    along = np.array([0.1, 0.6, 0.1, 0.1, np.nan, 0.1, 0.1, 0.1])
    residual = np.array([110.0, 100, 180, 180, np.nan, 100, 100, 146])
    sigma = np.array([5.0, 5, 5, 40, np.nan, 5, 5, 5])
    found = explained(bias, [along], [(residual, sigma)])
    # met; odd along the track; 80 m remain; 80 m within 3 sigma; not seen; no bias; other sign; 46 m
    assert found.tolist() == [True, False, False, True, True, False, False, False]
    # Nobody looked: nothing is explained.
    assert not explained(bias, [], []).any()


def test_who_bears_witness_follows_the_members(tmp_path: Path) -> None:
    ids = np.array([1, 2, 3], np.uint64)
    frame = pl.DataFrame({"point_id": ids, "score": [0.2, 0.9, 0.9], "law_rate": [0.8, 0.1, 0.1]})
    for name in ("along_track", "pca", "gnn"):
        frame.write_parquet(tmp_path / f"{name}.parquet")
    bias = np.array([100.0, 100.0, np.nan])
    said = {}
    for members in (("along_track",), ("pca", "gnn"), ("gnn",)):
        tables = {name: [tmp_path / f"{name}.parquet"] for name in members}
        along, across = witnesses(tables, ids, bias)
        assert across == []
        said[members] = explained(bias, along, across).tolist()
    assert said == {
        ("along_track",): [True, False, False],
        ("pca", "gnn"): [False, True, False],
        ("gnn",): [False, False, False],
    }


def tile(folder: Path, name: str, east: float) -> tuple[Path, dict[str, list[Path]]]:
    """Two points of the biased line, one with more wrong than that, and one of another line."""
    home = folder / name
    home.mkdir()
    ids = np.array([10, 11, 12], np.uint64) + np.uint64(east)
    pl.DataFrame(
        {
            "point_id": ids,
            "survey_no": pl.Series([1, 1, 1], dtype=pl.UInt32),
            "track_id": pl.Series([WHOLE, WHOLE, 7], dtype=pl.Int32),
            "east": [east] * 3,
            "north": [0.0, 100.0, 200.0],
        }
    ).write_parquet(home / "points.parquet")
    pl.DataFrame(
        {
            "point_id": ids,
            "score": pl.Series([0.9, 0.9, 0.9], dtype=pl.Float32),
            "residual_m": [125.0, 400.0, 125.0],
            "sigma_m": [5.0, 5.0, 5.0],
            "offset_m": [None, 120.0, None],
            "cause": ["biased line", "wrong layer", "wrong layer"],
        }
    ).write_parquet(home / "segments.parquet")
    return home / "points.parquet", {"segments": [home / "segments.parquet"]}


@pytest.mark.parametrize("flag_explained", [True, False])
def test_points_of_a_biased_line_carry_it(
    model: Path, tmp_path: Path, flag_explained: bool
) -> None:
    lines = biased_lines(model, [tmp_path / "c.parquet"], 5)
    tables = []
    for name, east in (("x0_y0", 0.0), ("x1_y0", 5000.0)):
        points, members = tile(tmp_path, name, east)
        out = points.parent / "ensemble.parquet"
        found = combine(points, members, out, 0.5, lines=lines, flag_explained=flag_explained)
        found.write_parquet(points.parent / "lines.parquet")
        tables.append(points.parent / "lines.parquet")
        table = pl.read_parquet(out)
        assert table["flag"].to_list() == [flag_explained, True, True]
        assert table["explained"].to_list() == [True, False, False]
        assert table["line_bias_m"][2] is None
        assert table["line_bias_m"][0] == pytest.approx(120, abs=8)
        reasons = table["reason"].to_list()
        assert reasons[0].startswith("its whole line is 1")
        assert "too thick; " in reasons[0]
        assert reasons[1].endswith("too thick")
        assert "whole line" not in reasons[2]
    listed = list_biased_lines(tables, {1: "SOUTH"})
    assert listed.rows() == listed.unique().rows()
    row = listed.row(0, named=True)
    assert (row["survey"], row["track_id"]) == ("SOUTH", WHOLE)
    assert row["n_points"] == 4
    assert row["n_explained"] == 2
    assert row["n_flagged"] == (4 if flag_explained else 2)


def test_no_biased_line_gives_an_empty_list(model: Path, tmp_path: Path) -> None:
    none = biased_lines(model, [tmp_path / "c.parquet"], 1e4)
    points, members = tile(tmp_path, "x0_y0", 0.0)
    found = combine(points, members, tmp_path / "e.parquet", 0.5, lines=none)
    found.write_parquet(tmp_path / "l.parquet")
    assert list_biased_lines([tmp_path / "l.parquet"], {}).height == 0
    assert pl.read_parquet(tmp_path / "e.parquet")["line_bias_m"].is_null().all()
