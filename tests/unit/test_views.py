"""The views of the scores: counts by hand, ROC as scikit-learn gives it, pictures for any number of members."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from bedsieve.errors import BedsieveError
from bedsieve.products import views_count
from bedsieve.products.bins import LOGIT_BINS, edge_of, logit_bin, step_of
from bedsieve.products.tallies import count_tile, write_tallies
from bedsieve.products.tile_points import TileFiles, read_points
from bedsieve.products.views import PLOTS, TABLES, write_views
from bedsieve.products.views_count import Views, count_views
from bedsieve.products.views_regions import bin_edges, region_of, two_centres
from bedsieve.products.views_tables import auc, confusion, counts_above, rates, reference

MEMBERS = ["one", "two"]


def tile(
    folder: Path, name: str, n: int = 400, seed: int = 0, grid: bool = True, labels: bool = True
) -> TileFiles:
    rng = np.random.default_rng(seed)
    home = folder / name
    home.mkdir()
    ids = (rng.permutation(n) + 10_000 * seed).astype(np.uint64)
    bad = rng.random(n) < 0.2
    score = np.clip(np.where(bad, 0.8, 0.3) + rng.normal(0, 0.15, n), 0, 1).astype(np.float32)
    thickness = rng.uniform(500, 1500, n)
    flat = {column: np.full(n, np.nan, np.float32) for column in ("v", "smb", "temp", "s")}
    pl.DataFrame(
        {
            "point_id": ids,
            "east": rng.uniform(0, 1000, n) + 50_000 * seed,
            "north": rng.uniform(0, 1000, n),
            "ice_thickness": thickness,
            "ith_bm": (thickness + np.where(bad, 300.0, 10.0)).astype(np.float32)
            if grid
            else np.full(n, np.nan, np.float32),
            "bed_elev": -thickness,
            "z": rng.uniform(0, 10, n).astype(np.float32),
            "year": np.full(n, 2001, np.float32),
            **flat,
        }
    ).with_columns(pl.col("v").fill_nan(None)).write_parquet(home / "points.parquet")
    pl.DataFrame(
        {
            "point_id": ids,
            "score": score,
            "score_one": score,
            "score_two": pl.Series(np.where(bad, np.nan, 0.1), dtype=pl.Float32).fill_nan(None),
            "flag": score >= 0.6,
        }
    ).write_parquet(home / "ensemble.parquet")
    told = (rng.random(n) < 0.5) & labels
    pl.DataFrame(
        {"point_id": ids[told][::-1], "label": bad[told][::-1].astype(np.int8)}
    ).write_parquet(home / "labels.parquet")
    return TileFiles(*(home / f"{part}.parquet" for part in ("points", "ensemble", "labels")))


def tallied(files: TileFiles) -> Path:
    path = Path(files.points).with_name("tallies.parquet")
    points = read_points(files, MEMBERS)
    write_tallies(count_tile(points, {member: [] for member in MEMBERS}), path)
    return path


def counted(tiles: list[TileFiles]) -> Views:
    return count_views([tallied(files) for files in tiles], tiles, MEMBERS)


def recut(tiles: list[TileFiles], folder: Path, west_of: list[float]) -> list[TileFiles]:
    """The same points in tiles cut at other places."""
    every = joined(tiles)
    made = []
    for k, (low, high) in enumerate(zip([-np.inf, *west_of], [*west_of, np.inf], strict=True)):
        part = every.filter(pl.col("east") >= low, pl.col("east") < high)
        home = folder / f"x{k}_y0"
        home.mkdir(parents=True)
        scores = ["score", "score_one", "score_two", "flag"]
        part.drop(*scores, "label").write_parquet(home / "points.parquet")
        part.select("point_id", *scores).write_parquet(home / "ensemble.parquet")
        labels = part.select("point_id", "label").drop_nulls()
        labels.write_parquet(home / "labels.parquet")
        names = ("points", "ensemble", "labels")
        made.append(TileFiles(*(home / f"{name}.parquet" for name in names)))
    return made


def joined(tiles: list[TileFiles]) -> pl.DataFrame:
    return pl.concat(
        [
            pl.read_parquet(t.points)
            .hstack(pl.read_parquet(t.ensemble).drop("point_id"))
            .join(pl.read_parquet(t.labels), on="point_id", how="left", maintain_order="left")
            for t in tiles
        ]
    )


@pytest.fixture
def tiles(tmp_path: Path) -> list[TileFiles]:
    return [tile(tmp_path, "x0_y0", seed=0), tile(tmp_path, "x1_y0", n=300, seed=1)]


@pytest.mark.parametrize("cuts", [[], [400.0, 50_300.0], [50_500.0], [300.0, 600.0, 900.0]])
def test_views_do_not_depend_on_the_cut(
    tiles: list[TileFiles], tmp_path: Path, cuts: list[float]
) -> None:
    one, other = counted(tiles), counted(recut(tiles, tmp_path / "again", cuts))
    np.testing.assert_allclose(one.centres, other.centres)
    for name in ("logits", "above", "differences"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert list(one.edges) == list(other.edges)
    for name in one.edges:
        np.testing.assert_array_equal(one.edges[name], other.edges[name])
        np.testing.assert_array_equal(one.rates[name], other.rates[name])


def test_only_tiles_that_the_border_cuts_are_read_again(
    tiles: list[TileFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    monkeypatch.setattr(
        views_count,
        "read_points",
        lambda files, members: (read.append(files), read_points(files, members))[1],
    )
    counted(tiles)
    assert read == []
    cut = recut(tiles, tmp_path / "again", [300.0, 50_500.0])
    counted(cut)
    assert read == cut[1:2]


def test_confusion_counts_every_label_once(tiles: list[TileFiles]) -> None:
    table = confusion(counted(tiles))
    every = joined(tiles)
    for region, low in (("A", 0), ("B", 50_000)):
        part = every.filter(pl.col("east").is_between(low, low + 1000))
        row = table.filter(detector="ensemble", region=region, threshold=0.7).row(0, named=True)
        high = pl.col("score") >= np.float32(0.7)
        assert row["true_positive"] == part.filter(high, label=1).height
        assert row["false_positive"] == part.filter(high, label=0).height
        assert row["false_negative"] == part.filter(~high, label=1).height
        assert row["true_negative"] == part.filter(~high, label=0).height
        # A member that scores no bad point finds none of them.
        silent = table.filter(detector="two", region=region, threshold=0.5).row(0, named=True)
        assert silent["true_positive"] == 0
        assert silent["recall"] == 0.0 or silent["recall"] is None


def test_area_agrees_with_scikit_learn(tiles: list[TileFiles]) -> None:
    from sklearn.metrics import roc_auc_score

    table = confusion(counted(tiles))
    part = joined(tiles).filter(pl.col("east") < 2000, pl.col("label").is_not_null())
    found = table.filter(detector="one", region="A")["auc"][0]
    assert found == pytest.approx(roc_auc_score(part["label"], part["score"]), abs=2e-3)
    assert auc(np.array([2, 0]), np.array([0, 2])) == 1.0
    assert auc(np.array([1, 1]), np.array([1, 1])) == 0.5
    assert auc(np.array([1, 1]), np.array([0, 0])) is None


def test_counts_above_sum_over_regions(tiles: list[TileFiles]) -> None:
    table = counts_above(counted(tiles)).filter(detector="ensemble", at_least=0.5)
    points = dict(table.select("region", "points").iter_rows())
    assert points["all"] == points["A"] + points["B"]
    assert points["all"] == joined(tiles).filter(pl.col("score") >= 0.5).height


def test_rates_count_each_point_in_one_bin(tiles: list[TileFiles]) -> None:
    table = rates(counted(tiles))
    every = joined(tiles)
    assert set(table["variable"]) == {"ice_thickness", "bed_elev", "z"}
    one = table.filter(variable="ice_thickness")
    assert one["points"].sum() == every.height
    assert one["flagged"].sum() == every["flag"].sum()
    assert one["labelled"].sum() == every["label"].is_not_null().sum()
    assert one["outlier_labels"].sum() == every["label"].sum()
    low, high = one["from"][3], one["to"][3]
    inside = (pl.col("ice_thickness") >= low) & (pl.col("ice_thickness") < high)
    assert one["points"][3] == every.filter(inside).height
    assert one["points"].max() < 1.5 * one["points"].min()


def test_differences_from_the_grid_by_score(tiles: list[TileFiles]) -> None:
    table = reference(counted(tiles)).filter(detector="ensemble")
    assert table["points"].sum() == joined(tiles).height
    assert table.filter(pl.col("from") == 0.1)["median"][0] == pytest.approx(10, rel=0.02)
    assert table.filter(pl.col("from") == 0.9)["median"][0] == pytest.approx(300, rel=0.02)


@pytest.mark.parametrize(("grid", "labels"), [(True, True), (False, False)])
def test_everything_is_written_whatever_is_missing(
    tmp_path: Path, grid: bool, labels: bool
) -> None:
    one = tile(tmp_path, "x0_y0", grid=grid, labels=labels)
    out = [tmp_path / "views" / f"{name}.tsv" for name in TABLES]
    out += [tmp_path / "views" / f"{name}.png" for name in PLOTS]
    write_views([tallied(one)], [one], MEMBERS, "a glacier", out)
    for path in out:
        assert path.stat().st_size > 0
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert picture.size[0] > 600


def test_tables_that_do_not_belong_together_are_named(tiles: list[TileFiles]) -> None:
    mixed = TileFiles(tiles[0].points, tiles[1].ensemble, tiles[0].labels)
    with pytest.raises(BedsieveError, match="does not hold the points"):
        read_points(mixed, MEMBERS)


def test_logits_of_the_ends_and_the_middle() -> None:
    score = np.array([0.0, 0.5, 1.0, 0.9], np.float32)
    step = 16 / LOGIT_BINS
    assert logit_bin(score).tolist() == [0, 800, LOGIT_BINS - 1, int((8 + np.log(9)) / step)]


def test_two_regions_from_west_to_east() -> None:
    rng = np.random.default_rng(0)
    west, east = rng.normal((0, 5), 1, (30, 2)), rng.normal((50, -5), 1, (60, 2))
    centres = two_centres(np.concatenate([east, west]))
    np.testing.assert_allclose(centres, [west.mean(axis=0), east.mean(axis=0)])
    assert region_of(centres, np.array([[-9.0, 0], [90.0, 0]])).tolist() == [0, 1]
    assert two_centres(np.ones((4, 2))).tolist() == [[1.0, 1.0]]
    assert len(two_centres(np.empty((0, 2)))) == 0
    assert region_of(np.empty((0, 2)), np.ones((2, 2))).tolist() == [0, 0]


def test_edges_hold_about_as_many_points_each() -> None:
    edges = bin_edges(np.arange(1200), np.ones(1200, np.int64))
    assert edges.tolist() == list(range(100, 1200, 100))
    assert bin_edges(np.array([5]), np.array([9])).tolist() == []
    assert bin_edges(np.array([], np.int64), np.array([], np.int64)).tolist() == []
    assert bin_edges(np.array([-3, 4]), np.array([1, 1])).tolist() == [4]


def test_edges_are_quantiles_to_a_step() -> None:
    values = np.random.default_rng(0).lognormal(2, 1, 100_000)
    steps, points = np.unique(step_of("v", values), return_counts=True)
    wanted = np.quantile(values, np.arange(1, 12) / 12)
    edges = edge_of("v", bin_edges(steps, points))
    assert ((wanted >= edges) & (wanted < edges + 0.1)).all()
