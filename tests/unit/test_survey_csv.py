"""The survey's own CSV back: bytes untouched, columns appended, every row accounted for."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedsieve.errors import BedsieveError, InputError
from bedsieve.products import survey_csv
from bedsieve.products.survey_csv import write_survey_csv

NO = 3 * 2**32
OTHER = 9 * 2**32
HEADER = (
    b"#project: \xc3\x89tude\n#license: CC BY\nid,longitude (degree_east),land_ice_thickness (m)\n"
)
ENSEMBLE = {
    "point_id": pl.UInt64,
    "score": pl.Float32,
    "n_members": pl.UInt8,
    "score_along_track": pl.Float32,
    "score_gnn": pl.Float32,
    "flag": pl.Boolean,
    "reason": pl.String,
}


class Survey:
    """A survey of 9 rows in two tiles; see `expected` for what became of each."""

    rows = (
        b"a,1.0,500",
        b"b,1.1, 510.50",
        b'"c, d",1.2,-9999',
        b"e,1.1,512",
        b"f,1.3,0",
        b"g,1.4,900",
        b"h,1.5,600",
        b"i,1.6,700",
        b"j,1.6,1700",
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.harmonised, self.dropped = folder / "s.parquet", folder / "s.dropped.parquet"
        pl.DataFrame(
            {"point_id": [NO + r for r in (0, 1, 5, 6, 7, 8)], "track_id": [0, 0, 0, 1, 1, 1]},
            schema={"point_id": pl.UInt64, "track_id": pl.Int32},
        ).write_parquet(self.harmonised)
        pl.DataFrame(
            {
                "row": [2, 3, 4],
                "code": ["no_thickness", "duplicate_merged", "nonpositive_thickness"],
                "kept_row": [None, 1, None],
            },
            schema={"row": pl.UInt32, "code": pl.String, "kept_row": pl.UInt32},
        ).write_parquet(self.dropped)
        self.ensembles = [folder / "t1.parquet", folder / "t2.parquet"]
        why = '187 m thicker, "odd" (along_track score 0.95)'
        self._ensemble(0, [(OTHER + 4, 0.2, 0.3, 0.1, None), (NO + 1, 0.85, 0.95, 0.75, why)])
        self._ensemble(
            1,
            [
                (OTHER + 11, 0.75, 0.5, 1.0, "gnn score 1.00"),
                (NO + 5, None, None, None, None),
                (NO + 0, 0.125, 0.25, 0.0, None),
                (OTHER + 12, 0.2, 0.2, 0.2, None),
            ],
        )
        self.duplicates = [folder / "d1.parquet", folder / "d2.parquet"]
        self._duplicates(0, [(OTHER + 5, "duplicate_merged", OTHER + 4)])
        self._duplicates(
            1,
            [
                (NO + 6, "duplicate_merged", OTHER + 11),
                (NO + 7, "duplicate_merged", OTHER + 12),
                (NO + 8, "duplicate_conflict", None),
            ],
        )

    def _ensemble(self, tile: int, points: list[tuple[Any, ...]]) -> None:
        rows = [(i, s, 2, a, g, why is not None, why) for i, s, a, g, why in points]
        frame = pl.DataFrame(rows, schema=ENSEMBLE, orient="row")
        frame.write_parquet(self.ensembles[tile])

    def _duplicates(self, tile: int, points: list[tuple[Any, ...]]) -> None:
        schema = {"point_id": pl.UInt64, "code": pl.String, "kept_point_id": pl.UInt64}
        frame = pl.DataFrame(points, schema=schema, orient="row")
        frame.write_parquet(self.duplicates[tile])

    def write(self, raw: bytes, name: str = "s.csv", **options: Any) -> bytes:
        source, out = self.folder / name, self.folder / "out.csv"
        source.write_bytes(raw)
        write_survey_csv(
            source, self.harmonised, self.dropped, self.ensembles, self.duplicates, out, **options
        )
        return out.read_bytes()


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    return Survey(tmp_path)


def raw_of(rows: tuple[bytes, ...], newline: bytes = b"\n") -> bytes:
    return HEADER.replace(b"\n", newline) + b"".join(row + newline for row in rows)


def cells_of(text: bytes) -> list[list[str]]:
    return [row[3:] for row in csv.reader(text.decode().splitlines()) if not row[0].startswith("#")]


def test_every_row_says_what_became_of_it(survey: Survey) -> None:
    header, *rows = cells_of(survey.write(raw_of(survey.rows), survey_names={9: "OLD_1966"}))
    assert header == ["track_id", "score_along_track", "score_gnn", "score", "flag", "reason"]
    why = '187 m thicker, "odd" (along_track score 0.95)'
    assert rows == [
        ["0", "0.250000", "0.000000", "0.125000", "0", ""],
        ["0", "0.950000", "0.750000", "0.850000", "1", why],
        ["", "", "", "", "0", "not scored: no ice thickness"],
        [
            "0",
            "0.950000",
            "0.750000",
            "0.850000",
            "1",
            f"merged with line 5 at the same position, whose scores these are: {why}",
        ],
        ["", "", "", "", "0", "not scored: the ice thickness is not above 0"],
        ["0", "", "", "", "0", "not scored: no detector could judge this point"],
        [
            "1",
            "0.500000",
            "1.000000",
            "0.750000",
            "1",
            "merged with data row 12 of OLD_1966 at the same position, whose scores these are: "
            "gnn score 1.00",
        ],
        [
            "1",
            "0.200000",
            "0.200000",
            "0.200000",
            "0",
            "merged with data row 13 of OLD_1966 at the same position, whose scores these are",
        ],
        [
            "1",
            "",
            "",
            "",
            "0",
            "not scored: surveys disagree on the ice thickness at this very position",
        ],
    ]


@pytest.mark.parametrize("block", [7, 40, 2**23])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_the_survey_stands_in_front_byte_for_byte(
    survey: Survey, newline: bytes, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey_csv, "BLOCK", block)
    lines = survey.write(raw_of(survey.rows, newline)).split(newline)
    assert lines.pop() == b""
    original = raw_of(survey.rows, newline).split(newline)[:-1]
    assert len(lines) == len(original)
    assert lines[:2] == original[:2]
    for line, before in zip(lines[2:], original[2:], strict=True):
        assert line.startswith(before + b",")
        assert b"\r" not in line


def test_gzip_and_byte_order_mark_give_the_plain_file(survey: Survey) -> None:
    plain = survey.write(raw_of(survey.rows))
    assert survey.write(gzip.compress(raw_of(survey.rows)), "s.csv.gz") == plain
    assert survey.write(b"\xef\xbb\xbf" + raw_of(survey.rows)) == plain


def test_a_last_line_without_its_end_gets_one(survey: Survey) -> None:
    plain = survey.write(raw_of(survey.rows))
    assert survey.write(raw_of(survey.rows)[:-1]) == plain


@pytest.mark.parametrize("line", [b"", b"# half way"])
def test_every_line_is_a_row_as_at_ingest(survey: Survey, line: bytes) -> None:
    rows = (*survey.rows[:2], line, *survey.rows[3:])
    written = survey.write(raw_of(rows)).split(b"\n")
    assert written[5] == line + b",,,,,0,not scored: no ice thickness"


def test_a_row_merged_into_one_that_was_merged_in_its_turn(survey: Survey) -> None:
    pl.DataFrame(
        {"row": [2, 3, 4], "code": ["duplicate_merged"] * 3, "kept_row": [6, 8, 5]},
        schema={"row": pl.UInt32, "code": pl.String, "kept_row": pl.UInt32},
    ).write_parquet(survey.dropped)
    rows = cells_of(survey.write(raw_of(survey.rows)))[1:]
    assert rows[2][3:] == [
        "0.750000",
        "1",
        "merged with line 10 at the same position, whose scores these are; that one: merged with "
        "data row 12 of survey number 9 at the same position, whose scores these are: gnn score 1.00",
    ]
    assert rows[3][3:] == [
        "",
        "0",
        "merged with line 12 at the same position; that one: not scored: surveys disagree on the ice "
        "thickness at this very position",
    ]
    assert rows[4][5].endswith("that one: not scored: no detector could judge this point")


def test_a_survey_without_any_kept_row(survey: Survey) -> None:
    pl.read_parquet(survey.harmonised).clear().write_parquet(survey.harmonised)
    pl.DataFrame(
        {"row": [0, 1], "code": ["no_thickness", "no_position"], "kept_row": [None, None]},
        schema={"row": pl.UInt32, "code": pl.String, "kept_row": pl.UInt32},
    ).write_parquet(survey.dropped)
    survey.ensembles, survey.duplicates = [], []
    header, *rows = cells_of(survey.write(raw_of(survey.rows[:2]), members=["gnn"]))
    assert header == ["track_id", "score_gnn", "score", "flag", "reason"]
    assert [row[-2:] for row in rows] == [
        ["0", "not scored: no ice thickness"],
        ["0", "not scored: no position"],
    ]


def test_an_unknown_code_is_said_as_it_is(survey: Survey) -> None:
    pl.read_parquet(survey.dropped).with_columns(
        pl.col("code").replace("no_thickness", "bad_weather")
    ).write_parquet(survey.dropped)
    assert cells_of(survey.write(raw_of(survey.rows)))[3][-1] == "not scored: bad weather"


@pytest.mark.parametrize("rows", [Survey.rows[:-1], (*Survey.rows, b"k,1,2")])
def test_a_file_with_other_rows_is_refused(survey: Survey, rows: tuple[bytes, ...]) -> None:
    with pytest.raises(InputError, match=r"s.csv: it does not hold the 9 data rows"):
        survey.write(raw_of(rows))
    assert not (survey.folder / "out.csv").exists()
    assert not list(survey.folder.glob(".*tmp*"))


def test_a_file_without_column_names_is_refused(survey: Survey) -> None:
    with pytest.raises(InputError, match="no line of column names"):
        survey.write(b"#only: a header\n")


def test_a_point_lost_on_the_way_is_not_passed_over(survey: Survey) -> None:
    survey.ensembles.pop()
    with pytest.raises(BedsieveError, match=r"2 of its points are in none.*data row 1"):
        survey.write(raw_of(survey.rows))


def test_tables_that_do_not_add_up(survey: Survey) -> None:
    frame = pl.read_parquet(survey.dropped)
    pl.concat([frame, frame[:1]]).write_parquet(survey.dropped)
    with pytest.raises(BedsieveError, match="do not add up"):
        survey.write(raw_of(survey.rows))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.lists(
        st.binary(min_size=1, max_size=12).filter(lambda b: not set(b) & {10, 13}),
        min_size=1,
        max_size=30,
    ),
    block=st.integers(1, 64),
    seed=st.integers(0, 9),
)
def test_any_bytes_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: list[bytes], block: int, seed: int
) -> None:
    monkeypatch.setattr(survey_csv, "BLOCK", block)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(text))
    score = rng.random(len(text)).astype(np.float32)
    ids = pl.Series("point_id", NO + order, dtype=pl.UInt64)
    pl.DataFrame([ids]).with_columns(
        score=score[order], score_gnn=score[order], flag=False, reason=pl.lit(None, pl.String)
    ).write_parquet(tmp_path / "e.parquet")
    pl.DataFrame([ids.sort()]).with_columns(track_id=pl.lit(0, pl.Int32)).write_parquet(
        tmp_path / "h.parquet"
    )
    pl.DataFrame(schema={"row": pl.UInt32, "code": pl.String, "kept_row": pl.UInt32}).write_parquet(
        tmp_path / "d.parquet"
    )
    (tmp_path / "s.csv").write_bytes(b"x\n" + b"".join(row + b"\n" for row in text))
    write_survey_csv(
        tmp_path / "s.csv",
        tmp_path / "h.parquet",
        tmp_path / "d.parquet",
        [tmp_path / "e.parquet"],
        [],
        tmp_path / "out.csv",
    )
    lines = (tmp_path / "out.csv").read_bytes().split(b"\n")
    assert lines[1:-1] == [
        row + b",0,%.6f,%.6f,0," % (value, value) for row, value in zip(text, score, strict=True)
    ]
