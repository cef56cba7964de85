"""Copies: the rule against hand-worked cases and brute force, and the search for them."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.ingest.copies import settle_copies
from bedsieve.ingest.duplicates import (
    CONFLICT,
    MERGED,
    UNIQUE,
    Suspects,
    merge_duplicates,
    merge_positions,
)
from bedsieve.ingest.ledger import CODES, NO_ROW, NONPOSITIVE
from bedsieve.ingest.parsing import SCRATCH_COLUMNS
from bedsieve.ingest.scratch import Scratch


def test_copies_that_agree_become_their_mean() -> None:
    # Relative std of (95, 105) is 7.07 %, of (90, 110) it is 14.1 %.
    x = [1.0, 2.0, 1.0, 3.0, 2.0, 4.0]
    found = merge_duplicates((x, np.zeros(6)), [95, 90, 105, 7, 110, 8], np.arange(6))
    assert found.kept.tolist() == [True, False, False, True, False, True]
    assert found.ice_thickness[found.kept].tolist() == [100, 7, 8]
    assert found.kept_row.tolist() == [0, -1, 0, 3, -1, 5]
    assert found.code.tolist() == [UNIQUE, CONFLICT, MERGED, UNIQUE, CONFLICT, UNIQUE]


def test_the_limit_itself_agrees() -> None:
    # Mean 100, std √(2·50) = 10: exactly a tenth.
    value = [100 - 50**0.5, 100 + 50**0.5]
    assert merge_duplicates(([1, 1],), value, [0, 1], max_relative_std=0.1000001).kept.any()
    assert not merge_duplicates(([1, 1],), value, [0, 1], max_relative_std=0.0999999).kept.any()
    assert merge_duplicates(([1, 1, 1],), [5, 5, 5], [0, 1, 2], max_relative_std=0).kept.sum() == 1


def test_order_says_which_copy_is_the_first() -> None:
    found = merge_duplicates(([1, 1, 1],), [10, 10.3, 10.6], [30, 10, 20])
    assert found.kept.tolist() == [False, True, False]
    assert found.kept_row.tolist() == [1, 1, 1]
    assert found.ice_thickness[1] == pytest.approx(10.3)


def test_zeros_of_either_sign_are_one_position() -> None:
    assert merge_duplicates(([0.0, -0.0],), [5, 5], [0, 1]).kept.tolist() == [True, False]


def test_nothing() -> None:
    assert len(merge_duplicates(([], []), [], []).kept) == 0


ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from([100.0, 104.0, 110.0, 150.0])),
    max_size=25,
)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_against_brute_force(rows: list[tuple[int, int, float]], random: object) -> None:
    random.shuffle(order := list(range(len(rows))))  # type: ignore[attr-defined]
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []]
    found = merge_duplicates((columns[0], columns[1]), columns[2], order)
    for i, (x, y, thickness) in enumerate(rows):
        group = [j for j, other in enumerate(rows) if other[:2] == (x, y)]
        values = [rows[j][2] for j in group]
        mean = statistics.fmean(values)
        first = min(group, key=lambda j: order[j])
        agree = len(group) == 1 or statistics.stdev(values) <= 0.1 * mean
        assert found.kept[i] == (agree and first == i)
        assert found.kept_row[i] == (first if agree else -1)
        expected = mean if found.kept[i] else thickness
        assert found.ice_thickness[i] == pytest.approx(expected, rel=1e-14)


def test_second_step_takes_the_means_of_the_first() -> None:
    # Rows 0 and 1 share lon and lat (mean 102); 2 has the same place under another lon (104).
    lon, lat = np.array([10.0, 10.0, 370.0]), np.full(3, -70.0)
    place = np.full(3, 5.0), np.full(3, 6.0)
    found = merge_positions((lon, lat), place, np.array([100.0, 104.0, 104.0]), np.arange(3))
    assert found.kept.tolist() == [True, False, False]
    assert found.ice_thickness[0] == 103.0
    assert found.kept_row.tolist() == [0, 0, 0]
    assert found.code.tolist() == [UNIQUE, MERGED, MERGED]


def test_second_step_may_drop_what_the_first_merged() -> None:
    lon, lat = np.array([10.0, 10.0, 370.0]), np.full(3, -70.0)
    place = np.full(3, 5.0), np.full(3, 6.0)
    found = merge_positions((lon, lat), place, np.array([100.0, 104.0, 300.0]), np.arange(3))
    assert not found.kept.any()
    assert found.code.tolist() == [CONFLICT] * 3


def test_every_copy_is_suspected_and_few_others() -> None:
    rng = np.random.default_rng(0)
    east, north = rng.uniform(-3e6, 3e6, (2, 100_000))
    east[99_000:], north[99_000:] = east[:1000], north[:1000]
    valid = np.ones(100_000, bool)
    valid[50_000:60_000] = False
    suspects = Suspects(100_000)
    for part in np.array_split(np.arange(100_000), 7):
        suspects.add(east[part], north[part], valid[part])
    found = suspects.among(east, north, valid)
    assert found[:1000].all()
    assert found[99_000:].all()
    assert not found[~valid].any()
    assert found[1000:99_000].mean() < 0.1


@pytest.mark.parametrize("at_once", [10**6, 300, 40])
def test_survey_in_shares_is_the_survey_at_once(tmp_path: Path, at_once: int) -> None:
    rng = np.random.default_rng(3)
    n = 2_000
    lon, lat = rng.integers(0, 25, n) / 10, -70 - rng.integers(0, 25, n) / 10
    thickness = 1000 * rng.choice([1.0, 1.05, 1.4], n, p=[0.7, 0.25, 0.05])
    code = np.where(rng.random(n) < 0.1, NONPOSITIVE, 0)
    place = np.round(lon * 5) * 100.0, lat * 1000.0
    columns = dict.fromkeys(SCRATCH_COLUMNS, np.zeros(n)) | {
        "code": code,
        "lon": lon,
        "lat": lat,
        "east": place[0],
        "north": place[1],
        "ice_thickness": thickness,
    }
    suspects = Suspects(n)
    suspects.add(*place, code == 0)
    good = np.flatnonzero(code == 0)
    expected = merge_positions(
        (lon[good], lat[good]), (place[0][good], place[1][good]), thickness[good], good
    )
    with Scratch(tmp_path / "scratch", SCRATCH_COLUMNS) as scratch:
        scratch.append(columns)
        settle_copies(scratch, suspects, 0.1, at_once)
        names = np.array(CODES)[scratch.read("code")]
        kept = names == "kept"
        assert kept[good].tolist() == expected.kept.tolist()
        assert (names[good] == "duplicate_merged").tolist() == (expected.code == MERGED).tolist()
        assert (names[code != 0] == "nonpositive_thickness").all()
        np.testing.assert_array_equal(
            scratch.read("ice_thickness")[kept], expected.ice_thickness[expected.kept]
        )
        carrier = np.full(n, NO_ROW)
        merged = good[expected.code == MERGED]
        carrier[merged] = good[expected.kept_row[expected.code == MERGED]]
        assert scratch.read("kept_row").tolist() == carrier.tolist()
    assert not (tmp_path / "scratch").exists()
    assert {"duplicate_merged", "duplicate_conflict"} <= set(names)


def test_scratch_refuses_what_does_not_fit(tmp_path: Path) -> None:
    with Scratch(tmp_path / "s", {"a": "f8", "b": "u1"}) as scratch:
        with pytest.raises(ValueError, match="do not fit"):
            scratch.append({"a": np.zeros(2)})
        scratch.append({"a": np.arange(5.0), "b": np.ones(5)})
        with pytest.raises(ValueError, match="never written"):
            scratch.read("a", 3, 9)
        scratch.put("a", np.array([1, 4]), np.array([7.0, 8.0]))
        assert scratch.read("a").tolist() == [0, 7, 2, 3, 8]
