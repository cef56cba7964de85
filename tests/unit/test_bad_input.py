"""What is wrong with a survey file is said by file, line and remedy, and nothing is half-written."""

from __future__ import annotations

import errno
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from bedsieve.errors import BedsieveError, ConfigError, InputError
from bedsieve.ingest.coverage import scan
from bedsieve.ingest.csv import scan_survey
from bedsieve.ingest.output import POINTS_SCHEMA
from bedsieve.ingest.scratch import Scratch
from tests.unit.bedmap_files import (
    FIRST_DATA_LINE,
    HEADINGS,
    header_text,
    left_behind,
    line_of_points,
    row,
    survey_file,
    through_ingest,
)

HEADER = header_text()
GOOD = [line.replace(",10.0,", ",-10.0,") for line in line_of_points(3)]


def refused(path: Path, **options: object) -> InputError:
    with pytest.raises(InputError) as caught:
        through_ingest(path, **options)
    assert str(path) in str(caught.value)
    assert caught.value.remedy
    assert left_behind(path) == []
    return caught.value


def text_file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def without(*gone: str, swap: dict[str, str] | None = None) -> str:
    """Header and one row, some columns left out or renamed."""
    names = [name for name in HEADINGS if name not in gone]
    headings = [(swap or {}).get(name, HEADINGS[name]) for name in names]
    return "#project: x\n" + ",".join(headings) + "\n" + ",".join("1" for _ in names) + "\n"


def test_no_such_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "a.csv").problem == "the file does not exist"


def test_empty_file(tmp_path: Path) -> None:
    assert refused(text_file(tmp_path / "a.csv", "")).problem == "the file is empty"


def test_metadata_without_column_names(tmp_path: Path) -> None:
    error = refused(text_file(tmp_path / "a.csv", "#project: x\n#license: y\n"))
    assert "before the line of column names" in error.problem
    assert error.line == 2


def test_missing_header(tmp_path: Path) -> None:
    error = refused(text_file(tmp_path / "a.csv", "#project: x\n" + GOOD[0] + "\n" + GOOD[1]))
    assert "the header is missing" in error.problem
    assert error.line == 2
    assert HEADINGS["ice_thickness"] in error.remedy


@pytest.mark.parametrize("name", ["lon", "lat", "ice_thickness"])
def test_missing_essential_column(tmp_path: Path, name: str) -> None:
    error = refused(text_file(tmp_path / "a.csv", without(name)))
    assert f"the column {HEADINGS[name]!r} is missing" in error.problem
    assert error.line == 2


def test_misspelt_columns_are_named_with_the_nearest(tmp_path: Path) -> None:
    text = without(swap={"ice_thickness": "ice_thickness (m)"})
    error = refused(text_file(tmp_path / "a.csv", text))
    assert "'land_ice_thickness (m)' is missing" in error.problem
    assert "nearest present: 'ice_thickness (m)'" in error.problem
    text = without(swap={"trace_number": "trace_nr"})
    error = refused(text_file(tmp_path / "b.csv", text))
    assert "nearest present: 'trace_nr'" in error.problem


def test_column_twice(tmp_path: Path) -> None:
    text = without(swap={"bed_elev": HEADINGS["ice_thickness"]})
    assert "stands twice" in refused(text_file(tmp_path / "a.csv", text)).problem


def test_column_in_another_unit(tmp_path: Path) -> None:
    text = without(swap={"ice_thickness": "land_ice_thickness (km)"})
    error = refused(text_file(tmp_path / "a.csv", text))
    assert "is in km, not in metres" in error.problem


def test_absent_columns_of_no_need_are_noted(tmp_path: Path) -> None:
    rows = without("atd", "trace_number", "date").replace(",1,1,", ",10,-71,", 1)
    notes = through_ingest(text_file(tmp_path / "a.csv", rows)).ledger["notes"]
    assert notes == [
        f"the file has no column {HEADINGS[n]}" for n in ("trace_number", "date", "atd")
    ]


