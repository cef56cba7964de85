"""The edge table: golden edges of study B, certification, and tiles of any size giving the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.errors import BedsieveError, InputError
from bedsieve.graph.certify import reach_needed
from bedsieve.graph.edges import edge_features, read_edges, write_edges
from bedsieve.graph.knn import nearest
from bedsieve.graph.tile_geometry import TileBox

G_SCALE_BEDMAP = 0.05865201007614752
LIMIT = 900.0


def survey(n: int = 3000, seed: int = 0) -> pl.DataFrame:
    """Lines that cross, repeat and stop, in a square of 30 km around the origin."""
    rng = np.random.default_rng(seed)
    track = np.sort(rng.integers(0, 12, n))
    along = rng.uniform(-15e3, 15e3, n)
    offset = rng.uniform(-15e3, 15e3, 12)[track] + np.round(rng.normal(0, 5, n))
    turned = track % 2 == 0
    return pl.DataFrame(
        {
            "point_id": rng.permutation(n).astype(np.uint64),
            "survey_no": np.ones(n, np.uint32),
            "track_id": track.astype(np.int32),
            "east": np.where(turned, along, offset),
            "north": np.where(turned, offset, along),
            "ice_thickness": 1000 + 100 * rng.standard_normal(n),
        }
    )


def write_tile(points: pl.DataFrame, folder: Path, tile: str, size: float, reach: float) -> bool:
    """Cut a tile's core and halo out of all points; False where the tile owns none."""
    box = TileBox.from_name(tile, size)
    east, north = points["east"].to_numpy(), points["north"].to_numpy()
    owned, away = box.owns(east, north), box.distance(east, north)
    ring = pl.Series("ring", np.maximum(np.ceil(away / LIMIT), 1).astype(np.uint8))
    halo = points.with_columns(ring).filter(pl.Series(~owned & (away <= reach)))
    points.filter(pl.Series(owned)).write_parquet(folder / "points.parquet")
    halo.sort("ring", "point_id").write_parquet(folder / "halo.parquet")
    return bool(owned.any())


def edges_of_tile(folder: Path, tile: str, size: float, reach: float, **options: float) -> Path:
    write_edges(
        folder / "points.parquet",
        folder / "halo.parquet",
        folder / "edges.arrow",
        tile=tile,
        tile_size=size,
        reach=reach,
        max_neighbour_distance=LIMIT,
        **options,
    )
    return folder / "edges.arrow"


