"""The points of a tile: ownership, halo and rings, copies across surveys, independence of the tile size."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.graph.lines import LINE, line_of
from bedsieve.graph.tile_geometry import TileBox
from bedsieve.graph.tiles import merge_across_surveys, write_tile
from bedsieve.tile_names import tile_index, tile_name


def survey(number: int, east: Any, north: Any, thickness: Any, **columns: Any) -> pl.DataFrame:
    """Harmonised points with just what the tile stage reads."""
    east, north = np.asarray(east, float), np.asarray(north, float)
    n = len(east)
    row = np.arange(n)
    nothing = pl.lit(None, pl.Float32)
    data: dict[str, Any] = {
        "point_id": (np.uint64(number) << np.uint64(32)) + row.astype(np.uint64),
        "survey_no": np.full(n, number, np.uint32),
        "track_id": np.zeros(n, np.int32),
        "track_seq": row.astype(np.uint32),
        "east": east,
        "north": north,
        "lon": east / 1e5,
        "lat": north / 1e5,
        "ice_thickness": np.asarray(thickness, float),
        "bed_elev": np.zeros(n),
        "bed_reconstructed": np.zeros(n, bool),
        "surface_alt": np.zeros(n),
        "year_start": np.full(n, 2004, np.int32),
        "year_end": np.full(n, 2006, np.int32),
        "timestamp": pl.Series([None] * n, dtype=pl.Int64),
    } | columns
    frame = pl.DataFrame(data)
    return frame.with_columns(
        **dict.fromkeys(["vx", "vy", "v", "ith_bm", "smb", "z", "s", "temp"], nothing)
    )


def tiled(
    folder: Path, surveys: list[pl.DataFrame], tile: str, size: float, reach: float, ring: float
):
    paths = []
    for number, frame in enumerate(surveys):
        paths.append(folder / f"s{number}.parquet")
        frame.write_parquet(paths[-1])
    names = ("points", "halo", "duplicates")
    out = {f"{name}_path": folder / tile / f"{name}.parquet" for name in names}
    ledger = folder / tile / "ledger.json"
    write_tile(
        paths,
        tile=tile,
        tile_size=size,
        reach=reach,
        max_neighbour_distance=ring,
        ledger_path=ledger,
        **out,
    )
    frames = [pl.read_parquet(path) for path in out.values()]
    return *frames, json.loads(ledger.read_text())


def test_tile_is_half_open_and_halo_is_round(tmp_path: Path) -> None:
    east = [0.0, 99.9, 100.0, 105.0, 107.1, -7.0, -7.0, 50.0]
    north = [0.0, 50.0, 50.0, 50.0, 107.1, -7.0, 50.0, 110.1]
    points, halo, removed, ledger = tiled(
        tmp_path, [survey(3, east, north, np.full(8, 500.0))], "x0_y0", 100.0, 10.0, 5.0
    )
    first = 3 << 32
    assert sorted(points["point_id"] - first) == [0, 1]
    rings = dict(zip(halo["point_id"] - first, halo["ring"], strict=True))
    # (100, 50) touches the tile; (-7, -7) is 9.9 m from its corner; (107.1, 107.1) is 10.04 m away.
    assert rings == {2: 1, 3: 1, 5: 2, 6: 2}
    assert halo["ring"].is_sorted()
    assert removed.height == 0
    assert ledger == {"halo": 4, "surveys": {"3": {"kept": 2}}, "tile": "x0_y0"}


def test_year_comes_from_the_time_else_from_the_survey(tmp_path: Path) -> None:
    timestamp = pl.Series([None, 1_167_609_600], dtype=pl.Int64)  # 2007-01-01
    frame = survey(1, [1, 2], [1, 2], [500, 500], timestamp=timestamp)
    points = tiled(tmp_path, [frame], "x0_y0", 100.0, 10.0, 10.0)[0].sort("point_id")
    assert points["year"].to_list() == pytest.approx([2005.5, 2007.0], abs=0.01)


def test_copies_across_surveys_are_merged_or_taken_out() -> None:
    one = survey(1, [10, 20, 30, 40], [0, 0, 0, 0], [1000, 500, 700, 100])
    two = survey(2, [20, 10, 50], [0, 0, 0], [900, 1020, 600])
    kept, removed = merge_across_surveys(pl.concat([two, one]))
    assert kept["ice_thickness"].to_list() == [1010, 700, 100, 600]
    base = {1: 1 << 32, 2: 2 << 32}
    assert kept["point_id"].to_list() == [base[1], base[1] + 2, base[1] + 3, base[2] + 2]
    assert removed.select("point_id", "code", "kept_point_id").rows() == [
        (base[1] + 1, "duplicate_conflict", None),
        (base[2], "duplicate_conflict", None),
        (base[2] + 1, "duplicate_merged", base[1]),
    ]


@pytest.mark.parametrize(
    ("thickness", "left", "codes", "into"),
    [
        ([1000, 1020, 1050], [1030.0], ["duplicate_merged"] * 2, [1 << 32] * 2),
        ([1000, 1020, 2000], [], ["duplicate_conflict"] * 3, [None] * 3),
    ],
)
def test_copies_at_the_pole_share_the_fate_of_what_they_merged_into(
    tmp_path: Path, thickness: list[float], left: list[float], codes: list[str], into: list[Any]
) -> None:
    # Surveys 2 and 3 write the pole with longitude 0, survey 1 with 45: 3 merges into 2, both into 1 or neither.
    surveys = [
        survey(1, [0], [0], thickness[2:], lon=[45.0], lat=[-90.0]),
        survey(2, [0], [0], thickness[:1], lon=[0.0], lat=[-90.0]),
        survey(3, [0], [0], thickness[1:2], lon=[0.0], lat=[-90.0]),
    ]
    points, _, removed, ledger = tiled(tmp_path, surveys, "x0_y0", 100.0, 10.0, 10.0)
    assert points["ice_thickness"].to_list() == left
    assert removed["code"].to_list() == codes
    assert removed["kept_point_id"].to_list() == into
    counted = [code for of in ledger["surveys"].values() for code in of if code != "kept"]
    assert counted == [f"cross_survey_{code}" for code in codes]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)), max_size=14),
    st.sampled_from([[900.0], [900.0, 1000.0, 1100.0, 2000.0]]),
    st.randoms(use_true_random=False),
)
def test_merging_against_union_find(
    rows: list[tuple[int, int, int]], thicknesses: list[float], random: Any
) -> None:
    # Some longitudes are one place, as at the pole: places are groups of (lon, lat), never parts of them.
    lon, lat = [float(lon) for lon, _, _ in rows], [float(lat) for _, lat, _ in rows]
    east = [float(lon if lat else 0) for lon, lat, _ in rows]
    thickness = [random.choice(thicknesses) for _ in rows]
    points = survey(1, east, lat, thickness, lon=lon, lat=lat)
    kept, removed = merge_across_surveys(points)
    assert sorted([*kept["point_id"], *removed["point_id"]]) == points["point_id"].to_list()
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        return i if parent[i] == i else root(parent[i])

    for i, j in itertools.combinations(range(len(rows)), 2):
        if (lon[i], lat[i]) == (lon[j], lat[j]) or (east[i], lat[i]) == (east[j], lat[j]):
            low, high = sorted((root(i), root(j)))
            parent[high] = low
    remains = set(kept["point_id"])
    first = 1 << 32
    for point, code, into in removed.select("point_id", "code", "kept_point_id").iter_rows():
        assert (code == "duplicate_merged") == (into is not None)
        assert into is None or (into in remains and root(into - first) == root(point - first))
    assert len({root(point - first) for point in remains}) == len(remains)
    if len(thicknesses) == 1:
        assert remains == {first + root(i) for i in range(len(rows))}
        assert removed["kept_point_id"].null_count() == 0


def test_ledger_counts_copies_where_the_tile_owns_them(tmp_path: Path) -> None:
    one, two = (
        survey(1, [10, 150], [10, 10], [500, 600]),
        survey(2, [10, 150], [10, 10], [500, 600]),
    )
    points, _, removed, ledger = tiled(tmp_path, [one, two], "x0_y0", 100.0, 60.0, 60.0)
    assert points.height == 1
    assert removed["point_id"].to_list() == [2 << 32]
    assert ledger["surveys"] == {
        "1": {"kept": 1},
        "2": {"kept": 0, "cross_survey_duplicate_merged": 1},
    }
    assert ledger["halo"] == 1


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([70.0, 130.0, 400.0]))
def test_tiles_of_any_size_hold_every_point_once(
    tmp_path_factory: pytest.TempPathFactory, seed: int, size: float
) -> None:
    rng = np.random.default_rng(seed)
    # A coarse lattice, so that surveys meet at exactly the same places.
    surveys = [
        survey(number, *rng.integers(-20, 20, (2, 60)) * 10.0, rng.uniform(100, 3000, 60))
        for number in (1, 2)
    ]
    surveys = [frame.unique(["east", "north"], keep="first").sort("point_id") for frame in surveys]
    whole, _ = merge_across_surveys(pl.concat(surveys))
    east, north = whole["east"].to_numpy(), whole["north"].to_numpy()
    folder = tmp_path_factory.mktemp("tiles")
    index = {(int(x), int(y)) for x, y in zip(east // size, north // size, strict=True)}
    parts = [tiled(folder, surveys, tile_name(*xy), size, 35.0, 10.0) for xy in sorted(index)]
    found = pl.concat([part[0] for part in parts]).drop("year").sort("point_id")
    whole = whole.select(found.columns)
    assert found.equals(whole)
    for xy, (_, halo, *_rest) in zip(sorted(index), parts, strict=True):
        box = TileBox(*xy, size)
        near = (box.distance(east, north) <= 35.0) & ~box.owns(east, north)
        assert halo.drop("ring", "year").sort("point_id").equals(whole.filter(pl.Series(near)))


def test_points_of_a_tile_do_not_depend_on_the_order_of_surveys(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    surveys = [survey(n, *rng.uniform(0, 100, (2, 50)), rng.uniform(1, 9, 50)) for n in (1, 2)]
    (tmp_path / "a").mkdir()
    forth = tiled(tmp_path / "a", surveys, "x0_y0", 80.0, 9.0, 9.0)
    (tmp_path / "b").mkdir()
    back = tiled(tmp_path / "b", surveys[::-1], "x0_y0", 80.0, 9.0, 9.0)
    assert forth[0].equals(back[0])
    assert forth[1].equals(back[1])


def test_names_of_tiles() -> None:
    assert tile_name(-3, 12) == "x-3_y12"
    assert tile_index("x-3_y12") == (-3, 12)
    with pytest.raises(ValueError, match="no tile name"):
        tile_index("x1")


def test_lines_of_a_table_and_of_arrays() -> None:
    survey_no, track_id = np.array([0, 7, 7], np.uint32), np.array([3, 0, 2**31 - 1], np.int32)
    expected = [3, 7 * 2**32, 7 * 2**32 + 2**31 - 1]
    table = pl.DataFrame({"survey_no": survey_no, "track_id": track_id}).select(LINE)
    assert table["line"].dtype == pl.Int64
    assert table["line"].to_list() == line_of(survey_no, track_id).tolist() == expected


def test_far_rings_do_not_wrap(tmp_path: Path) -> None:
    frame = survey(1, [50.0, 101.0, 400.0], [50.0, 50.0, 50.0], [500, 500, 500])
    halo = tiled(tmp_path, [frame], "x0_y0", 100.0, 300.0, 1.0)[1]
    assert halo["ring"].to_list() == [1, 255]
