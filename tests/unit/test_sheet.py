"""The sample sheet and the coverage table: what is read, and what is refused in which words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bedsieve
from bedsieve.errors import InputError
from bedsieve.ingest.official import ARCHIVE, address, as_table, official_sheet
from bedsieve.ingest.sheet import (
    PROVISIONAL,
    CoverageRow,
    Survey,
    check_address,
    read_coverage,
    read_sheet,
)

SHA = "0123456789abcdef" * 4


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(row.replace("|", "\t") for row in rows) + "\n", encoding="utf-8")
    return path


def sheet(tmp_path: Path, *rows: str) -> Path:
    return write(tmp_path / "surveys.tsv", *rows)


def test_two_columns_are_enough(tmp_path: Path) -> None:
    found = read_sheet(sheet(tmp_path, "survey_no|survey", "7|A_2001_X_AIR", "3|B"))
    assert found == [Survey(7, "A_2001_X_AIR"), Survey(3, "B")]
    assert found[0].order == "file"
    assert found[0].status == "active"


def test_every_column_comments_bom_crlf_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "surveys.tsv"
    columns = (
        "survey_no\tsurvey\trelease\turl\tsha256\tplatform\tinstitution\tinstrument\t"
        "year_start\tyear_end\torder\tstatus\tnote"
    )
    row = (
        f"1\tA-1.b+c\tBM2\thttps://example.org/a.csv?x=1\t{SHA.upper()}\tAIR\tAWI\tEMR\t2001\t2003\t"
        "chain\tsuperseded\tsee B"
    )
    path.write_bytes(f"\ufeff# made by hand\r\n{columns}\r\n\r\n{row}\r\n".encode())
    (found,) = read_sheet(path)
    assert found == Survey(
        1, "A-1.b+c", "BM2", "https://example.org/a.csv?x=1", SHA, "AIR", "AWI", "EMR",
        2001, 2003, "chain", "superseded", "see B",
    )  # fmt: skip


def test_harmonise_params_leave_out_what_does_not_matter_to_it() -> None:
    one = Survey(1, "A", url="https://a.org/x", status="active", note="n", release="BM2")
    two = Survey(1, "A", url="", status="retired", note="", release="")
    assert one.harmonise_params() == two.harmonise_params()
    assert one.harmonise_params() != Survey(1, "A", order="chain").harmonise_params()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (("survey_no|survey", "1|A", "2|A"), (":3", "A is listed twice")),
        (("survey_no|survey", "1|A", "2|A.dropped"), (":3", "A.dropped", "not end in .dropped")),
        (("survey_no|survey", "1|AWI_x", "2|B", "3|Awi_X"), (":4", "Awi_X and AWI_x", "Rename")),
        (("survey_no|survey", "1|A", "1|B"), (":3", "survey_no 1 is already that of A", " 2.")),
        (("survey_no|survey", "|A"), (":2", "survey_no is missing", "whole number")),
        (("survey_no|survey", "1.5|A"), (":2", "survey_no is '1.5'")),
        (("survey_no|survey", "-1|A"), (":2", "survey_no is '-1'")),
        (("survey_no|survey", "4294967296|A"), (":2", "survey_no is '4294967296'")),
        (("survey_no|survey", "1|../A"), (":2", "'../A'", "letters, digits")),
        (("survey_no|survey", "1|A..B"), (":2", "'A..B'")),
        (("survey_no|survey", "1|A/B"), (":2", "'A/B'")),
        (("survey_no|survey", "1|_A"), (":2", "'_A'")),
        (("survey_no|survey", "1|"), (":2", "survey ''")),
        (("survey_no|survey|status", "1|A|activ"), (":2", "'activ'", "did you mean active?")),
        (("survey_no|survey|order", "1|A|chained"), (":2", "'chained'", "did you mean chain?")),
        (("survey_no|survey|statsu", "1|A|x"), (":1", "'statsu'", "did you mean status?")),
        (("survey_no,survey", "1,A"), (":1", "unknown column", "Separate by tabs")),
        (("survey_no|survey|survey", "1|A|A"), (":1", "survey stands twice")),
        (("survey|url", "A|"), (":1", "column survey_no is missing")),
        (("survey_no|survey|url", "1|A|http://example.org/a"), (":2", "uses http, not https")),
        (("survey_no|survey|url", "1|A|file:///etc/passwd"), (":2", "is not an address")),
        (("survey_no|survey|url", "1|A|ftp://a.org/x"), (":2", "uses ftp")),
        (("survey_no|survey|sha256", "1|A|abc"), (":2", "sha256 'abc'", "64 hexadecimal")),
        (("survey_no|survey|year_start", "1|A|07"), (":2", "year_start is '07'", "2007")),
        (("survey_no|survey", "1|A|x|y"), (":2", "4 cells under 2 columns")),
        (("survey_no|survey", "1 A"), (":2", "1 cells under 2 columns. Separate", "single tabs")),
        (("# nothing",), ("is empty", "survey_no, survey")),
    ],
)
def test_slips_are_named(tmp_path: Path, rows: tuple[str, ...], words: tuple[str, ...]) -> None:
    path = sheet(tmp_path, *rows)
    with pytest.raises(InputError) as caught:
        read_sheet(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for word in words:
        assert word in message


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.tsv: no such file"):
        read_sheet(tmp_path / "no.tsv")
    (tmp_path / "latin.tsv").write_bytes(b"survey_no\tsurvey\n1\tA\xe9\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_sheet(tmp_path / "latin.tsv")


def test_http_is_for_this_machine_and_only_where_asked(tmp_path: Path) -> None:
    path = sheet(tmp_path, "survey_no|survey|url", "1|A|http://127.0.0.1:8000/a.csv")
    with pytest.raises(InputError, match="not https"):
        read_sheet(path)
    assert read_sheet(path, allow_http=True)[0].url == "http://127.0.0.1:8000/a.csv"
    assert check_address("http://example.org/a", allow_http=True) is not None
    assert check_address("http://localhost.example.org/a", allow_http=True) is not None
    assert check_address("https://[bad", allow_http=True) == "is not an address"


def test_coverage_by_survey_and_tile(tmp_path: Path) -> None:
    rows = ("survey|tile|n|gap_m|sha256", f"A|x-1_y2|5|0|{SHA}", f"A|x0_y2|0|12.5|{SHA}",
            "B|x0_y0|0|inf|provisional")  # fmt: skip
    found = read_coverage(write(tmp_path / "coverage.tsv", *rows))
    assert found == {
        "A": {
            "x-1_y2": CoverageRow("A", "x-1_y2", 5, 0.0, SHA),
            "x0_y2": CoverageRow("A", "x0_y2", 0, 12.5, SHA),
        },
        "B": {"x0_y0": CoverageRow("B", "x0_y0", 0, float("inf"), PROVISIONAL)},
    }


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("A|x1y2|5|0|provisional", "tile 'x1y2'"),
        ("A|x1_y2|-5|0|provisional", "n is '-5'"),
        ("A|x1_y2|5|-1|provisional", "gap_m '-1'"),
        ("A|x1_y2|5|nan|provisional", "gap_m 'nan'"),
        ("A|x1_y2|5|0|maybe", "sha256 'maybe'"),
        ("A|x1_y2|5|0|", "sha256 ''"),
        ("../A|x1_y2|5|0|provisional", "survey '../A'"),
        ("A|x0_y0|5|0|provisional", "tile x0_y0 twice"),
    ],
)
def test_slips_in_the_coverage_are_named(tmp_path: Path, row: str, words: str) -> None:
    good = "A|x0_y0|1|0|provisional"
    path = write(tmp_path / "coverage.tsv", "survey|tile|n|gap_m|sha256", good, row)
    with pytest.raises(InputError) as caught:
        read_coverage(path)
    assert f"{path}:3: " in str(caught.value)
    assert words in str(caught.value)


def test_importing_needs_the_standard_library_only() -> None:
    heavy = "numpy", "polars", "pyproj", "yaml"
    code = f"import bedsieve.ingest.sheet, sys; print([m for m in {heavy} if m in sys.modules])"
    folder = str(Path(bedsieve.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": folder}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_committed_sheet_is_what_the_archive_gives() -> None:
    path = Path(__file__).resolve().parents[2] / "config" / "surveys.tsv"
    text = path.read_text(encoding="utf-8")
    surveys = official_sheet(text, path)
    assert as_table(surveys) == text
    assert read_sheet(path) == surveys
    assert [survey.survey_no for survey in surveys] == list(range(1, 152))
    releases = [survey.release for survey in surveys]
    assert [releases.count(release) for release in ("BM1", "BM2", "BM3")] == [1, 66, 84]
    statuses = [survey.status for survey in surveys]
    assert (statuses.count("active"), statuses.count("superseded")) == (137, 14)
    assert sum(survey.order == "chain" for survey in surveys) == 8


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        (
            "BEDMAP1_1966-2000_AIR_BM1",
            "f64815ec-4077-4432-9f55-0ce230f46029%3AL0JFRE1BUDFfMTk2Ni0yMDAwX0FJUl9CTTEuY3N2",
        ),
        (
            "LDEO_2007_Recovery-Lakes_AIR_BM2",
            "2fd95199-365e-4da1-ae26-3b6d48b3e6ac%3A"
            "L0xERU9fMjAwN19SZWNvdmVyeS1MYWtlc19BSVJfQk0yLmNzdg%3D%3D",
        ),
    ],
)
def test_addresses_as_the_archive_publishes_them(name: str, entry: str) -> None:
    assert address(name) == f"{ARCHIVE}{name}.csv?entryid=synth%3A{entry}"


def test_names_say_platform_years_and_order() -> None:
    by_name = {
        survey.survey: survey for survey in official_sheet(address("RNRF_1975_Lazarev_SEI_BM3"))
    }
    seismic = by_name["RNRF_1975_Lazarev_SEI_BM3"]
    assert (seismic.platform, seismic.institution, seismic.year_start) == ("SEI", "RNRF", 1975)
    first = by_name["BEDMAP1_1966-2000_AIR_BM1"]
    assert (first.survey_no, first.year_start, first.year_end, first.order) == (
        1,
        1966,
        2000,
        "chain",
    )
    assert by_name["BAS_2010_IMAFI_AIR_BM2"].status == "superseded"
    assert by_name["BAS_2007_TIGRIS_GRN_BM2"].platform == "GRN"


def test_addresses_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="list: holds no Bedmap3 address"):
        official_sheet("nothing", "list")
    with pytest.raises(InputError, match="list: A_2001_X_AIR_BM3 has the unexpected address"):
        official_sheet(f"{ARCHIVE}A_2001_X_AIR_BM3.csv?entryid=other", "list")
