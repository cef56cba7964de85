"""Maps: the rasterised numbers against numpy, and pictures of sparse, dense and empty data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from bedsieve.errors import BedsieveError
from bedsieve.products import canvas as canvas_module
from bedsieve.products.canvas import Canvas, bounds, fit_canvas, rasterise, round_above
from bedsieve.products.cartography import colour_bar, draw_grid, key, map_axes, round_below
from bedsieve.products.maps import (
    MapOptions,
    cell_share,
    map_names,
    spread_mean,
    spread_radius,
    write_maps,
)

OPTIONS = MapOptions("Test", "EPSG:3031", 0.7, 500_000.0)


def tile(
    folder: Path, name: str, east: np.ndarray, north: np.ndarray, score: np.ndarray
) -> tuple[Path, Path]:
    home = folder / name
    home.mkdir(parents=True)
    thickness = 1000 + np.arange(len(east), dtype=float)
    points = pl.DataFrame({"east": east, "north": north, "ice_thickness": thickness})
    points.write_parquet(home / "points.parquet")
    scores = pl.Series("score", score, dtype=pl.Float32).fill_nan(None)
    pl.DataFrame([scores]).with_columns(
        scores.alias("score_gnn"), (scores >= 0.7).fill_null(False).alias("flag")
    ).write_parquet(home / "ensemble.parquet")
    return home / "points.parquet", home / "ensemble.parquet"


def two_tiles(folder: Path, n: int = 3000) -> tuple[list[tuple[Path, Path]], pl.DataFrame]:
    rng = np.random.default_rng(0)
    east, north = rng.uniform(-4e5, 9e5, n), rng.uniform(-8e5, -1e5, n)
    score = np.where(rng.random(n) < 0.1, np.nan, rng.random(n))
    west = east < 0
    tiles = [
        tile(folder, "x-1_y-1", east[west], north[west], score[west]),
        tile(folder, "x0_y-1", east[~west], north[~west], score[~west]),
    ]
    frames = [
        pl.concat([pl.read_parquet(points), pl.read_parquet(ensemble)], how="horizontal")
        for points, ensemble in tiles
    ]
    return tiles, pl.concat(frames)


def test_pixels_hold_what_numpy_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas_module, "SLICE", 700)
    tiles, every = two_tiles(tmp_path)
    canvas = Canvas(-500_000.0, -900_000.0, 20_000.0, 75, 45)
    grids = rasterise(tiles[::-1], canvas, ["gnn"])
    column = ((every["east"].to_numpy() + 500_000) // 20_000).astype(int)
    row = ((every["north"].to_numpy() + 900_000) // 20_000).astype(int)

    def binned(values: np.ndarray) -> np.ndarray:
        return np.bincount(row * 75 + column, values, 75 * 45).reshape(45, 75)

    score = every["score"].fill_null(0).to_numpy().astype(float)
    np.testing.assert_array_equal(grids.points, binned(np.ones(len(row))))
    np.testing.assert_allclose(grids.thickness, binned(every["ice_thickness"].to_numpy()))
    np.testing.assert_array_equal(grids.flagged, binned(every["flag"].to_numpy().astype(float)))
    np.testing.assert_allclose(grids.score_sum["gnn"], binned(score), rtol=1e-5)
    scored = every["score"].is_not_null().to_numpy().astype(float)
    np.testing.assert_array_equal(grids.scored["ensemble"], binned(scored))


def test_bounds_are_those_of_the_points(tmp_path: Path) -> None:
    tiles, every = two_tiles(tmp_path)
    tiles.append(tile(tmp_path, "x5_y5", *(np.empty(0) for _ in range(3))))
    expected = [
        every["east"].min(),
        every["north"].min(),
        every["east"].max(),
        every["north"].max(),
    ]
    assert bounds(tiles).tolist() == expected
    assert bounds(tiles[2:]) is None


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
    assert max(canvas.width, canvas.height) <= 1001
    assert min(canvas.width, canvas.height) >= 0.49 * max(canvas.width, canvas.height)
    assert round_above(canvas.pixel) == pytest.approx(canvas.pixel)


def test_round_lengths() -> None:
    assert [round_below(v) for v in (0.37, 1.0, 4.99, 1034.0)] == [0.2, 1.0, 2.0, 1000.0]
    assert [round_above(v) for v in (0.37, 1.0, 5.01, 5100.0)] == [0.4, 1.0, 6.0, 6000.0]


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
    one = tile(tmp_path / "a", "x2_y0", np.array([1.1e6]), np.array([2e5]), np.array([0.1]))
    x = np.linspace(0, 5000, 60)
    line = tile(tmp_path / "b", "x0_y0", x, 0.3 * x, np.full(60, 0.2))
    for name, case in (("one", one), ("line", line)):
        write_maps([case], tmp_path / name, [], OPTIONS)
        picture = np.asarray(Image.open(tmp_path / name / "coverage.png").convert("RGB")).astype(
            int
        )
        height, width, _ = picture.shape
        inside = picture[100 : height - 100, 110 : width - 165]
        assert ((inside.max(axis=2) - inside.min(axis=2)) > 60).sum() >= 10


def test_no_points_make_maps_that_say_so(tmp_path: Path) -> None:
    nothing = tile(tmp_path, "x0_y0", *(np.empty(0) for _ in range(3)))
    assert write_maps([nothing], tmp_path / "maps", ["gnn"], OPTIONS) is None
    assert {p.name for p in (tmp_path / "maps").iterdir()} == set(map_names(["gnn"]))


def test_tables_of_different_length_are_refused(tmp_path: Path) -> None:
    tiles, _ = two_tiles(tmp_path)
    pl.read_parquet(tiles[0][1])[:-1].write_parquet(tiles[0][1])
    with pytest.raises(BedsieveError, match=r"ensemble\.parquet: does not hold the points"):
        write_maps(tiles, tmp_path / "maps", ["gnn"], OPTIONS)


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