def golden() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three points of AWI_2007_ANTR_AIR_BM2 (study B): east printed, north projected here."""
    from pyproj import Transformer

    lon, lat = [13.9607, 13.9666, 13.9709], [-71.307, -71.3082, -71.3092]
    east, north = Transformer.from_crs(4326, 3031, always_xy=True).transform(lon, lat)
    np.testing.assert_allclose(
        east, [494218.7047565697, 494391.12911079824, 494513.3985716207], rtol=0, atol=1e-6
    )
    return np.array(east), np.array(north), np.array([625.85, 602.8, 602.2])


def test_golden_edges_of_study_b() -> None:
    east, north, thickness = golden()
    neighbour = nearest(east, north, np.arange(3, dtype=np.uint64), 2).row
    assert neighbour.tolist() == [[1, 2], [2, 0], [1, 0]]
    distance, slope = edge_features(east, north, thickness, neighbour)
    gradient = np.clip(slope / G_SCALE_BEDMAP, -12.0, 12.0)
    assert distance[0].round(6).tolist() == [5.524581, 6.087828]
    assert distance[1].round(6).tolist() == [5.251708, 5.524581]
    assert gradient[0].round(6).tolist() == [-1.504943, -0.893703]
    assert gradient[1].round(6).tolist() == [-0.053787, 1.504943]
    assert distance[:2].astype(np.float16).astype(float).round(4).tolist() == [
        [5.5234, 6.0859],
        [5.25, 5.5234],
    ]


def test_features_of_a_coincident_a_far_and_an_empty_slot() -> None:
    east, north = np.array([0.0, 0.0, 1e12]), np.zeros(3)
    thickness = np.array([100.0, 100.0 + np.e - 1, 50.0])
    distance, slope = edge_features(east, north, thickness, np.array([[1, 2, -1]], np.int32))
    np.testing.assert_allclose(distance, [[0.0, 20.0, 0.0]])
    np.testing.assert_allclose(slope, [[1.0, -5e-11, 0.0]], atol=1e-15)


def test_features_of_later_rows_belong_to_their_nodes() -> None:
    points = survey(200)
    columns = [points[c].to_numpy() for c in ("east", "north", "ice_thickness")]
    neighbour = nearest(*columns[:2], points["point_id"].to_numpy(), 4).row
    whole, part = (
        edge_features(*columns, neighbour),
        edge_features(*columns, neighbour[50:], first=50),
    )
    np.testing.assert_array_equal(part[0], whole[0][50:])
    np.testing.assert_array_equal(part[1], whole[1][50:])


@pytest.mark.parametrize(("hops", "min_tracks"), [(1, 5), (3, 0)])
def test_any_tile_size_gives_the_untiled_table(tmp_path: Path, hops: int, min_tracks: int) -> None:
    points = survey()
    columns = [points[c].to_numpy() for c in ("east", "north", "ice_thickness")]
    ids = points["point_id"].to_numpy()
    found = nearest(
        *columns[:2],
        ids,
        16,
        max_distance=LIMIT,
        line=2**32 + points["track_id"].to_numpy().astype(np.int64),
        min_tracks=min_tracks,
    )
    assert (found.row < 0).any()
    assert (found.row >= 0).all(axis=1).any()
    distance, slope = (a.astype(np.float16) for a in edge_features(*columns, found.row))
    place = np.empty(ids.size, int)
    place[ids] = np.arange(ids.size)
    reach = hops * LIMIT
    for size in (6500.0, 11_000.0, 50_000.0):
        seen = 0
        span = int(15e3 // size) + 2
        for ix in range(-span, span):
            for iy in range(-span, span):
                tile = f"x{ix}_y{iy}"
                if not write_tile(points, tmp_path, tile, size, reach):
                    continue
                edges = read_edges(
                    edges_of_tile(tmp_path, tile, size, reach, hops=hops, min_tracks=min_tracks)
                )
                core = pl.read_parquet(tmp_path / "points.parquet")
                halo = pl.read_parquet(tmp_path / "halo.parquet")
                local = np.concatenate([core["point_id"].to_numpy(), halo["point_id"].to_numpy()])
                assert edges.n_core == core.height
                assert edges.hops == hops
                assert len(edges.neighbour) == core.height + (halo["ring"] < hops).sum()
                row = place[local[: len(edges.neighbour)]]
                whole = np.where(edges.neighbour < 0, -1, place[local[edges.neighbour]])
                np.testing.assert_array_equal(whole, found.row[row])
                np.testing.assert_array_equal(edges.log1p_dist, distance[row])
                np.testing.assert_array_equal(edges.log_slope, slope[row])
                seen += edges.n_core
        assert seen == ids.size


def test_a_table_that_cannot_be_certified_names_the_reach(tmp_path: Path) -> None:
    points = survey()
    write_tile(points, tmp_path, "x0_y0", 9000.0, 0.2 * LIMIT)
    with pytest.raises(BedsieveError, match=r"within 180 m of the tile, \d+ m are needed") as error:
        edges_of_tile(tmp_path, "x0_y0", 9000.0, 0.2 * LIMIT, hops=1)
    assert not (tmp_path / "edges.arrow").exists()
    needed = float(str(error.value).split(" m are needed")[0].rsplit(" ", 1)[1])
    write_tile(points, tmp_path, "x0_y0", 9000.0, needed)
    edges_of_tile(tmp_path, "x0_y0", 9000.0, needed, hops=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(50.0, 2000.0))
def test_reach_needed_is_enough_and_no_more(seed: int, gathered: float) -> None:
    points = survey(150, seed)
    box = TileBox(0, 0, 6000.0)
    east, north = points["east"].to_numpy(), points["north"].to_numpy()
    near = box.distance(east, north) <= gathered
    owned = box.owns(east, north)
    order = np.concatenate([np.flatnonzero(owned), np.flatnonzero(near & ~owned)])
    ids = points["point_id"].to_numpy()
    part = nearest(
        east[order], north[order], ids[order], 3, max_distance=LIMIT, n_query=int(owned.sum())
    ).row
    if reach_needed(box, east[order], north[order], part, LIMIT) <= gathered:
        whole = nearest(east, north, ids, 3, max_distance=LIMIT).row
        np.testing.assert_array_equal(np.where(part < 0, -1, order[part]), whole[owned])


def test_reach_needed_by_hand() -> None:
    box = TileBox(0, 0, 100.0)
    east, north = np.array([10.0, 110.0, 10.0]), np.array([50.0, 50.0, 90.0])
    # 10 m inside with an empty slot; 10 m outside with a neighbour at 100 m.
    assert reach_needed(box, east, north, np.array([[2, -1]], np.int32), 75.0) == 65.0
    assert reach_needed(box, east, north, np.array([[1], [0]], np.int32), 75.0) == 110.0
    assert reach_needed(box, east, north, np.zeros((0, 4), np.int32), 75.0) == 0.0


def test_tables_that_do_not_fit_the_tile(tmp_path: Path) -> None:
    write_tile(survey(), tmp_path, "x0_y0", 9000.0, LIMIT)
    with pytest.raises(InputError, match=r"points\.parquet: a point lies outside the tile"):
        edges_of_tile(tmp_path, "x1_y0", 9000.0, LIMIT, hops=1)
    halo = pl.read_parquet(tmp_path / "halo.parquet").with_row_index()
    halo.with_columns((5 - pl.col("index") % 5).cast(pl.UInt8).alias("ring")).write_parquet(
        tmp_path / "halo.parquet"
    )
    with pytest.raises(InputError, match="not sorted by ring"):
        edges_of_tile(tmp_path, "x0_y0", 9000.0, LIMIT, hops=1)


def test_the_table_is_mapped_and_written_the_same_twice(tmp_path: Path) -> None:
    write_tile(survey(), tmp_path, "x0_y0", 9000.0, LIMIT)
    path = edges_of_tile(tmp_path, "x0_y0", 9000.0, LIMIT, hops=1, k=6)
    first = path.read_bytes()
    edges = read_edges(path)
    assert edges.neighbour.shape == edges.log_slope.shape == (edges.n_core, 6)
    assert edges.neighbour.dtype == np.int32
    assert edges.log1p_dist.dtype == edges.log_slope.dtype == np.float16
    assert not edges.neighbour.flags.owndata
    assert not edges.neighbour.flags.writeable
    edges_of_tile(tmp_path, "x0_y0", 9000.0, LIMIT, hops=1, k=6)
    assert path.read_bytes() == first


def test_files_that_are_no_edge_table(tmp_path: Path) -> None:
    path = tmp_path / "edges.arrow"
    path.write_bytes(b"not an arrow file at all")
    with pytest.raises(InputError, match="no edge table"):
        read_edges(path)
    write_tile(survey(), tmp_path, "x0_y0", 9000.0, LIMIT)
    edges_of_tile(tmp_path, "x0_y0", 9000.0, LIMIT, hops=1)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="no edge table"):
        read_edges(path)


def test_a_tile_with_a_halo_but_no_neighbour_in_reach(tmp_path: Path) -> None:
    lonely = survey(2).with_columns(
        pl.Series("east", [10.0, 5000.0]), pl.Series("north", [10.0, 5000.0])
    )
    write_tile(lonely, tmp_path, "x0_y0", 9000.0, LIMIT)
    edges = read_edges(edges_of_tile(tmp_path, "x0_y0", 9000.0, LIMIT, hops=1))
    assert (edges.neighbour == -1).all()
    assert (edges.log1p_dist == 0).all()
