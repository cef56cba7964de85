"""The five track rules on hand-made lines, and in chunks against the whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedsieve.ingest.chain import chain_order
from bedsieve.ingest.tracks import Chunk, Reader, TrackLimits, Tracks, find_tracks
from bedsieve.ingest.turns import turn_angles, turn_breaks, turn_breaks_in_chunks

NAN = np.nan


def reader(chunk: int = 10**9, first_row: int = 0, **columns: object) -> Reader:
    """Columns in memory as `find_tracks` reads them; those not given are missing."""
    n = len(next(iter(columns.values())))  # type: ignore[arg-type]
    arrays = {name: np.full(n, NAN) for name in ("trace_number", "timestamp")}
    arrays |= {"east": np.zeros(n), "north": np.zeros(n), "trajectory_id": np.zeros(n, np.uint64)}
    arrays |= {name: np.asarray(values, arrays[name].dtype) for name, values in columns.items()}

    def read(names: tuple[str, ...]) -> Iterator[Chunk]:
        for start in range(0, n, chunk):
            part = slice(start, min(start + chunk, n))
            rows = np.arange(part.start, part.stop) + first_row
            yield rows, tuple(arrays[name][part] for name in names)

    return read


def split(**columns: object) -> tuple[str, list[int]]:
    tracks = find_tracks(reader(**columns))  # type: ignore[arg-type]
    return tracks.method, tracks.starts.tolist()


@pytest.mark.parametrize(
    ("trace", "starts"),
    [
        ([1, 2, 3, 2, 3], [3]),
        ([1, 501, 1001], None),
        ([1, 502, 503], [1]),
        ([5, 5, 5, 4], [3]),
        ([10, NAN, NAN, 9, 10], [3]),
        ([NAN, 7, NAN, 8], None),
        ([NAN, NAN, NAN], None),
    ],
)
def test_trace_number_falls_or_jumps(trace: list[float], starts: list[int] | None) -> None:
    assert split(trace_number=trace) == (("trace", starts) if starts else ("spatial", []))


def test_flight_name_changes() -> None:
    assert split(trajectory_id=[7] * 12 + [9] * 12) == ("flight", [12])
    assert split(trajectory_id=[0] * 6 + [7] * 12 + [0] * 3 + [9] * 9) == ("flight", [21])


@pytest.mark.parametrize(
    "ids",
    [
        [7] * 24,
        [7] * 10 + [9] * 9,  # 2 of 19 are more than a tenth
        [0] * 81 + [7] * 10 + [9] * 9,
        [0] * 8 + [7, 9],
    ],
)
def test_flight_names_not_to_be_believed(ids: list[int]) -> None:
    assert split(trajectory_id=ids) == ("spatial", [])


def test_flight_names_at_the_limits() -> None:
    assert split(trajectory_id=[7] * 10 + [9] * 10) == ("flight", [10])
    assert split(trajectory_id=[0] * 80 + [7] * 10 + [9] * 10) == ("flight", [90])


@pytest.mark.parametrize(
    ("time", "starts"),
    [([0, 10_000, 20_000], None), ([0, 10_001], [1]), ([5, 4], [1]), ([0, NAN, 10_001], [2])],
)
def test_time_falls_or_jumps(time: list[float], starts: list[int] | None) -> None:
    assert split(timestamp=time) == (("time", starts) if starts else ("spatial", []))


def test_steps() -> None:
    assert split(east=[0, 5_000, 10_001], north=[0, 0, 0]) == ("spatial", [2])
    assert split(east=[0, 3_000, 3_000], north=[0, 4_000, 9_100]) == ("spatial", [2])


def test_the_first_rule_with_a_break_decides() -> None:
    names = [1] * 12 + [2] * 12
    time = [0] * 6 + [99_999] * 18
    east = [0] * 3 + [9e9] * 21
    trace = [1] * 23 + [0]
    assert split(trace_number=trace, trajectory_id=names, timestamp=time, east=east) == (
        "trace",
        [23],
    )
    assert split(trajectory_id=names, timestamp=time, east=east) == ("flight", [12])
    assert split(trajectory_id=[1] * 24, timestamp=time, east=east) == ("time", [6])
    assert split(timestamp=[0] * 24, east=east) == ("spatial", [3])


def test_limits_are_arguments() -> None:
    read = reader(trace_number=[1, 11, 12])
    assert find_tracks(read, TrackLimits(trace_jump=9)).starts.tolist() == [1]


def test_ids_count_from_nought_over_rows_that_were_left_out() -> None:
    tracks = Tracks("trace", np.array([10, 30]))
    assert tracks.ids(np.array([3, 9, 10, 29, 30, 99])).tolist() == [0, 0, 1, 1, 2, 2]
    assert tracks.ids(np.array([3])).dtype == np.int32


def test_no_rows() -> None:
    empty = reader(trace_number=[])
    tracks = find_tracks(empty, split_on_angle=True)
    assert (tracks.method, len(tracks.starts)) == ("spatial", 0)


VALUE = st.sampled_from([NAN, 0.0, 1.0, 400.0, 600.0, 9_000.0, 12_000.0])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(VALUE, st.integers(0, 2), VALUE, st.integers(0, 3)), max_size=40),
    st.integers(1, 9),
    st.sets(st.integers(0, 2)),
)
def test_chunks_give_what_the_whole_gives(
    rows: list[tuple[float, int, float, int]], chunk: int, gone: set[int]
) -> None:
    trace, ids, time, east = (
        (list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 4
    )
    columns: dict[str, object] = {"trace_number": trace, "trajectory_id": ids, "timestamp": time}
    columns = {name: v for k, (name, v) in enumerate(columns.items()) if k not in gone}
    columns["east"] = np.array(east) * 3_000.0
    limits = TrackLimits(id_unique=0.5)
    whole = find_tracks(reader(**columns), limits, True)  # type: ignore[arg-type]
    parts = find_tracks(reader(chunk, **columns), limits, True)  # type: ignore[arg-type]
    assert (parts.method, parts.starts.tolist()) == (whole.method, whole.starts.tolist())


def polyline(*legs: tuple[float, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points 100 m apart along legs of (course in degrees, number of steps)."""
    course = np.concatenate([[0.0], *(np.full(n, np.radians(c)) for c, n in legs)])
    step = np.full(len(course), 100.0)
    step[0] = 0
    return np.cumsum(step * np.cos(course)), np.cumsum(step * np.sin(course))