@pytest.mark.parametrize("keep", [3, 8, 11])
def test_truncated_last_line(tmp_path: Path, keep: int) -> None:
    cut = ",".join(GOOD[2].split(",")[:keep])
    error = refused(text_file(tmp_path / "a.csv", HEADER + "\n".join([*GOOD[:2], cut])))
    assert error.problem == (
        f"the file is cut off in its last line: {keep} of 12 columns, and no line end"
    )
    assert error.line == FIRST_DATA_LINE + 2


def test_truncated_before_the_last_value(tmp_path: Path) -> None:
    cut = ",".join(GOOD[2].split(",")[:11]) + ","
    error = refused(text_file(tmp_path / "a.csv", HEADER + "\n".join([*GOOD[:2], cut])))
    assert "cut off in its last line" in error.problem
    assert error.line == FIRST_DATA_LINE + 2


def test_rows_too_short_or_long(tmp_path: Path) -> None:
    short = ",".join(GOOD[1].split(",")[:7])
    error = refused(text_file(tmp_path / "a.csv", HEADER + "\n".join([GOOD[0], short, GOOD[2]])))
    assert (error.problem, error.line) == ("the row has only 7 of 12 columns", FIRST_DATA_LINE + 1)
    error = refused(
        text_file(tmp_path / "b.csv", HEADER + "\n".join([GOOD[0], GOOD[1] + ",7", GOOD[2]]))
    )
    assert (error.problem, error.line) == ("the row has more than 12 columns", FIRST_DATA_LINE + 1)


@pytest.mark.parametrize("name", ["ice_thickness", "lon", "lat", "surface_alt", "bed_elev", "atd"])
def test_text_where_a_number_belongs(tmp_path: Path, name: str) -> None:
    cells = {"lon": 10, "lat": -71, "ice_thickness": 5} | {name: "12O.5"}
    path = survey_file(tmp_path / "a.csv", [*GOOD, "", row(**cells), *GOOD])
    error = refused(path)
    assert error.problem == f"{HEADINGS[name]} holds '12O.5', which is no number"
    assert error.line == FIRST_DATA_LINE + 4
    with pytest.raises(InputError, match=f"a.csv:{FIRST_DATA_LINE + 4}: "):
        scan_survey(path).collect()


