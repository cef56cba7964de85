"""The segments detector: nodes, kriging from other lines, steps, the chain, runs and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.detectors.segments_chain import (
    BIASED,
    HONEST,
    LEVELS,
    STATES,
    K,
    _advance,
    _step_density,
    posterior,
)
from bedsieve.detectors.segments_kriging import expected_from_other_lines
from bedsieve.detectors.segments_network import cross_track_table
from bedsieve.detectors.segments_nodes import (
    CELL,
    make_buckets,
    make_nodes,
    nearest_of_other_lines,
)
from bedsieve.detectors.segments_runs import CAUSES
from bedsieve.detectors.segments_score import (
    resolution,
    survey_segments,
)
from bedsieve.detectors.segments_steps import displaced_runs, track_steps
from bedsieve.detectors.segments_tile import score_tile_segments, window_segments
from bedsieve.errors import BedsieveError
from bedsieve.tile_names import SEGMENT_MARGIN

NO_MISTIES = pl.DataFrame(schema={"point_id": pl.UInt64, "mistie_m": pl.Float64})


def _ground(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 1500 + 120 * np.sin(x / 2100) * np.cos(y / 2600) + 0.01 * x


def _grid(seed: int = 0, side: float = 9000.0) -> pl.DataFrame:
    """Two surveys: lines 600 m apart to the east (survey 1) and to the north (survey 2)."""
    rng = np.random.default_rng(seed)
    along = np.arange(0, side, 30.0)
    parts = []
    for survey in (1, 2):
        for track, across in enumerate(np.arange(100.0, side, 600.0)):
            here = np.full(len(along), across)
            x, y = (along, here) if survey == 1 else (here, along)
            parts.append(
                pl.DataFrame(
                    {
                        "survey_no": np.full(len(x), survey, np.uint32),
                        "track_id": np.full(len(x), track, np.int32),
                        "row": track * len(x) + np.arange(len(x), dtype=np.uint32),
                        "east": x,
                        "north": y,
                        "ice_thickness": _ground(x, y) + rng.normal(0, 3, len(x)),
                    }
                )
            )
    frame = pl.concat(parts)
    survey_no, row = frame["survey_no"].cast(pl.UInt64), frame["row"].cast(pl.UInt64)
    surface = pl.Series(
        "surface_alt", 900 + 0.01 * frame["east"].to_numpy() + rng.normal(0, 0.4, frame.height)
    )
    return frame.with_columns(
        (survey_no * 2**32 + row).alias("point_id"),
        surface,
        (surface - pl.col("ice_thickness")).alias("bed_elev"),
        pl.lit(False).alias("bed_reconstructed"),
        pl.col("row").cast(pl.UInt32),
        pl.col("row").cast(pl.UInt32).alias("track_seq"),
    )


def _with_error(
    frame: pl.DataFrame, survey: int, track: int, a: int, b: int, value: pl.Expr
) -> pl.DataFrame:
    """Points a … b - 1 of a track get another thickness."""
    per = 300
    rows = pl.col("row").is_between(track * per + a, track * per + b - 1)
    chosen = (pl.col("survey_no") == survey) & rows
    return frame.with_columns(
        pl.when(chosen).then(value).otherwise("ice_thickness").alias("ice_thickness")
    )


def _score(frame: pl.DataFrame, survey: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
    evidence = cross_track_table(frame, frame.clear())
    return survey_segments(frame.filter(pl.col("survey_no") == survey), evidence, NO_MISTIES)


def test_nodes_are_medians_of_a_line_in_a_cell_whatever_the_order() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-500, 500, 400), rng.uniform(-500, 500, 400)
    h, line = rng.normal(1000, 50, 400), rng.integers(0, 3, 400)
    nodes = make_nodes(x, y, h, line)
    for i in range(0, 400, 7):
        same = (line == line[i]) & (x // 200 == x[i] // 200) & (y // 200 == y[i] // 200)
        node = nodes.of_point[i]
        assert nodes.thickness[node] == pytest.approx(np.median(h[same]))
        assert nodes.east[node] == pytest.approx(x[same].mean())
        assert nodes.line[node] == line[i]
    shuffled = rng.permutation(400)
    again = make_nodes(x[shuffled], y[shuffled], h[shuffled], line[shuffled])
    assert np.array_equal(again.thickness, nodes.thickness)
    assert np.array_equal(again.of_point, nodes.of_point[shuffled])


def test_neighbours_are_the_nearest_of_other_lines_few_of_each() -> None:
    rng = np.random.default_rng(2)
    n, reach, most, per_line = 300, 2500.0, 10, 2
    x, y = rng.uniform(0, 6000, n), rng.uniform(0, 6000, n)
    line = rng.integers(0, 9, n)
    nodes = make_nodes(x, y, np.full(n, 1000.0), line, cell=0.01)
    buckets = make_buckets(nodes)
    out, distance = np.empty(most, np.int64), np.empty(most)
    for at in range(0, n, 11):
        found = nearest_of_other_lines(
            at, nodes.east, nodes.north, nodes.line, buckets, reach, most, per_line, out, distance
        )
        d = np.hypot(nodes.east - nodes.east[at], nodes.north - nodes.north[at])
        expected, taken = [], dict.fromkeys(range(9), 0)
        for node in np.argsort(d):
            one = int(nodes.line[node])
            if one != nodes.line[at] and d[node] <= reach and taken[one] < per_line:
                expected.append(int(node))
                taken[one] += 1
        assert out[:found].tolist() == expected[:most]


def test_other_lines_predict_the_ground_and_a_biased_line_does_not_mislead_them() -> None:
    frame = _grid()
    biased = _with_error(frame, 1, 7, 0, 300, pl.col("ice_thickness") + 150)
    table = biased.join(cross_track_table(biased, biased.clear()), on="point_id")
    truth = _ground(table["east"].to_numpy(), table["north"].to_numpy())
    miss = np.abs(table["expected_m"].to_numpy() - truth)
    assert np.quantile(miss, 0.99) < 20
    own = ((table["survey_no"] == 1) & (table["track_id"] == 7)).to_numpy()
    assert np.median(miss[own]) < 6
    assert (miss / table["sigma_m"].to_numpy() < 3).mean() > 0.99


def test_kriging_of_two_lines_is_the_textbook_formula() -> None:
    x, y = np.array([0.0, 1000.0, 0.0]), np.array([0.0, 0.0, 700.0])
    h = np.array([1000.0, 1040.0, 980.0])
    nodes = make_nodes(x, y, h, np.array([0, 1, 2]))
    expected, sigma, lines = expected_from_other_lines(x, y, nodes)
    assert lines.tolist() == [2, 2, 2]
    # At point 0, from nodes 1 and 2: the pair's relief is measured and blended with the prior.
    d12, d01, d02 = np.hypot(1000, 700), 1000.0, 700.0

    def rho(d: float) -> float:
        return float((1 + np.sqrt(3) * d / 2000) * np.exp(-np.sqrt(3) * d / 2000))

    noise, offset = 25.0, 64.0
    measured = (60.0**2 - 2 * (noise + offset)) / (2 * (1 - rho(d12))) / 0.455
    relief2 = (measured + 10 * 120.0**2) / 11
    a = np.ones((3, 3))
    a[2, 2] = 0
    a[:2, :2] = relief2 * np.array([[1, rho(d12)], [rho(d12), 1]]) + (noise + offset) * np.eye(2)
    right = np.array([relief2 * rho(d01), relief2 * rho(d02), 1])
    weights = np.linalg.solve(a, right)
    assert expected[0] == pytest.approx(weights[:2] @ [1040, 980])
    assert sigma[0] ** 2 == pytest.approx(relief2 - weights @ right + noise + offset)


def test_alone_there_is_nothing_to_expect() -> None:
    frame = _grid().filter((pl.col("survey_no") == 1) & (pl.col("track_id") == 3))
    table = cross_track_table(frame, frame.clear())
    assert table["expected_m"].null_count() == frame.height
    scores, runs = survey_segments(frame, table, NO_MISTIES)
    assert runs.height == 0
    assert scores["score"].max() < 0.5


def test_steps_are_what_goes_beyond_the_slope() -> None:
    x = np.arange(0, 6000.0, 30)
    h = 1000 + 0.2 * x + np.where(x >= 3000, 80.0, 0.0)
    step, scale, gap = track_steps(h, x, 0 * x, np.array([0, len(x)]))
    assert np.flatnonzero(np.abs(step) > 1).tolist() == [99]
    assert step[99] == pytest.approx(80)
    assert np.isnan(step[-1])
    assert np.allclose(gap[:-1], 30)
    assert np.all(scale[:-1] == 3.0)


def test_displaced_runs_come_back_and_turns_between_lines_do_not() -> None:
    x, y = np.arange(0, 6000.0, 30), np.zeros(200)
    y[80:120] += 1500
    x[80:120] -= 400
    first = np.array([0, 200])
    gap = np.append(np.hypot(np.diff(x), np.diff(y)), np.nan)
    assert np.flatnonzero(displaced_runs(x, y, gap, first)).tolist() == list(range(80, 120))
    # Three parallel lines flown to and fro, as one track.
    way = np.arange(0, 1500.0, 30)
    x = np.concatenate([way, way[::-1], way])
    y = np.repeat([0.0, 500.0, 1000.0], 50)
    gap = np.append(np.hypot(np.diff(x), np.diff(y)), np.nan)
    assert not displaced_runs(x, y, gap, np.array([0, 150])).any()


@settings(max_examples=15, deadline=None)
@given(
    step=st.floats(-900, 900), scale=st.floats(3, 200), equal=st.booleans(), p=st.floats(1e-4, 0.5)
)
def test_backward_is_the_transpose_of_forward(
    step: float, scale: float, equal: bool, p: float
) -> None:
    forward, backward = np.zeros((STATES, STATES)), np.zeros((STATES, STATES))
    into = np.empty(K)
    into[:] = [_step_density(step, level, scale) for level in LEVELS]
    for s in range(STATES):
        unit = np.zeros(STATES)
        unit[s] = 1.0
        _advance(unit, forward[s], step, scale, equal, p, into, False)
        _advance(unit, backward[s], step, scale, equal, p, into, True)
    np.testing.assert_allclose(forward, backward.T, rtol=1e-12, atol=0)
    assert (forward >= 0).all()


def test_a_step_leads_from_honest_to_its_own_size() -> None:
    into, honest, after = np.empty(K), np.zeros(STATES), np.empty(STATES)
    honest[HONEST] = 1.0
    into[:] = [_step_density(150.0, level, 5.0) for level in LEVELS]
    _advance(honest, after, 150.0, 5.0, False, 0.01, into, False)
    likeliest = LEVELS[np.argmax(after[BIASED : BIASED + K])]
    assert likeliest == pytest.approx(150, rel=0.12)


def _chain(residual: np.ndarray, thickness: np.ndarray, lines: int, chunk: int) -> np.ndarray:
    n = len(residual)
    x = 30.0 * np.arange(n)
    first = np.array([0, n])
    step, scale, gap = track_steps(thickness, x, 0 * x, first)
    log_odds, _, _ = posterior(
        residual, np.full(n, 12.0), np.full(n, lines), step, scale, gap,
        np.zeros(n, bool), np.full(n, 0.01), first, chunk,
    )  # fmt: skip
    return np.asarray(log_odds)


def test_the_blame_lies_where_the_thickness_itself_steps() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 3, 400)
    shift = np.where((np.arange(400) >= 150) & (np.arange(400) < 250), 120.0, 0.0)
    bad = _chain(noise + shift, 1500 + noise + shift, 2, 20_000)
    assert (bad[150:250] > 10).all()
    assert (bad[:148] < 0).all()
    assert (bad[252:] < 0).all()
    # The same mis-ties, but this line runs smoothly through them: the other line is wrong.
    assert (_chain(noise + shift, 1500 + noise, 2, 20_000) < 0).all()
    # Without other lines the two steps still tell.
    assert (_chain(np.full(400, np.nan), 1500 + noise + shift, 0, 20_000)[150:250] > 3).all()


def test_a_line_biased_as_a_whole_needs_several_other_lines() -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 3, 400)
    many = _chain(noise + 110, 1500 + noise, 8, 20_000)
    assert (many > 5).all()
    assert (many > _chain(noise + 110, 1500 + noise, 1, 20_000)).all()
    assert (_chain(noise + 15, 1500 + noise, 8, 20_000) < 0).all()


def test_chunks_bound_memory_and_change_nothing() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 4, 500)
    shift = np.where((np.arange(500) // 60) % 3 == 1, 90.0, 0.0)
    whole = _chain(noise + shift, 1500 + noise + shift, 5, 20_000)
    for chunk in (1, 37, 250):
        assert np.array_equal(_chain(noise + shift, 1500 + noise + shift, 5, chunk), whole)


def test_a_biased_sector_is_found_with_its_ends_offset_and_name() -> None:
    frame = _with_error(_grid(), 1, 5, 100, 180, pl.col("ice_thickness") + 110)
    scores, runs = _score(frame)
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
    _, runs = _score(_with_error(_grid(), 1, 6, a, b, value))
    assert cause in CAUSES
    assert runs["cause"].to_list() == [cause]


def test_columns_in_each_others_place_are_named() -> None:
    frame = _grid()
    there = (pl.col("survey_no") == 1) & pl.col("row").is_between(1830, 1860)
    swapped = frame.with_columns(
        pl.when(there).then("surface_alt").otherwise("ice_thickness").alias("ice_thickness"),
        pl.when(there).then("ice_thickness").otherwise("surface_alt").alias("surface_alt"),
    )
    _, runs = _score(swapped)
    assert runs["cause"].to_list() == ["swapped columns"]


def test_good_lines_are_left_alone_and_short_ones_say_so() -> None:
    frame = _grid(7)
    frame = frame.filter(
        (pl.col("survey_no") != 1) | (pl.col("track_id") != 4) | (pl.col("row") % 300 < 2)
    )
    scores, runs = _score(frame)
    assert runs.height == 0
    short = scores.filter(pl.col("code") == "short_track")
    assert short.height == 2
    assert short["score"].is_nan().all()
    assert scores.filter(pl.col("code").is_null())["score"].max() < 0.5


def test_scores_keep_the_order_of_the_survey() -> None:
    frame = _with_error(_grid(), 1, 5, 100, 180, pl.col("ice_thickness") + 110)
    evidence = cross_track_table(frame, frame.clear())
    survey = frame.filter(pl.col("survey_no") == 1)
    mixed = survey.sample(fraction=1.0, shuffle=True, seed=1)
    plain, _ = survey_segments(survey, evidence, NO_MISTIES)
    scores, _ = survey_segments(mixed, evidence, NO_MISTIES)
    assert scores["point_id"].equals(mixed["point_id"])
    assert scores.sort("point_id").equals(plain.sort("point_id"))


def test_a_tile_sees_what_the_whole_sees() -> None:
    frame = _with_error(_grid(side=12_000.0), 1, 5, 100, 180, pl.col("ice_thickness") + 110)
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
    frame = _with_error(_grid(), 1, 5, 100, 180, pl.col("ice_thickness") + 110)
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
    paths = _files(tmp_path, _grid(), pl.lit(True))
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
    frame = _with_error(_grid(), 1, 5, 100, 180, pl.col("ice_thickness") + 110)
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


def test_resolution_is_read_off_the_values() -> None:
    rng = np.random.default_rng(8)
    h = rng.uniform(500, 3000, 500)
    assert resolution(np.round(h)) == 1.0
    assert resolution(np.round(h, 1)) == 0.1
    assert resolution(h) == 0.01


@pytest.mark.parametrize("thickness", [2.5e4, 2.3e5, 1e6, 1e30, 1e300])
def test_no_thickness_is_too_absurd_to_be_judged(thickness: float) -> None:
    rng = np.random.default_rng(6)
    noise = rng.normal(0, 3, 60)
    spike = np.where(np.arange(60) == 30, thickness, 0.0)
    bad = _chain(noise + spike, 1500 + noise + spike, 2, 20_000)
    assert np.isfinite(bad).all()
    assert bad[30] > 10
    assert (np.delete(bad, 30) < 0).all()


def test_margin_is_three_cells() -> None:
    # The plan reads it while the workflow is parsed, where what knows the cell would take seconds to import.
    assert SEGMENT_MARGIN == 3 * CELL
