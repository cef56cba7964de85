"""Crossings against brute force, worked cases, and the same over any tiling."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from bedsieve.errors import BedsieveError
from bedsieve.graph.crossings import crossings
from bedsieve.graph.crossovers import crossover_tables, line_of, write_crossovers
from bedsieve.graph.mistie import survey_misties, survey_pair_misties
from bedsieve.graph.segments import track_segments
from bedsieve.graph.tile_geometry import TileBox
from tests.unit.flight_lines import flight_lines, with_long_segments

EVERYWHERE = TileBox(-1, -1, 1e7)


def frame_of(*lines, survey=None, seconds=None):
    """Points of lines given as lists of (east, north, thickness)."""
    rows = []
    for number, line in enumerate(lines):
        survey_no = 1 if survey is None else survey[number]
        rows += [(survey_no, number, 100 * number + k, *point) for k, point in enumerate(line)]
    frame = pl.DataFrame(
        rows,
        schema=["survey_no", "track_id", "row", "east", "north", "ice_thickness"],
        orient="row",
    )
    return frame.select(
        (pl.col("survey_no").cast(pl.UInt64) * 2**32 + pl.col("row").cast(pl.UInt64)).alias("point_id"),
        pl.col("survey_no").cast(pl.UInt32),
        pl.col("track_id").cast(pl.Int32),
        pl.col("row").cast(pl.UInt32).alias("track_seq"),
        pl.col("east", "north", "ice_thickness").cast(pl.Float64),
        pl.lit(2001.5, pl.Float32).alias("year"),
        pl.Series("timestamp", seconds, pl.Int64)
        if seconds is not None
        else pl.lit(None, pl.Int64).alias("timestamp"),
    )  # fmt: skip


def crossed(frame, **settings):
    # The whole plane as one tile: four of them, so that the origin is nobody's corner.
    boxes = [TileBox(x, y, 1e7) for x in (-1, 0) for y in (-1, 0)]
    tables = [crossover_tables(frame, box, **settings).owned for box in boxes]
    return pl.concat(tables).filter(pl.col("kind") == "crossing")


def test_a_plain_cross():
    table = crossed(
        frame_of([(0, 50, 100), (100, 50, 200)], [(25, 0, 300), (25, 80, 380)], survey=[1, 2], seconds=[10, 20, 1000, 1080])
    )  # fmt: skip
    row = table.row(0, named=True)
    assert table.height == 1
    assert (row["east"], row["north"]) == (25, 50)
    assert (row["h_a"], row["h_b"], row["mistie"]) == (125, 350, -225)
    assert row["angle"] == pytest.approx(90)
    assert row["dt_s"] == pytest.approx(12.5 - 1050)
    assert not row["internal"]
    assert not row["self_crossing"]
    assert (row["fraction_a"], row["fraction_b"]) == (0.25, 0.625)
    assert row["end_id_a"] == row["point_id_a"] + 1


def test_the_acute_angle():
    table = crossed(frame_of([(0, 0, 1), (100, 0, 1)], [(80, -20, 1), (20, 20, 1)]))
    assert table["angle"][0] == pytest.approx(np.degrees(np.arctan2(40, 60)))


def test_a_figure_of_eight_crosses_itself_once():
    table = crossed(frame_of([(0, 0, 1), (100, 100, 1), (100, 0, 1), (0, 100, 9)]))
    assert table["self_crossing"].to_list() == [True]
    assert table["internal"].to_list() == [True]


def test_a_line_through_a_corner_of_another_crosses_once():
    through = frame_of(
        [(0, 0, 1), (50, 0, 1), (100, 0, 1)], [(50, -30, 1), (50, 0, 1), (50, 40, 1)]
    )
    assert crossed(through).height == 1
    bent = frame_of([(0, 0, 1), (50, 0, 1), (100, 0, 1)], [(50, 40, 1), (50, 0, 1), (70, 40, 1)])
    assert crossed(bent).height in (0, 2)  # it turns back on the line: touched, not crossed


def test_parallel_and_coincident_lines_never_cross():
    same = [(0, 0, 1), (50, 0, 1), (100, 0, 1)]
    assert crossed(frame_of(same, same, [(x, 1, h) for x, _, h in same])).height == 0


def test_a_gap_is_not_crossed_and_a_standstill_is_no_corner():
    lines = [(0, 0, 1), (1500, 0, 1)], [(700, -300, 1), (700, 300, 1)]
    assert crossed(frame_of(*lines)).height == 0
    assert crossed(frame_of(*lines), max_gap=1500.0).height == 1
    standing = frame_of([(0, 0, 1), (50, 40, 1), (50, 40, 2), (100, 0, 1)])
    assert crossed(standing).height == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), snap=st.sampled_from([0.5, 50.0]))
def test_finds_what_brute_force_finds(seed, snap):
    rng = np.random.default_rng(seed)
    n = 120
    line = np.repeat(np.arange(6), n // 6)
    east = np.round(np.cumsum(rng.normal(0, 150, n)) / snap) * snap
    north = np.round(np.cumsum(rng.normal(0, 150, n)) / snap) * snap
    ids = np.arange(n, dtype=np.uint64)
    start, end = track_segments(east, north, line, np.arange(n, dtype=np.uint32), 1000.0)
    found = crossings(east, north, line, ids, start, end)

    # Where points fall on lines, the line with the larger number is moved by next to nothing.
    small = 1e-5 * snap
    later = line[:, None] > line[None, :]
    later |= (line[:, None] == line[None, :]) & (ids[:, None] > ids[None, :])

    def crosses(p, q, u, v):
        move = small if later[u, p] else -small
        x, y = east[[u, v]] + move, north[[u, v]] + move * 1e-4
        dx, dy = east[q] - east[p], north[q] - north[p]
        side_1 = dx * (y - north[p]) - dy * (x - east[p])
        side_2 = (x[1] - x[0]) * (north[[p, q]] - y[0]) - (y[1] - y[0]) * (east[[p, q]] - x[0])
        return side_1[0] * side_1[1] < 0 and side_2[0] * side_2[1] < 0

    expected = set()
    for s in range(start.size):
        for t in range(s + 1, start.size):
            p, q, u, v = start[s], end[s], start[t], end[t]
            if len({p, q, u, v}) == 4 and crosses(p, q, u, v):
                expected.add((int(p), int(u)))
    got = set(zip(start[found.a].tolist(), start[found.b].tolist(), strict=True))
    assert got == expected
    assert len(got) == found.a.size
    along_a = east[start[found.a]] + found.fraction_a * (east[end[found.a]] - east[start[found.a]])
    along_b = east[start[found.b]] + found.fraction_b * (east[end[found.b]] - east[start[found.b]])
    np.testing.assert_allclose(along_a, along_b, atol=1e-6)


def test_lines_that_share_a_corner_cross_there_if_they_pass_through_each_other():
    rng = np.random.default_rng(5)
    for _ in range(50):
        a, b = rng.integers(-9, 9, (2, 2)), rng.integers(-9, 9, (2, 2))
        directions = np.degrees(np.arctan2(*np.concatenate([a, b]).T[::-1])) % 360
        if len(set(np.round(directions % 180, 9))) < 4:
            continue
        ring = np.argsort(directions)
        alternating = (ring[0] < 2) == (ring[2] < 2)
        lines = [[(*a[0], 1), (0, 0, 1), (*a[1], 1)], [(*b[0], 1), (0, 0, 1), (*b[1], 1)]]
        assert crossed(frame_of(*lines)).height % 2 == int(alternating), lines


KEY = ["kind", "point_id_a", "point_id_b"]
POINTS = ["point_id_a", "point_id_b", "end_id_a", "end_id_b"]


@pytest.mark.parametrize("size", [1000.0, 1700.0])
def test_any_tiling_gives_the_same_crossovers(size):
    frame = with_long_segments(flight_lines(lines=40, corner=(-2000.0, -2000.0)))
    whole = pl.concat(
        crossover_tables(frame, TileBox(x, y, 1e7)).owned for x in (-1, 0) for y in (-1, 0)
    ).sort(KEY)
    parts, beyond = [], 0
    for ix in range(-4, 5):
        for iy in range(-4, 5):
            box = TileBox(ix, iy, size)
            east, north = frame["east"].to_numpy(), frame["north"].to_numpy()
            near = pl.Series(box.distance(east, north) <= 3000.0)
            found = crossover_tables(frame.filter(near), box)
            parts.append(found.owned)
            core = frame.filter(pl.Series(box.owns(east, north)))["point_id"].implode()
            ours = pl.any_horizontal(pl.col(name).is_in(core) for name in POINTS)
            others = whole.filter(ours).join(found.owned, on=KEY, how="anti")
            assert_frame_equal(found.beyond.sort(KEY), others.sort(KEY))
            beyond += others.height
    assert_frame_equal(pl.concat(parts).sort(KEY), whole)
    assert whole["kind"].value_counts().height == 2
    assert whole.height > 500
    assert beyond > 100
    assert (whole["point_id_a"] < whole["point_id_b"]).all()
    assert whole.select(KEY).is_duplicated().sum() == 0


def test_lines_are_joined_in_the_order_along_the_track_whatever_that_of_the_table():
    frame = flight_lines(lines=3, points=40)
    line = line_of(frame["survey_no"].to_numpy(), frame["track_id"].to_numpy())
    seq = frame["track_seq"].to_numpy()
    east, north = frame["east"].to_numpy(), frame["north"].to_numpy()
    start, end = track_segments(east, north, line, seq, 1000.0)
    assert start.size == 3 * 39
    assert (seq[start] < seq[end]).all()
    assert (line[start] == line[end]).all()


def test_a_chained_line_is_crossed_along_its_chain():
    cross = frame_of([(0, 50, 100), (100, 50, 200), (200, 50, 300)], [(25, 0, 300), (25, 80, 380)])
    shuffled = cross.with_columns(pl.Series("track_seq", [1, 0, 2, 3, 4], pl.UInt32))
    assert crossed(cross)["fraction_a"].to_list() == [0.25]
    # 100 to 0 and 0 to 200: the chain passes the place twice.
    assert sorted(crossed(shuffled)["fraction_a"].to_list()) == [0.125, 0.75]


def test_written_tables_and_their_statistics(tmp_path):
    frame = flight_lines(corner=(100.0, 100.0))
    outside = TileBox(0, 0, 3000.0)
    inside = pl.Series(outside.owns(frame["east"].to_numpy(), frame["north"].to_numpy()))
    frame.filter(inside).write_parquet(tmp_path / "points.parquet")
    frame.filter(~inside).write_parquet(tmp_path / "halo.parquet")
    paths = [tmp_path / f"{name}.parquet" for name in ("points", "halo", "own", "beyond")]
    write_crossovers(*paths, tile="x0_y0", tile_size=3000.0, reach=5000.0)
    table = pl.read_parquet(paths[2])
    whole = crossover_tables(frame, outside)
    assert_frame_equal(table, whole.owned, check_row_order=False)
    assert_frame_equal(pl.read_parquet(paths[3]), whole.beyond, check_row_order=False)
    assert table["dt_s"].null_count() == 0
    own = table.filter(pl.col("kind") == "crossing", survey_no_a=1, survey_no_b=2)
    row = survey_pair_misties([paths[2]]).row(
        by_predicate=(pl.col("kind") == "crossing")
        & (pl.col("survey_no_a") == 1)
        & (pl.col("survey_no_b") == 2),
        named=True,
    )
    mistie = own["mistie"].to_numpy()
    assert row["n"] == mistie.size > 10
    assert row["median"] == pytest.approx(np.median(mistie))
    assert row["rms"] == pytest.approx(np.sqrt((mistie**2).mean()))
    assert row["p95"] == pytest.approx(np.quantile(np.abs(mistie), 0.95))
    external = survey_misties([paths[2]]).filter(~pl.col("internal"))
    crossings_outside = table.filter(~pl.col("internal")).height
    assert external["n"].sum() == 2 * crossings_outside
    with pytest.raises(BedsieveError, match="3000 m"):
        write_crossovers(*paths, tile="x0_y0", tile_size=3000.0, reach=2900.0)
