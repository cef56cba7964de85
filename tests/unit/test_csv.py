"""The Bedmap reader against Python's csv and float, and against files in the wild's habits."""

from __future__ import annotations

import csv as python_csv
import gzip
import math
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bedsieve.ingest.cells import (
    CLOCK,
    DATE,
    IDENTITY,
    LENIENT,
    NUMBER,
    TEXT,
    Cells,
    Fault,
    parse_cells,
)
from bedsieve.ingest.csv import SCHEMA, read_cells, read_header, scan_survey
from bedsieve.ingest.times import days_of, seconds_of
from tests.unit.bedmap_files import FIELDS, FIRST_DATA_LINE, header_text, row, survey_file


def one_column(cells: list[str], kind: int) -> list[object]:
    block = "".join(f"{cell},\n" for cell in cells).encode()
    parsed = parse_cells(block, ("x", "rest"), {"x": kind})
    assert isinstance(parsed, Cells)
    assert parsed.rows == len(cells)
    return list(parsed.columns["x"])


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(-9999, 9999, places=4, allow_nan=False).map(str),
    st.integers(-(10**20), 10**20).map(str),
    st.from_regex(r"\A-?[0-9]{0,25}\.[0-9]{1,25}\Z"),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=30))
@example(["9007199254740993", "0.1", "123456789012345678", "5e-324", "-0.0", ".5", "5.", "1e3"])
@example(["-9007199254740993.0", "8.41e21", "+3", " 7.5", "7.5 ", '"8.25"'])
def test_numbers_are_pythons_to_the_last_bit(cells: list[str]) -> None:
    expected = [float(cell.strip('"')) for cell in cells]
    expected = [
        value if math.isfinite(value) and value != -9999 else math.nan for value in expected
    ]
    np.testing.assert_array_equal(np.array(one_column(cells, NUMBER)), np.array(expected))


@pytest.mark.parametrize(
    "cell",
    ["-9999", "-9999.0", "-9999.000", "-9.999e3", "NaN", "nan", "inf", "-Infinity", "", "  "],
)
def test_what_counts_as_missing(cell: str) -> None:
    assert math.isnan(one_column([cell], NUMBER)[0])  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", ["-", ".", "-.", "1_000", "1O5", "12,5"[:2] + "x", "0x10", "--3"])
def test_what_is_no_number(cell: str) -> None:
    found = parse_cells(f"1,2\n{cell},3\n".encode(), ("x", "y"), {"x": NUMBER})
    assert isinstance(found, Fault)
    assert (found.row, found.column, found.text) == (1, 0, cell)
    assert math.isnan(one_column([cell], LENIENT)[0])  # type: ignore[arg-type]


def test_more_odd_numbers_than_are_kept_at_once() -> None:
    values = one_column(["1e2"] * 40_000 + ["7"], NUMBER)
    assert values == [100.0] * 40_000 + [7.0]


def test_texts_and_their_identities() -> None:
    cells = ["A1", '"A1"', " A1 ", "A2", "-9999", "-9999.0", "", "NaN", "-99990", "-9999.5", "é"]
    expected = ["A1", "A1", "A1", "A2", None, None, None, None, "-99990", "-9999.5", "é"]
    assert one_column(cells, TEXT) == expected
    ids = one_column(cells, IDENTITY)
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert ids[4:8] == [0, 0, 0, 0]
    assert len(set(ids)) == 6
    assert one_column(["A1", "-9999", "A2"], TEXT) == ["A1", None, "A2"]


def test_quoted_cells_may_hold_commas() -> None:
    parsed = parse_cells(b'"Line 1, east",5\n', ("id", "x"), {"id": TEXT, "x": NUMBER})
    assert isinstance(parsed, Cells)
    assert parsed.columns["id"].to_list() == ["Line 1, east"]
    assert parsed.columns["x"].tolist() == [5.0]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("1970-01-01", 0),
        ("2007-01-12", 13525),
        ("20070112", 13525),
        ("20070112.0", 13525),
        ("2007/01/12", 13525),
        ("12/01/2007", 13525),
        ("12-01-2007", 13525),
        ("12.01.2007", 13525),
        ("2007-01-12T10:00:00Z", 13525),
        ("2000-02-29", 11016),
        ("1900-03-01", -25508),
        ("2001-02-29", None),
        ("2007-13-01", None),
        ("2007-04-31", None),
        ("20071301", None),
        ("2007", None),
        ("January", None),
        ("0007-01-12", None),
        ("-9999", None),
        ("", None),
    ],
)
def test_dates(text: str, day: int | None) -> None:
    found = [one_column([text], DATE)[0], days_of(text)]
    np.testing.assert_array_equal(found, [math.nan if day is None else day] * 2)


@settings(max_examples=50, deadline=None)
@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2099, 12, 31)))
def test_every_day_counts(day: date) -> None:
    expected = (np.datetime64(day) - np.datetime64("1970-01-01")).astype(int)
    assert one_column([f"{day}", f"{day:%Y%m%d}"], DATE) == [expected] * 2


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("00:00:00", 0),
        ("10:23:45", 37425),
        ("10:23:45.678", 37425),
        ("9:05", 32700),
        ("9:05:07Z", 32707),
        ("25:10:00", 90600),
        ("37425.9", 37425),
        ("37425", 37425),
        ("10:60:00", None),
        ("10:23:61", None),
        ("48:00:00", None),
        ("200000", None),
        ("-5", None),
        ("noon", None),
        ("-9999", None),
        ("", None),
    ],
)
def test_times_of_day(text: str, second: int | None) -> None:
    found = [one_column([text], CLOCK)[0], seconds_of(text)]
    np.testing.assert_array_equal(found, [math.nan if second is None else second] * 2)


