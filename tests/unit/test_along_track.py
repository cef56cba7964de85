"""along_track against numpy's percentiles, on lines of every length, in any order in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.detectors.along_track import along_track, score_survey
from bedsieve.errors import BedsieveError


def by_hand(h: np.ndarray, line: np.ndarray, floor: float = 100.0) -> dict[str, np.ndarray]:
    """The definition, point by point."""
    result = {name: np.full(h.size, np.nan) for name in ("score", "residual", "scale")}
    for name in np.unique(line):
        rows = np.flatnonzero(line == name)
        for i, row in enumerate(rows):
            first = max(min(i - 4, rows.size - 9), 0)
            window = [r for r in rows[first : first + 9] if r != row]
            if len(window) < 4:
                continue
            low, middle, high = np.percentile(h[window], [25, 50, 75])
            result["residual"][row] = h[row] - middle
            result["scale"][row] = max(high - low, floor)
            result["score"][row] = np.tanh(abs(h[row] - middle) / max(high - low, floor))
    return result


def check(h: np.ndarray, line: np.ndarray, floor: float = 100.0) -> None:
    found, expected = along_track(h, line, floor), by_hand(h, line, floor)
    for name in ("score", "residual", "scale"):
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-6, atol=1e-6)
    np.testing.assert_array_equal(found["code"], np.isnan(expected["score"]))


@pytest.mark.parametrize("length", range(1, 22))
def test_lines_of_every_length(length: int) -> None:
    rng = np.random.default_rng(length)
    check(rng.normal(1500, 300, length), np.full(length, 7 << 32))


def test_many_lines_over_several_blocks() -> None:
    rng = np.random.default_rng(0)
    line = np.repeat(np.arange(900), rng.integers(1, 60, 900))
    check(np.round(rng.normal(1500, 120, line.size)), line, floor=20.0)


def test_lines_that_interleave_in_the_file() -> None:
    rng = np.random.default_rng(1)
    check(rng.normal(800, 400, 500), rng.integers(0, 12, 500))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.one_of(st.integers(0, 3), st.floats(1, 4500)), st.integers(0, 3)),
        max_size=60,
    ),
    st.sampled_from([1.0, 100.0]),
)
def test_any_thickness(points: list[tuple[float, int]], floor: float) -> None:
    h = np.array([p[0] for p in points], float)
    check(h, np.array([p[1] for p in points], np.int64), floor)


def test_hand_worked_spike() -> None:
    h = np.array([0.0, 10, 20, 30, 500, 50, 60, 70, 80])
    found = along_track(h, np.zeros(9, np.int64), floor=10.0)
    # Neighbours 0 … 80 without 40: quartiles 17.5 and 62.5, median 40.
    assert found["residual"][4] == 460.0
    assert found["scale"][4] == 45.0
    assert found["score"][4] == 1.0


def test_floor_keeps_quiet_lines_quiet() -> None:
    found = along_track(np.array([1000.0] * 5 + [1050.0] + [1000.0] * 5), np.zeros(11, np.int64))
    assert found["scale"].tolist() == [100.0] * 11
    assert found["score"][5] == pytest.approx(np.tanh(0.5))


def test_score_is_symmetric_and_moves_with_nothing_but_the_residual() -> None:
    rng = np.random.default_rng(2)
    h, line = rng.normal(2000, 200, 300), np.repeat(np.arange(3), 100)
    score = along_track(h, line)["score"]
    np.testing.assert_allclose(along_track(5000 - h, line)["score"], score, atol=1e-6)
    backwards = along_track(h[::-1], line[::-1])["score"][::-1]
    np.testing.assert_allclose(backwards, score, atol=1e-6)


@pytest.mark.parametrize("floor", [0.0, -5.0, np.nan])
def test_floor_that_cannot_be(floor: float) -> None:
    with pytest.raises(BedsieveError, match="floor"):
        along_track(np.ones(9), np.zeros(9, np.int64), floor)


def test_no_points() -> None:
    assert along_track(np.zeros(0), np.zeros(0, np.int64))["score"].size == 0


@pytest.mark.parametrize("chained", [False, True])
def test_score_table_keeps_the_rows_of_the_survey(tmp_path: Path, chained: bool) -> None:
    rng = np.random.default_rng(3)
    track = rng.permutation(np.repeat([0, 1, 2], [40, 30, 3])).astype(np.int32)
    seq = rng.permutation(73) if chained else np.arange(73)
    points = pl.DataFrame(
        {
            "point_id": np.arange(73, dtype=np.uint64) + np.uint64(5 << 32),
            "track_id": track,
            "track_seq": seq.astype(np.uint32),
            "ice_thickness": rng.normal(1000, 200, 73),
        }
    )
    points.write_parquet(tmp_path / "s.parquet")
    score_survey(tmp_path / "s.parquet", tmp_path / "along_track.parquet", floor=50.0)
    table = pl.read_parquet(tmp_path / "along_track.parquet")
    assert dict(table.schema) == {
        "point_id": pl.UInt64,
        "score": pl.Float32,
        "code": pl.String,
        "residual": pl.Float32,
        "scale": pl.Float32,
    }
    assert table["point_id"].equals(points["point_id"])
    flown = np.argsort(seq)
    expected = by_hand(points["ice_thickness"].to_numpy()[flown], track[flown], 50.0)
    score = table["score"].to_numpy()[flown]
    np.testing.assert_allclose(score, expected["score"], rtol=2e-6, atol=1e-6)
    short = pl.Series(track == 2)
    assert table.filter(short)["code"].to_list() == ["short_track"] * 3
    assert table.filter(~short)["code"].null_count() == 70
    assert table["score"].is_nan().equals(short)