def test_line_is_right_far_down_the_file(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", line_of_points(120_000))
    with path.open("a") as stream:
        stream.write(row(lon=10, lat=-71, ice_thickness="x") + "\n")
    assert refused(path).line == FIRST_DATA_LINE + 120_000


def test_a_decimal_comma_is_a_column_too_many(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", [*GOOD, row(lon=10, lat=-71, ice_thickness="812,5")])
    assert refused(path).line == FIRST_DATA_LINE + 3


@pytest.mark.parametrize("rows", [[], [row()] * 5, [""], [row(lon=10, lat=-71)] * 3])
def test_survey_of_no_points(tmp_path: Path, rows: list[str]) -> None:
    points, dropped, ledger = through_ingest(survey_file(tmp_path / "a.csv", rows))
    assert points.schema == POINTS_SCHEMA
    assert len(points) == 0
    assert dropped["code"].to_list() == ["no_thickness"] * len(rows)
    assert ledger["rows_in_file"] == ledger["counts"]["no_thickness"] == len(rows)
    assert ledger["tracks"] == 0
    said = "the file has no rows below its header" if not rows else "no row of the file is left"
    assert ledger["notes"] == [said]


def test_survey_of_one_point(tmp_path: Path) -> None:
    for order in ("file", "chain"):
        points, _, ledger = through_ingest(survey_file(tmp_path / "a.csv", GOOD[:1]), order=order)
        assert (len(points), ledger["tracks"]) == (1, 1)
        assert points["track_id"].to_list() == [0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: gzip.compress(data),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b",-10.0,", b",350.0,"),
        lambda data: gzip.compress(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")),
        lambda data: data.replace(b"#project: Test", "#project: Québec".encode("latin-1")),
    ],
    ids=["gzip", "byte order mark", "crlf", "longitudes 0-360", "gzip and bom and crlf", "latin-1"],
)
def test_habits_that_change_nothing(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    (tmp_path / "plain").mkdir()
    plain = through_ingest(survey_file(tmp_path / "plain" / "a.csv", GOOD))
    path = tmp_path / "a.csv"
    path.write_bytes(spoil((tmp_path / "plain" / "a.csv").read_bytes()))
    spoilt = through_ingest(path)
    assert spoilt.points.equals(plain.points)
    assert spoilt.ledger["counts"] == plain.ledger["counts"]
    assert spoilt.ledger["notes"] == plain.ledger["notes"]


def test_damaged_gzip(tmp_path: Path) -> None:
    packed = gzip.compress((HEADER + "\n".join(line_of_points(5_000))).encode())
    path = tmp_path / "a.csv"
    path.write_bytes(packed[: len(packed) // 2])
    assert "gzip content is damaged or cut off" in refused(path).problem
    path.write_bytes(packed[:5_000] + b"\0" * 50 + packed[5_050:])
    assert "gzip content is damaged or cut off" in refused(path).problem


def test_not_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"PAR1\x15\x04\x15\0\0\0\0")
    assert refused(path).problem == "this is not a text file"


def test_all_positions_outside_the_crs(tmp_path: Path) -> None:
    rows = [row(lon=-142.5, lat=lat, ice_thickness=500) for lat in (60.25, 60.5)]
    error = refused(survey_file(tmp_path / "a.csv", rows))
    assert error.problem == (
        "every position lies outside the area of EPSG:3031: latitudes 60.25 to 60.5"
    )
    assert "crs" in error.remedy
    with pytest.raises(InputError, match=r"a\.csv: every position lies outside .* 60\.25 to 60\.5"):
        scan(tmp_path / "a.csv", "A", "EPSG:3031", 50_000)
    assert len(through_ingest(tmp_path / "a.csv", crs="EPSG:3338").points) == 2


@pytest.mark.parametrize(
    ("crs", "said"),
    [
        ("EPSG:4326", r"'EPSG:4326' \(WGS 84\) is no plane in metres: its axes are in degree"),
        ("EPSG:2225", "axes are in US survey foot"),
        ("EPSG:4978", "is no plane in metres"),
        ("EPSG:303l", "is not a coordinate reference system that PROJ knows"),
    ],
)
def test_a_crs_that_distances_cannot_be_measured_in(tmp_path: Path, crs: str, said: str) -> None:
    path = survey_file(tmp_path / "a.csv", GOOD)
    with pytest.raises(ConfigError, match=said):
        scan(path, "A", crs, 50_000)


def test_some_positions_outside_the_crs(tmp_path: Path) -> None:
    rows = [*GOOD, row(lon=10, lat=60, ice_thickness=5)]
    points, dropped, _ = through_ingest(survey_file(tmp_path / "a.csv", rows))
    assert len(points) == 3
    assert dropped.rows() == [(3, "outside_crs", None)]


def test_changed_file(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", GOOD)
    error = refused(path, expected_sha256="0" * 64)
    assert "changed since it was registered" in error.problem
    assert "register" in error.remedy


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_disk_full_while_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "refused")

    path = survey_file(tmp_path / "a.csv", GOOD)
    monkeypatch.setattr(Scratch, "write", fail)
    with pytest.raises(BedsieveError, match=r"points\.parquet: cannot be written: the "):
        through_ingest(path)
    assert left_behind(path) == []


@pytest.mark.parametrize("what", ["points", "dropped", "ledger"])
def test_failure_at_any_file_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    from bedsieve.ingest import harmonise

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = survey_file(tmp_path / "a.csv", GOOD)
    name = {"points": "sink_points", "dropped": "sink", "ledger": "write_json"}[what]
    monkeypatch.setattr(harmonise, name, fail)
    with pytest.raises(BedsieveError, match="the disk is full"):
        through_ingest(path)
    assert left_behind(path) == []
