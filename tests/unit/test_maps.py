"""Maps: the rasterised numbers against numpy, and pictures of sparse, dense and empty data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from bedsieve.products.canvas import Canvas, bounds, fit_canvas, rasterise, tile_pixels
from bedsieve.products.cartography import colour_bar, draw_grid, key, map_axes, round_below
from bedsieve.products.maps import (
    MapOptions,
    _Atlas,
    cell_share,
    map_names,
    spread_mean,
    spread_radius,
    write_maps,
)

OPTIONS = MapOptions("Test", "EPSG:3031", 0.7, 500_000.0)


def tile(
    folder: Path, name: str, east: np.ndarray, north: np.ndarray, score: np.ndarray
) -> tuple[Path, pl.DataFrame]:
    """A tile's pixels, and the points that they were gathered from."""
    scores = pl.Series("score", score, dtype=pl.Float32).fill_nan(None)
    points = pl.DataFrame(
        {"east": east, "north": north, "ice_thickness": 1000 + np.arange(len(east), dtype=float)}
    ).with_columns(
        scores, scores.alias("score_gnn"), (scores >= 0.7).fill_null(False).alias("flag")
    )
    home = folder / name
    home.mkdir(parents=True)
    tile_pixels(points, ["gnn"]).write_parquet(home / "pixels.parquet")
    return home / "pixels.parquet", points


def two_tiles(folder: Path, n: int = 3000) -> tuple[list[Path], pl.DataFrame]:
    rng = np.random.default_rng(0)
    east, north = rng.uniform(-4e5, 9e5, n), rng.uniform(-8e5, -1e5, n)
    # The eastern tile fills a corner only: its pixels are smaller.
    north = np.where(east < 0, north, -1e5 + north / 20)
    score = np.where(rng.random(n) < 0.1, np.nan, rng.random(n))
    west = east < 0
    first = tile(folder, "x-1_y-1", east[west], north[west], score[west])
    second = tile(folder, "x0_y-1", east[~west] / 9, north[~west], score[~west])
    return [first[0], second[0]], pl.concat([first[1], second[1]])