def test_a_corner_splits_once_at_its_point() -> None:
    east, north = polyline((0, 20), (90, 20))
    track = np.zeros(len(east), np.int32)
    angle = turn_angles(east, north, track)
    assert angle[20] == pytest.approx(90)
    assert np.flatnonzero(turn_breaks(east, north, track)).tolist() == [20]
    assert not turn_breaks(east, north, track, turn=91).any()


def test_a_curve_is_not_shattered() -> None:
    # 100 m steps of 22.5° bend by 67.5° over the window at every point of the half circle.
    east, north = polyline((0, 15), *(((k + 1) * 22.5, 1) for k in range(8)), (180, 15))
    assert turn_breaks(east, north, np.zeros(len(east), np.int32)).sum() <= 2


def test_turns_stay_within_a_track() -> None:
    east, north = polyline((0, 20), (90, 20))
    track = (np.arange(len(east)) >= 21).astype(np.int32)
    assert not turn_breaks(east, north, track).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(1, 25), st.integers(0, 2**32 - 1))
def test_turns_in_chunks(n: int, chunk: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    east, north = np.cumsum(rng.normal(size=(2, n)), axis=1)
    track = np.sort(rng.integers(0, 3, n)).astype(np.int32)
    rows = np.arange(n) * 2
    parts = (
        (rows[i : i + chunk], east[i : i + chunk], north[i : i + chunk], track[i : i + chunk])
        for i in range(0, n, chunk)
    )
    expected = rows[turn_breaks(east, north, track)]
    assert turn_breaks_in_chunks(parts).tolist() == expected.tolist()


def test_angle_adds_to_the_rule_that_decided() -> None:
    east, north = polyline((0, 20), (90, 20))
    trace = np.concatenate([np.arange(30), np.arange(11)])
    tracks = find_tracks(reader(trace_number=trace, east=east, north=north), split_on_angle=True)
    assert (tracks.method, tracks.starts.tolist()) == ("trace", [20, 30])


def walk_by_hand(east: np.ndarray, north: np.ndarray, step: float) -> tuple[list[int], list[int]]:
    left, order, track, number = set(range(len(east))), [], [0] * len(east), 0
    here = 0
    while left:
        left.discard(here)
        order.append(here)
        track[here] = number
        if not left:
            break
        squares = [((east[k] - east[here]) ** 2 + (north[k] - north[here]) ** 2, k) for k in left]
        nearest, k = min(squares)
        if nearest <= step**2:
            here = k
        else:
            here, number = min(left), number + 1
    return order, track


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.sampled_from([2_000.0, 30_000.0, 1e6]))
def test_chain_against_brute_force(n: int, seed: int, width: float) -> None:
    rng = np.random.default_rng(seed)
    east, north = rng.uniform(0, width, (2, n)).round(-2)
    order, track, distance = chain_order(east, north)
    by_hand = walk_by_hand(east, north, 5_000)
    assert (order.tolist(), track.tolist()) == by_hand
    same = track[order[1:]] == track[order[:-1]]
    steps = np.hypot(np.diff(east[order]), np.diff(north[order]))
    np.testing.assert_allclose(np.diff(distance[order])[same], steps[same], atol=1e-6)
    assert (distance[order[1:]][~same] == 0).all()


def test_chain_puts_a_shuffled_line_in_order() -> None:
    shuffled = np.random.default_rng(1).permutation(400)
    shuffled = np.concatenate([[0], shuffled[shuffled != 0]])
    order, track, _ = chain_order(shuffled * 25.0, np.zeros(400))
    assert shuffled[order].tolist() == list(range(400))
    assert set(track) == {0}
    assert [len(part) for part in chain_order(np.empty(0), np.empty(0))] == [0, 0, 0]
