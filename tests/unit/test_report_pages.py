"""The worst track sections, their figure and the front page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from bedsieve.errors import InputError
from bedsieve.products.index_html import write_index
from bedsieve.products.summary import summarise
from bedsieve.products.track_sections import worst_sections
from bedsieve.products.tracks_plot import draw_sections
from tests.unit.tile_tables import tally

NAMES = {1: "A_1999", 2: "B_2011"}
FLAGS = {(1, 100): 0.8, (1, 120): 0.9, (1, 700): 0.95, (2, 50): 1.0, (2, 420): 0.75}


@pytest.fixture
def run(tmp_path: Path) -> tuple[list[Path], dict[str, Path]]:
    """Two surveys of 800 points, 100 m apart, tracks of 400; split between two tiles, shuffled."""
    rng = np.random.default_rng(0)
    tables, harmonised = [], {}
    for no, name in NAMES.items():
        row = np.arange(800)
        frame = pl.DataFrame(
            {
                "point_id": pl.Series(no * 2**32 + row, dtype=pl.UInt64),
                "row": pl.Series(row, dtype=pl.UInt32),
                "track_id": pl.Series(row // 400, dtype=pl.Int32),
                "east": 100.0 * row,
                "north": np.full(800, 1000.0 * no),
                "ice_thickness": 500.0 + row,
            }
        )
        harmonised[name] = tmp_path / f"{name}.parquet"
        frame.write_parquet(harmonised[name])
        score = [FLAGS.get((no, r), 0.1) for r in row]
        why = [f"row {r} is odd" if (no, r) in FLAGS else None for r in row]
        tables.append(
            frame.with_columns(
                pl.Series("score", score, dtype=pl.Float32), pl.Series("reason", why)
            ).with_columns(flag=pl.col("reason").is_not_null())
        )
    every = pl.concat(tables)[rng.permutation(1600)]
    tiles = []
    for name, part in (
        ("x0_y0", every.filter(pl.col("east") < 11_000)),
        ("x1_y0", every.filter(pl.col("east") >= 11_000)),
    ):
        home = tmp_path / name
        home.mkdir()
        tally(home, part.select("point_id", "score", "flag"), {})
        part.filter("flag").drop("flag", "row").write_parquet(home / "flagged.parquet")
        tiles.append(home / "flagged.parquet")
    return tiles, harmonised


def test_sections_join_over_tiles_and_come_worst_first(run: tuple) -> None:
    tiles, harmonised = run
    found = worst_sections(tiles, harmonised, NAMES, n=3)
    where = [(s.survey, s.track_id, s.first_row, s.last_row) for s in found]
    assert where == [("A_1999", 0, 100, 120), ("B_2011", 0, 50, 50), ("A_1999", 1, 700, 700)]
    assert found[0].badness == pytest.approx(1.7)
    assert found[0].reason == "row 120 is odd"


def test_a_section_shows_its_track_around_it(run: tuple) -> None:
    tiles, harmonised = run
    first = worst_sections(tiles[::-1], harmonised, NAMES, n=2)
    assert first[0].ice_thickness.tolist() == [500.0 + r for r in range(20, 201)]
    assert first[0].distance[[0, 1, -1]].tolist() == [0.0, 100.0, 18_000.0]
    assert np.flatnonzero(first[0].flagged).tolist() == [80, 100]
    assert first[1].ice_thickness.tolist() == [500.0 + r for r in range(131)]


def test_the_figure_marks_flagged_points(run: tuple, tmp_path: Path) -> None:
    draw_sections(worst_sections(*run, NAMES), "Test", tmp_path / "profiles.png")
    picture = np.asarray(Image.open(tmp_path / "profiles.png").convert("RGB")).astype(int)
    red = (picture[..., 0] > 180) & (picture[..., 1] < 100) & (picture[..., 2] < 60)
    assert red.sum() > 50
    assert (tmp_path / "profiles.png").stat().st_size <= 1_000_000


def test_nothing_flagged_gives_a_figure_all_the_same(run: tuple, tmp_path: Path) -> None:
    tiles, harmonised = run
    for tile in tiles:
        pl.read_parquet(tile).clear().write_parquet(tile)
    assert worst_sections(tiles, harmonised, NAMES) == []
    draw_sections([], "Test", tmp_path / "profiles.png")
    assert Image.open(tmp_path / "profiles.png").size[0] > 1000


def test_the_front_page_holds_its_pictures_and_tables(run: tuple, tmp_path: Path) -> None:
    tiles, harmonised = run
    draw_sections(worst_sections(tiles, harmonised, NAMES), "Test", tmp_path / "profiles.png")
    summary = summarise([tile.with_name("tallies.parquet") for tile in tiles], [], NAMES)
    write_index(
        summary, [tmp_path / "profiles.png"], "Ross <1>", 0.7, tmp_path / "index.html", ["no smb"]
    )
    text = (tmp_path / "index.html").read_text()
    assert text.count("data:image/png;base64,") == 1
    assert 'src="' not in text.replace('src="data:', "")
    assert "Ross &lt;1&gt;" in text
    assert "1,600 points of 2 surveys, 5 of them flagged (0.31 % of those scored), from" in text
    assert "A_1999" in text
    assert "<li>no smb</li>" in text


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    summary = summarise([], [], NAMES)
    with pytest.raises(InputError, match=r"nowhere\.png: the picture is missing"):
        write_index(summary, [tmp_path / "nowhere.png"], "T", 0.7, tmp_path / "index.html")
    assert not (tmp_path / "index.html").exists()