def test_pixels_of_tiles_hold_what_numpy_counts_of_all_points(tmp_path: Path) -> None:
    paths, every = two_tiles(tmp_path)
    sizes = [pl.read_parquet(path)["pixel"][0] for path in paths]
    assert sizes[0] > sizes[1]
    tiles = paths[::-1]
    ends = bounds(tiles)
    assert ends is not None
    canvas = fit_canvas(ends, pixels=200)
    grids = rasterise(tiles, canvas, ["gnn"])
    column = ((every["east"].to_numpy() - canvas.east) // canvas.pixel).astype(int)
    row = ((every["north"].to_numpy() - canvas.north) // canvas.pixel).astype(int)
    shape = canvas.height, canvas.width

    def binned(values: np.ndarray) -> np.ndarray:
        return np.bincount(row * shape[1] + column, values, shape[0] * shape[1]).reshape(shape)

    score = every["score"].fill_null(0).to_numpy().astype(float)
    np.testing.assert_array_equal(grids.points, binned(np.ones(len(row))))
    np.testing.assert_allclose(grids.thickness, binned(every["ice_thickness"].to_numpy()))
    np.testing.assert_array_equal(grids.flagged, binned(every["flag"].to_numpy().astype(float)))
    np.testing.assert_allclose(grids.score_sum["gnn"], binned(score), rtol=1e-5)
    scored = every["score"].is_not_null().to_numpy().astype(float)
    np.testing.assert_array_equal(grids.scored["ensemble"], binned(scored))


def test_maps_of_flags_say_what_they_count(tmp_path: Path) -> None:
    paths, every = two_tiles(tmp_path)
    # With biased_lines: finding not all that score so high are flagged.
    pixels = [pl.read_parquet(path) for path in paths]
    pixels = [
        table.with_columns(pl.col("flagged") * (pl.int_range(pl.len()) % 2)) for table in pixels
    ]
    for path, table in zip(paths, pixels, strict=True):
        table.write_parquet(path)
    ends = bounds(paths)
    assert ends is not None
    atlas = _Atlas(rasterise(paths, fit_canvas(ends), ["gnn"]), OPTIONS, [])
    flagged = int(sum(table["flagged"].sum() for table in pixels))
    assert 100 < flagged < every["flag"].sum()
    said = [
        " ".join(text.get_text() for text in figure.findobj(Text))
        for figure in (atlas.thickness(), atlas.density())
    ]
    assert f"3,000 points, {flagged:,} flagged" in said[0]
    assert "share of points flagged" in said[1]
    assert not any("score ≥" in words for words in said)


def test_bounds_are_those_of_the_points_to_a_pixel(tmp_path: Path) -> None:
    paths, every = two_tiles(tmp_path)
    paths.append(tile(tmp_path, "x5_y5", *(np.empty(0) for _ in range(3)))[0])
    found = bounds(paths)
    ends = [every["east"].min(), every["north"].min(), every["east"].max(), every["north"].max()]
    assert found is not None
    outside = (found - np.array(ends)) * np.array([-1, -1, 1, 1])
    assert (outside >= 0).all()
    assert (outside <= 512).all()
    assert bounds(paths[2:]) is None


def test_a_tile_has_no_more_pixels_than_points_and_none_larger_than_a_picture_s(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    for span in (50.0, 3_000.0, 499_000.0):
        points = pl.DataFrame(
            {
                "east": -70_000 + rng.uniform(0, span, 400),
                "north": rng.uniform(0, span / 3, 400),
                "ice_thickness": np.ones(400),
                "score": np.ones(400),
                "flag": np.ones(400, bool),
            }
        )
        pixels = tile_pixels(points, [])
        pixels.write_parquet(tmp_path / "pixels.parquet")
        ends = bounds([tmp_path / "pixels.parquet"])
        assert ends is not None
        assert pixels.height <= 400
        assert pixels["points"].sum() == 400
        assert pixels["pixel"][0] <= fit_canvas(ends).pixel


@pytest.mark.parametrize(
    "ends",
    [
        (0.0, 0.0, 5000.0, 4000.0),
        (-2.6e6, -2.2e6, 2.8e6, 2.3e6),
        (1e6, 5e5, 1e6, 5e5),
        (0.0, 0.0, 10.0, 9e4),
    ],
)
def test_a_canvas_holds_its_points_with_square_round_pixels(ends: tuple[float, ...]) -> None:
    canvas = fit_canvas(np.array(ends), pixels=1000)
    west, east, south, north = canvas.extent
    assert west < ends[0] <= ends[2] < east
    assert south < ends[1] <= ends[3] < north
    assert 250 <= max(canvas.width, canvas.height) <= 1000
    assert min(canvas.width, canvas.height) >= 0.49 * max(canvas.width, canvas.height)
    assert np.log2(canvas.pixel) % 1 == 0
    assert canvas.east % canvas.pixel == canvas.north % canvas.pixel == 0


def test_round_lengths() -> None:
    assert [round_below(v) for v in (0.37, 1.0, 4.99, 1034.0)] == [0.2, 1.0, 2.0, 1000.0]


def test_spreading_keeps_means_and_reaches_neighbours() -> None:
    count, total = np.zeros((9, 9)), np.zeros((9, 9))
    count[4, 4], total[4, 4] = 2, 30.0
    count[4, 6], total[4, 6] = 1, 60.0
    plain = spread_mean(total, count, 0)
    assert plain[4, 4] == 15
    assert np.isnan(plain[4, 5])
    spread = spread_mean(total, count, 1)
    assert spread[4, 3] == 15
    assert spread[4, 5] == 30
    assert spread[4, 7] == 60
    assert np.isnan(spread[0, 0])


def test_sparser_points_are_spread_more() -> None:
    rng = np.random.default_rng(0)
    draws = rng.random((200, 200))
    assert [spread_radius(draws < share) for share in (0.005, 0.05, 0.5)] == [2, 1, 0]


def test_share_in_cells() -> None:
    whole = np.ones((5, 7))
    whole[:3, :3] = 0
    part = np.zeros((5, 7))
    part[4, 6] = 1
    share = cell_share(part, whole, 3)
    assert share.shape == (5, 7)
    assert np.isnan(share[:3, :3]).all()
    assert (share[3:, 6] == 0.5).all()
    assert (share[:3, 3:] == 0).all()


@pytest.mark.parametrize("crs", ["EPSG:3031", "EPSG:3578"])
def test_all_maps_are_written_and_show_the_points(tmp_path: Path, crs: str) -> None:
    tiles, _ = two_tiles(tmp_path / "tiles")
    options = MapOptions("Test", crs, 0.7, 500_000.0)
    write_maps(tiles, tmp_path / "maps", ["gnn"], options)
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == sorted(map_names(["gnn"]))
    for name in map_names(["gnn"]):
        assert (tmp_path / "maps" / name).stat().st_size <= 1_000_000
    picture = np.asarray(Image.open(tmp_path / "maps" / "thickness.png").convert("RGB")).astype(int)
    red = (picture[..., 0] > 180) & (picture[..., 2] < 60)
    blue = (picture[..., 2] - picture[..., 0]) > 60
    assert red.sum() > 500
    assert blue.sum() > 5000


def test_a_single_point_and_a_single_short_track_can_be_seen(tmp_path: Path) -> None:
    one, _ = tile(tmp_path / "a", "x2_y0", np.array([1.1e6]), np.array([2e5]), np.array([0.1]))
    x = np.linspace(0, 5000, 60)
    line, _ = tile(tmp_path / "b", "x0_y0", x, 0.3 * x, np.full(60, 0.2))
    for name, case in (("one", one), ("line", line)):
        write_maps([case], tmp_path / name, [], OPTIONS)
        picture = np.asarray(Image.open(tmp_path / name / "coverage.png").convert("RGB")).astype(
            int
        )
        height, width, _ = picture.shape
        inside = picture[100 : height - 100, 110 : width - 165]
        assert ((inside.max(axis=2) - inside.min(axis=2)) > 60).sum() >= 10


def test_no_points_make_maps_that_say_so(tmp_path: Path) -> None:
    nothing, _ = tile(tmp_path, "x0_y0", *(np.empty(0) for _ in range(3)))
    assert write_maps([nothing], tmp_path / "maps", ["gnn"], OPTIONS) is None
    assert {p.name for p in (tmp_path / "maps").iterdir()} == set(map_names(["gnn"]))


@pytest.mark.parametrize("height", [350, 540, 700])
def test_the_colour_bar_is_clear_of_the_key(height: int) -> None:
    canvas = Canvas(0.0, 0.0, 100.0, 700, height)
    figure, axes = map_axes(canvas, "a map", "of nothing")
    image = draw_grid(axes, canvas, np.zeros((height, 700)), vmin=0, vmax=1)
    bar = colour_bar(figure, axes, image, "depth (m)")
    key(figure, axes, "top", "#000000")
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    figure.draw(renderer)
    foot = bar.ax.get_tightbbox(renderer)
    assert not foot.overlaps(figure.legends[0].get_window_extent(renderer))