def test_header(tmp_path: Path) -> None:
    header = read_header(survey_file(tmp_path / "a.csv", [row()], FIELDS | {"comment": "a: b, c"}))
    assert header.fields == FIELDS | {"comment": "a: b, c"}
    assert header.data_line == FIRST_DATA_LINE + 1
    assert header.names == tuple(SCHEMA)
    assert header.years() == (2007, 2008)
    assert header.absent == ()


@pytest.mark.parametrize(
    ("text", "year"),
    [("2007-12-01", 2007), ("1 Jan 1998", 1998), ("unknown", None), ("12345", None)],
)
def test_years(tmp_path: Path, text: str, year: int | None) -> None:
    path = survey_file(tmp_path / "a.csv", [], {"time_coverage_start": text})
    assert read_header(path).years() == (year, None)


ROWS = [
    row(trajectory_id="F1", trace_number=1, lon=190.5, lat=-71.25, ice_thickness=812.5),
    row(),
    row(trajectory_id="F2", trace_number="x7", lon=-169.5, lat=-71.5, ice_thickness="NaN"),
    row(date="2007-01-12", time="10:23:45", surface_alt=3, bed_elev="-inf", atd=20.5),
]


def expected_frame() -> pl.DataFrame:
    table = {name: [None] * 4 for name in SCHEMA} | {
        "trajectory_id": ["F1", None, "F2", None],
        "trace_number": [1.0, None, None, None],
        "lon": [190.5, None, -169.5, None],
        "lat": [-71.25, None, -71.5, None],
        "ice_thickness": [812.5, None, None, None],
        "date": [None, None, None, "2007-01-12"],
        "time": [None, None, None, "10:23:45"],
        "surface_alt": [None, None, None, 3.0],
        "atd": [None, None, None, 20.5],
    }
    return pl.DataFrame(table, schema=SCHEMA)


@pytest.mark.parametrize("habit", ["plain", "bom", "crlf", "gzip", "no last newline", "all"])
def test_files_in_the_wild(tmp_path: Path, habit: str) -> None:
    data = (header_text() + "\n".join(ROWS) + "\n").encode()
    if habit in ("no last newline", "all"):
        data = data[:-1]
    if habit in ("crlf", "all"):
        data = data.replace(b"\n", b"\r\n")
    if habit in ("bom", "all"):
        data = b"\xef\xbb\xbf" + data
    if habit in ("gzip", "all"):
        data = gzip.compress(data)
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    assert read_header(path).fields == FIELDS
    assert scan_survey(path).collect().equals(expected_frame())


def test_lazy_frame_takes_what_is_asked(tmp_path: Path) -> None:
    path = survey_file(tmp_path / "a.csv", ROWS)
    lazy = scan_survey(path)
    assert lazy.collect_schema() == SCHEMA
    assert lazy.select("lat", "lon").head(1).collect().rows() == [(-71.25, 190.5)]
    assert lazy.filter(pl.col("lon") < 0).select("trajectory_id").collect().rows() == [("F2",)]
    assert lazy.filter(pl.col("lon").is_null()).head(2).select(pl.len()).collect().item() == 2


def test_columns_may_stand_in_any_order_and_be_absent(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("#x: y\nnote,LAND_ICE_THICKNESS (m),Latitude,longitude\nhm,5,-70,3\n")
    header = read_header(path)
    assert header.names == (None, "ice_thickness", "lat", "lon")
    assert "trace_number" in header.absent
    frame = scan_survey(path).collect()
    assert frame.select("lon", "lat", "ice_thickness").rows() == [(3.0, -70.0, 5.0)]
    assert frame.drop("lon", "lat", "ice_thickness").null_count().row(0) == (1,) * 9


def test_every_line_is_a_row_blank_ones_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(header_text().encode() + b"\n" + row(lon=1).encode() + b"\n\r\n\n")
    assert scan_survey(path).collect()["lon"].to_list() == [None, 1.0, None, None]


def test_blocks_come_in_order_whatever_their_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [row(lon=f"{x:.6f}", trace_number=i) for i, x in enumerate(rng.uniform(0, 9, 3_000))]
    for i in (5, 6, 2_000):
        lines[i] = ""
    path = survey_file(tmp_path / "a.csv", lines)
    with path.open() as stream:
        rows = [line for line in python_csv.reader(stream) if not line or line[0][0] != "#"][1:]
    expected = [float(cells[2]) if cells else math.nan for cells in rows]
    header = read_header(path)
    for size, threads in ((50, 1), (777, 3), (1 << 20, 2)):
        parts = read_cells(
            path, header, {"lon": NUMBER}, lambda cells: cells.columns["lon"], threads, size
        )
        np.testing.assert_array_equal(np.concatenate(list(parts)), expected)
