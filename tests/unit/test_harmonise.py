"""One survey through ingest: golden rows, cleaning, tracks, the ledger, and memory."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from bedsieve.errors import ConfigError, InputError
from bedsieve.ingest import parsing, scratch
from bedsieve.ingest.csv import read_cells
from bedsieve.ingest.ledger import CODES, DROPPED_SCHEMA
from bedsieve.ingest.output import COVARIATES, POINTS_SCHEMA, sink
from bedsieve.ingest.tracks import TrackLimits
from bedsieve.node_scratch import node_scratch
from tests.unit.bedmap_files import (
    header_text,
    left_behind,
    line_of_points,
    points_at,
    row,
    survey_file,
    through_ingest,
)

GOLDEN = [
    (13.9607, -71.307, 625.85, 494218.7047565697),
    (13.9666, -71.3082, 602.8, 494391.12911079824),
    (13.9709, -71.3092, 602.2, 494513.3985716207),
]


def test_golden_rows_of_study_b(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", points_at(*(place[:3] for place in GOLDEN)))
    points = through_ingest(path).points
    np.testing.assert_allclose(points["east"], [place[3] for place in GOLDEN], rtol=0, atol=1e-6)
    east, north, h = (points[name].to_numpy() for name in ("east", "north", "ice_thickness"))
    pairs = [(0, 1), (0, 2), (1, 2)]
    step = [np.hypot(east[j] - east[i], north[j] - north[i]) for i, j in pairs]
    np.testing.assert_allclose(np.log1p(step), [5.524581, 6.087828, 5.251708], atol=5e-7)
    slope = [(h[j] - h[i]) / d for (i, j), d in zip(pairs, step, strict=True)]
    signed = np.sign(slope) * np.log1p(np.abs(slope)) / 0.05865201007614752
    np.testing.assert_allclose(signed, [-1.504943, -0.893703, -0.053787], atol=5e-7)


def polar_distance(south: float) -> float:
    """Distance from the pole on EPSG:3031 (Snyder 1987, eq. 21-33, 14-15 and 15-9)."""
    a, e = 6_378_137.0, math.sqrt(2 / 298.257223563 - 1 / 298.257223563**2)

    def t(phi: float) -> float:
        sine = e * math.sin(phi)
        return math.tan(math.pi / 4 - phi / 2) / ((1 - sine) / (1 + sine)) ** (e / 2)

    true = math.radians(71)
    m = math.cos(true) / math.sqrt(1 - (e * math.sin(true)) ** 2)
    return a * m * t(math.radians(south)) / t(true)


def test_a_point_has_all_that_its_row_and_header_say(tmp_path: Path) -> None:
    cells = {
        "trajectory_id": "F1",
        "trace_number": 9,
        "lon": 190.0,
        "lat": -75.0,
        "date": "2007-01-12",
        "time": "10:23:45.9",
        "surface_alt": 2500.5,
        "ice_thickness": 1000.25,
        "bed_elev": 1500.125,
        "atd": 12.5,
    }
    path = survey_file(tmp_path / "a.csv", [row(), row(**cells)])
    points, _, ledger = through_ingest(path, survey_no=5)
    assert points.schema == POINTS_SCHEMA
    found = points.row(0, named=True)
    rho = polar_distance(75.0)
    assert found.pop("east") == pytest.approx(rho * math.sin(math.radians(190)), abs=1e-6)
    assert found.pop("north") == pytest.approx(rho * math.cos(math.radians(190)), abs=1e-6)
    assert found == dict.fromkeys(COVARIATES) | {
        "point_id": 5 * 2**32 + 1,
        "survey": "TEST_2007",
        "survey_no": 5,
        "row": 1,
        "lon": -170.0,
        "lat": -75.0,
        "ice_thickness": 1000.25,
        "bed_elev": 1500.125,
        "bed_reconstructed": False,
        "surface_alt": 2500.5,
        "year_start": 2007,
        "year_end": 2008,
        "timestamp": 1_168_597_425,
        "atd": 12.5,
        "track_id": 0,
        "track_seq": 1,
        "track_method": "spatial",
        "platform": "airborne",
        "institution": "AWI",
        "instrument": "EMR",
        "z": 2500.5,
    }
    assert ledger == json.loads((tmp_path / "results/ledger.json").read_text())
    assert ledger["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (ledger["survey"], ledger["survey_no"], ledger["file"]) == ("TEST_2007", 5, "a.csv")


def test_types_are_plain_for_every_reader(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", line_of_points(3), {"institution": "-"})
    through_ingest(path)
    file = tmp_path / "results/points.parquet"
    assert pl.scan_parquet(file).collect_schema() == POINTS_SCHEMA
    table = pq.read_table(file)
    assert table.column("survey").to_pylist() == ["TEST_2007"] * 3
    assert table.column("institution").null_count == 3
    assert "dictionary" not in str(table.schema)


def test_the_sheet_goes_before_the_header(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", line_of_points(2))
    points = through_ingest(path, sheet={"platform": "ground", "institution": "BAS"}).points
    assert points.select("platform", "institution").row(0) == ("ground", "BAS")


def test_bed_is_reconstructed_from_the_surface(tmp_path: Path) -> None:
    place = {"lon": 10, "ice_thickness": 900}
    rows = [
        row(lat=-75.0, surface_alt=2000, bed_elev=1050, **place),
        row(lat=-75.1, surface_alt=2000, **place),
        row(lat=-75.2, **place),
    ]
    points = through_ingest(survey_file(tmp_path / "a.csv", rows)).points
    assert points["bed_elev"].to_list() == [1050, 1100, None]
    assert points["bed_reconstructed"].to_list() == [False, True, False]


class Grids:
    """Covariates made up from the position; no z where east < 0."""

    notes = ("covariates left out, no grid given: temp",)

    def sample(
        self, east: NDArray[np.float64], north: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float32]]:
        z = np.where(east < 0, np.nan, 3000.0)
        return {"vx": (east / 1e3).astype(np.float32), "z": z.astype(np.float32)}


def test_covariates_are_sampled_at_the_points(tmp_path: Path) -> None:
    rows = [
        row(lon=10, lat=-75, surface_alt=2000, ice_thickness=900),
        row(lon=-10, lat=-75, surface_alt=2000, ice_thickness=900),
    ]
    points, _, ledger = through_ingest(survey_file(tmp_path / "a.csv", rows), covariates=Grids())
    np.testing.assert_allclose(points["vx"], points["east"] / 1e3, rtol=1e-6)
    assert points["z"].to_list() == [3000, None]
    assert points["bed_elev"].to_list() == [2100, None]
    assert points["bed_reconstructed"].to_list() == [True, False]
    assert points["smb"].null_count() == 2
    assert Grids.notes[0] in ledger["notes"]


def test_every_row_is_in_the_ledger(tmp_path: Path) -> None:
    rows = [
        row(lon=-10, lat=-75, ice_thickness=100),  # 0
        row(lon=-10, lat=-75, ice_thickness=104),  # 1: merged into 0
        row(lon=-10, lat=-75),  # 2
        row(lon=-10, lat=-75, ice_thickness="NaN"),  # 3
        row(lon=-10, lat=-75, ice_thickness="inf"),  # 4
        row(lon=-10, lat=-75, ice_thickness=0),  # 5
        row(lon=-10, lat=-75, ice_thickness=-3),  # 6
        row(lat=-75, ice_thickness=5),  # 7
        row(lon=-10, lat=-50, ice_thickness=5),  # 8
        row(lon=-10, lat=95, ice_thickness=5),  # 9
        row(lon=-11, lat=-75, ice_thickness=100),  # 10: conflicts with 11
        row(lon=-11, lat=-75, ice_thickness=300),  # 11
        row(lon=350, lat=-75, ice_thickness=102),  # 12: the place of 0 and 1
        "",  # 13
    ]
    points, dropped, ledger = through_ingest(survey_file(tmp_path / "a.csv", rows))
    assert points["row"].to_list() == [0]
    assert points["ice_thickness"].to_list() == [102.0]
    assert dropped.schema == DROPPED_SCHEMA
    assert dropped.rows() == [
        (1, "duplicate_merged", 0),
        (2, "no_thickness", None),
        (3, "no_thickness", None),
        (4, "no_thickness", None),
        (5, "nonpositive_thickness", None),
        (6, "nonpositive_thickness", None),
        (7, "no_position", None),
        (8, "outside_crs", None),
        (9, "outside_crs", None),
        (10, "duplicate_conflict", None),
        (11, "duplicate_conflict", None),
        (12, "duplicate_merged", 0),
        (13, "no_thickness", None),
    ]
    assert ledger["counts"] == {
        "kept": 1,
        "no_thickness": 4,
        "nonpositive_thickness": 2,
        "no_position": 1,
        "outside_crs": 2,
        "duplicate_merged": 2,
        "duplicate_conflict": 2,
    }
    assert sum(ledger["counts"].values()) == ledger["rows_in_file"] == 14


def test_other_columns_of_merged_copies_are_the_first_ones(tmp_path: Path) -> None:
    rows = [
        row(lon=10, lat=-75, ice_thickness=100, surface_alt=1, atd=5),
        row(lon=10, lat=-75, ice_thickness=102, surface_alt=2, atd=6),
    ]
    points = through_ingest(survey_file(tmp_path / "a.csv", rows)).points
    assert points.select("ice_thickness", "surface_alt", "atd").rows() == [(101, 1, 5)]


def test_limit_of_the_spread_is_an_argument(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", points_at((10, -75, 100), (10, -75, 120)))
    assert through_ingest(path).ledger["counts"]["duplicate_conflict"] == 2
    assert through_ingest(path, max_relative_std=0.2).ledger["counts"]["duplicate_merged"] == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_results_do_not_depend_on_chunks_or_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    rng = np.random.default_rng(4)
    rows = [
        row(
            lon=round(rng.integers(0, 40) / 100, 2),
            lat=-75 - rng.integers(0, 30) / 100,
            ice_thickness=round(rng.choice([-9999, 900, 905, 1300], p=[0.1, 0.6, 0.27, 0.03]), 1),
            trace_number=i % 700,
        )
        for i in range(3_000)
    ]
    path = survey_file(tmp_path / "a.csv", rows)
    whole = through_ingest(path)
    small = read_cells

    def in_small_blocks(*arguments: object) -> object:
        return small(*arguments, block_size=5_000)  # type: ignore[arg-type]

    monkeypatch.setattr(parsing, "read_cells", in_small_blocks)
    monkeypatch.setattr(scratch.Scratch.spans, "__defaults__", (333,))
    parts = through_ingest(path, threads=threads)
    assert parts.points.equals(whole.points)
    assert parts.dropped.equals(whole.dropped)
    assert parts.ledger == whole.ledger
    assert min(whole.ledger["counts"][code] for code in ("kept", *CODES[5:])) > 10


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", line_of_points(500, surface_alt=3))
    through_ingest(path)
    first = {p.name: p.read_bytes() for p in (tmp_path / "results").iterdir()}
    through_ingest(path)
    assert {p.name: p.read_bytes() for p in (tmp_path / "results").iterdir()} == first
    assert left_behind(path) == ["dropped.parquet", "ledger.json", "points.parquet"]


def test_rows_may_wait_on_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = survey_file(tmp_path / "a.csv", line_of_points(500, surface_alt=3))
    through_ingest(path)
    first = {p.name: p.read_bytes() for p in (tmp_path / "results").iterdir()}
    places = []
    enter = scratch.Scratch.__enter__
    monkeypatch.setattr(
        scratch.Scratch, "__enter__", lambda self: places.append(self.folder) or enter(self)
    )
    through_ingest(path, scratch_in=tmp_path / "node" / "local")
    assert [place.is_relative_to(tmp_path / "node" / "local") for place in places] == [True]
    assert not list((tmp_path / "node" / "local").iterdir())
    assert {p.name: p.read_bytes() for p in (tmp_path / "results").iterdir()} == first


def test_the_usual_folder_for_temporary_files_is_no_scratch() -> None:
    assert node_scratch("/tmp") is node_scratch("/var/tmp/") is None
    assert node_scratch("/scratch/job_7") == Path("/scratch/job_7")


def test_metadata_is_optional(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", line_of_points(2), fields={})
    points, _, ledger = through_ingest(path)
    assert points.select("year_start", "platform").row(0) == (None, None)
    assert "no #key: value lines" in ledger["notes"][0]


def test_a_value_cut_short_is_pointed_at(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(header_text() + "\n".join(line_of_points(2)))
    points, _, ledger = through_ingest(path)
    assert len(points) == 2
    assert any("no line end" in note for note in ledger["notes"])


def test_unknown_order(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", line_of_points(2))
    with pytest.raises(ConfigError, match=r"'time' is unknown; it is one of file, chain"):
        through_ingest(path, order="time")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", line_of_points(2))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert through_ingest(path, expected_sha256=digest.upper()).ledger["sha256"] == digest
    path.write_text(path.read_text() + line_of_points(1)[0] + "\n")
    with pytest.raises(InputError, match="changed since it was registered"):
        through_ingest(path, expected_sha256=digest)
    # What the good file gave still stands.
    assert json.loads((tmp_path / "results/ledger.json").read_text())["sha256"] == digest


def test_the_sheet_fills_years_that_the_header_lacks(tmp_path: Path) -> None:
    path = survey_file(
        tmp_path / "a.csv", line_of_points(2), {"time_coverage_start": "", "time_coverage_end": ""}
    )
    points = through_ingest(path, sheet={"year_start": 1994, "year_end": None}).points
    assert points.select("year_start", "year_end").row(0) == (1994, 1994)


def test_a_file_that_nobody_registered_is_refused(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", line_of_points(2))
    with pytest.raises(InputError, match=r"has not been registered.*snakemake register"):
        through_ingest(path, expected_sha256="provisional")


def test_rows_out_of_order_are_remarked_on(tmp_path: Path) -> None:
    rows = line_of_points(60)
    jumping = [row for pair in zip(rows[:30], rows[30:], strict=True) for row in pair]
    path = survey_file(tmp_path / "a.csv", jumping)
    ledger = through_ingest(path, limits=TrackLimits(step=100.0)).ledger
    assert any("do not stand in track order" in note for note in ledger["notes"])


def test_frames_are_made_in_one_thread_of_python(tmp_path: Path) -> None:
    # PROJ crashes in the short-lived threads of polars, which Python knows as dummies.
    threads = []

    def frames():
        for value in range(50):
            threads.append(threading.current_thread())
            yield pl.DataFrame({"value": [value] * 1_000})

    sink(frames(), pl.Schema({"value": pl.Int64}), tmp_path / "a.parquet")
    assert pl.read_parquet(tmp_path / "a.parquet")["value"].unique(maintain_order=True).len() == 50
    assert len(set(threads)) == 1
    assert not isinstance(threads[0], threading._DummyThread)
