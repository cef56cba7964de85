"""Lift of the highest scores: by hand, within strata, and on made-up ground where scores only follow relief."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from bedsieve.evaluation.lift import RELIEF, Lift, Signs, blocks_of, lift_table, strata_of
from bedsieve.evaluation.lift_map import draw_lift
from bedsieve.evaluation.lift_signs import (
    REFERENCE,
    SPREAD,
    LiftFiles,
    pixel_spread,
    read_signs,
    relief,
)
from bedsieve.graph.edges import write_edges
from bench.byrd_lift import with_spread


def test_the_lift_by_hand() -> None:
    score = np.array([0.9, 0.8, 0.1, 0.2])
    sign = np.array([10.0, 2.0, 4.0, 4.0])
    none = np.zeros(4, np.int64)
    assert Lift(score, sign, none, top=0.25)() == pytest.approx(10 / 5)
    assert Lift(score, sign, none, top=0.5)() == pytest.approx(6 / 5)
    assert Lift(score, sign, none, top=1.0)() == pytest.approx(1.0)
    # The highest of each of two strata.
    assert Lift(score, sign, np.array([0, 0, 1, 1]), top=0.5)() == pytest.approx(7 / 5)
    # Twice the weight is the point twice.
    assert Lift(score, sign, none, top=0.5)(np.array([2.0, 0, 1, 1])) == pytest.approx(10 / 7)
    # Of equal scores each counts with the same share.
    assert Lift(np.ones(4), sign, none, top=0.01)() == pytest.approx(1.0)
    assert np.isnan(Lift(score, np.zeros(4), none)())


def test_strata_hold_as_many_points_each_and_blocks_are_squares() -> None:
    values = np.random.default_rng(0).gamma(2, 30, 1000)
    assert np.bincount(strata_of(values)).tolist() == [100] * 10
    east = np.array([-1.0, 1.0, 9_999.0, 10_001.0])
    assert len(set(blocks_of(east, np.zeros(4)).tolist())) == 3


def _ground(n: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(1)
    east, north = rng.uniform(0, 200_000, (2, n))
    rough = 100 * np.exp(np.sin(east / 9000) + np.cos(north / 11_000)) * rng.uniform(0.8, 1.2, n)
    return east, north, rough, rng


def test_a_score_that_only_follows_relief_has_no_lift_within_strata() -> None:
    east, north, rough, rng = _ground()
    bad = rng.random(len(east)) < 0.01
    sign = np.abs(rng.normal(0, 0.3 * rough)) + 400.0 * bad
    scores = {
        "rough": rough * rng.uniform(0.99, 1.01, len(east)),
        "good": np.where(bad, 0.9, 0.1) + 0.05 * rng.random(len(east)),
        "silent": np.full(len(east), np.nan),
    }
    table = lift_table(Signs(scores, {"sign": sign}, rough, east, north), replicates=40)
    assert table["score"].to_list() == ["rough", "good", "silent", RELIEF]
    rows = {row["score"]: row for row in table.iter_rows(named=True)}
    for name in ("rough", RELIEF):
        assert rows[name]["lift_low"] > 2
        assert rows[name]["lift_within"] < 1.5 < 2 < rows[name]["lift"]
    assert rows["good"]["lift_within_low"] > 3
    assert rows["good"]["lift_within_low"] < rows["good"]["lift_within"]
    assert rows["silent"]["points"] == 0
    assert rows["silent"]["lift"] is None


def test_relief_is_the_spread_of_the_reference_around() -> None:
    reference = np.array([1.0, 2.0, 6.0, np.nan, 9.0])
    neighbour = np.array([[1, 2], [3, -1], [0, 4]], np.int32)
    found = relief(reference, neighbour)
    assert found[0] == pytest.approx(np.std([1, 2, 6]))
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(np.std([6, 1, 9]))


def test_pixels_of_one_track_have_no_spread() -> None:
    points = pl.DataFrame(
        {
            "survey_no": [1, 1, 2, 1, 1],
            "track_id": [0, 0, 0, 0, 0],
            "east": [10.0, 20.0, 400.0, 600.0, 700.0],
            "north": [0.0] * 5,
            "ice_thickness": [100.0, 110.0, 150.0, 100.0, 300.0],
        }
    )
    found = pixel_spread(points)
    assert found[:3] == pytest.approx([np.std([100, 110, 150])] * 3)
    assert np.isnan(found[3:]).all()


def _tile(folder: Path) -> tuple[LiftFiles, np.ndarray]:
    rng = np.random.default_rng(2)
    n, core = 600, 500
    place = rng.uniform(0, 9_000, (n, 2))
    bad = rng.random(n) < 0.05
    truth = 1000 + 100 * np.sin(place[:, 0] / 2000)
    frame = pl.DataFrame(
        {
            "point_id": np.arange(n, dtype=np.uint64),
            "survey_no": np.full(n, 1, np.uint32),
            "track_id": (np.arange(n) % 5).astype(np.int32),
            "east": place[:, 0],
            "north": place[:, 1],
            "ice_thickness": truth + 300.0 * bad,
            "ith_bm": truth.astype(np.float32),
        }
    )
    paths = [folder / name for name in ("points.parquet", "halo.parquet", "edges.arrow")]
    frame[:core].write_parquet(paths[0])
    frame[core:].with_columns(ring=pl.lit(1, pl.UInt8)).write_parquet(paths[1])
    write_edges(
        *paths, tile="x0_y0", tile_size=9_000.0, reach=15_000.0,
        k=4, max_neighbour_distance=5_000.0, hops=3, min_tracks=0,
    )  # fmt: skip
    score = pl.Series(np.where(bad, 0.9, 0.1)[:core], dtype=pl.Float32)
    pl.DataFrame({"score_one": score, "score": score}).write_parquet(folder / "ensemble.parquet")
    return LiftFiles(*paths, folder / "ensemble.parquet"), bad[:core]


def test_from_the_files_of_a_tile_to_table_and_map(tmp_path: Path) -> None:
    tile, bad = _tile(tmp_path)
    points = read_signs([tile], ["one"])
    assert list(points.scores) == ["one", "ensemble"]
    assert points.signs[REFERENCE][bad] == pytest.approx(np.full(bad.sum(), 300.0), abs=1e-3)
    assert points.relief[np.isfinite(points.relief)].min() > 0
    table = lift_table(points, replicates=20)
    row = table.filter(sign=REFERENCE, score="ensemble").row(0, named=True)
    assert row["points"] == 500
    assert row["lift"] == pytest.approx(1 / bad.mean(), rel=0.02)
    assert table.filter(sign=SPREAD).height == 3
    draw_lift(points, REFERENCE, "somewhere", tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as image:
        assert min(image.size) > 200


def test_the_raw_spread_of_a_pixel_goes_to_its_mean() -> None:
    at = np.array([1000.02, 1500.0, 4000.0])
    none = np.full(3, np.nan)
    points = Signs({}, {SPREAD: none}, none, at, np.array([499.98, 0.0, 0.0]))
    spread = {
        "x": np.array([1000.0, 1500.0]),
        "y": np.array([500.0, 0.0]),
        "t_std": np.array([12.0, 7.0]),
        "t_count": np.array([3, 1]),
    }
    found = with_spread(points, spread).signs[SPREAD]
    # One raw point alone has no spread.
    assert found[0] == 12.0
    assert np.isnan(found[1:]).all()
