"""Tracks of one survey through ingest: cleaned rows, text ids and times, files out of order, turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bedsieve.ingest.output import POINTS_SCHEMA
from tests.unit.bedmap_files import line_of_points, points_at, row, survey_file, through_ingest


def test_tracks_are_decided_on_cleaned_rows(tmp_path: Path) -> None:
    # The only fall of the trace number is in a row without thickness.
    rows = line_of_points(6)
    traces = [row(lon=10, lat=-80, trace_number=3)]
    rows = [line.replace("-9999,-9999,", f"-9999,{i + 10},", 1) for i, line in enumerate(rows)]
    ledger = through_ingest(survey_file(tmp_path / "a.csv", rows[:3] + traces + rows[3:])).ledger
    assert (ledger["track_method"], ledger["tracks"]) == ("spatial", 1)
    rows[4] = rows[4].replace("-9999,14,", "-9999,2,", 1)
    points, _, ledger = through_ingest(survey_file(tmp_path / "a.csv", rows))
    assert (ledger["track_method"], ledger["tracks"]) == ("trace", 2)
    assert points["track_id"].to_list() == [0, 0, 0, 0, 1, 1]


def test_text_ids_and_times_make_tracks(tmp_path: Path) -> None:
    rows = line_of_points(12, trajectory_id="A-1") + [
        row(lon=11, lat=-71 - i / 1000, ice_thickness=9, trajectory_id="A-2") for i in range(12)
    ]
    ledger = through_ingest(survey_file(tmp_path / "a.csv", rows)).ledger
    assert (ledger["track_method"], ledger["tracks"]) == ("flight", 2)
    rows = [
        row(lon=10, lat=-71 - i / 1000, ice_thickness=9, date="12/01/2007", time=time)
        for i, time in enumerate(["01:00:00", "01:00:01", "05:00:00", "05:00:01"])
    ]
    points, _, ledger = through_ingest(survey_file(tmp_path / "b.csv", rows))
    assert (ledger["track_method"], points["track_id"].to_list()) == ("time", [0, 0, 1, 1])


def test_unsorted_file_keeps_its_order_and_may_be_chained(tmp_path: Path) -> None:
    rows = line_of_points(50)
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(50)]
    path = survey_file(tmp_path / "a.csv", [rows[0], *(r for r in shuffled if r != rows[0])])
    as_is = through_ingest(path).points
    assert as_is["row"].to_list() == list(range(50))
    assert as_is["atd"].null_count() == 50
    chained, _, ledger = through_ingest(path, order="chain")
    assert ledger["track_method"] == "chain"
    assert ledger["tracks"] == 1
    assert any("chained" in note for note in ledger["notes"])
    columns = [name for name in POINTS_SCHEMA if name not in ("atd", "track_seq", "track_method")]
    assert chained.select(columns).equals(as_is.select(columns))
    assert chained.sort("atd")["lat"].is_sorted(descending=True)
    assert chained.sort("track_seq")["lat"].is_sorted(descending=True)
    assert chained["atd"].max() == pytest.approx(49 * 20, rel=0.03)


def test_turns_split_on_request(tmp_path: Path) -> None:
    out = [(10.0, -71 - i / 5_000, 500.0 + i) for i in range(15)]
    aside = [(10 + i / 1_500, out[-1][1], 600.0 + i) for i in range(1, 15)]
    path = survey_file(tmp_path / "a.csv", points_at(*out, *aside))
    assert through_ingest(path).ledger["tracks"] == 1
    points, _, ledger = through_ingest(path, split_on_angle=True)
    assert ledger["tracks"] == 2
    assert points["track_id"].to_list() == [0] * 14 + [1] * 15
