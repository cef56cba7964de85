"""The sample sheet and the coverage table: which surveys there are, and which tiles each covers.

In go `surveys.tsv`, which a person writes, and `coverage.tsv`, which `register` writes; out come
plain rows by survey, checked so that a slip in either is reported with its line before any job
runs. The workflow reads both while it is being parsed, so nothing but the standard library is
imported here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import quote, urlsplit

from bedsieve.errors import InputError
from bedsieve.ingest.tsv import nearest, table_rows
from bedsieve.tile_names import TILE_NAME

STATUSES = ("active", "retired", "superseded")
ORDERS = ("file", "chain")
PROVISIONAL = "provisional"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_SURVEY_NO = 2**32 - 1

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_ADDRESS = re.compile(r"[^!-~]")
# Bytes that steer a terminal, and marks that turn the direction of text: no field needs one.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Survey:
    """One row of the sample sheet.

    `survey_no` is given once and never reused; `sha256` is that of the CSV, blank where it is
    not known; `order` is ``file`` or ``chain`` (rows to be strung into lines first); `note` says
    where the file can be had, or why it is not used.
    """

    survey_no: int
    survey: str
    release: str = ""
    url: str = ""
    sha256: str = ""
    platform: str = ""
    institution: str = ""
    instrument: str = ""
    year_start: int | None = None
    year_end: int | None = None
    order: str = "file"
    status: str = "active"
    note: str = ""

    def harmonise_params(self) -> dict[str, str | int | None]:
        """What harmonising depends on: a change of anything else in the sheet re-runs nothing."""
        outside = ("release", "url", "status", "note")
        return {name: getattr(self, name) for name in SURVEY_COLUMNS if name not in outside}


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """A survey's share of one tile.

    `n` counts its usable points inside, `gap_m` is its distance from the tile in metres (0
    inside, inf for a survey without any usable point), `sha256` that of the file scanned, or the
    word ``provisional`` for a guess.
    """

    survey: str
    tile: str
    n: int
    gap_m: float
    sha256: str


SURVEY_COLUMNS = tuple(field.name for field in fields(Survey))
COVERAGE_COLUMNS = tuple(field.name for field in fields(CoverageRow))


def read_sheet(path: str | Path, allow_http: bool = False) -> list[Survey]:
    """Read and check the sample sheet.

    Parameters
    ----------
    path : path-like
        A tab-separated table; `survey_no` and `survey` are needed, every other column may be
        missing or blank. Lines that start with ``#`` are comments.
    allow_http : bool
        Also take plain http addresses of this machine (for tests against a local server).

    Returns
    -------
    list of Survey
        In the sheet's order, retired and superseded surveys included: their numbers stay taken.

    Raises
    ------
    InputError
        Naming file, line, what is wrong and what to do.
    """
    path = Path(path)
    surveys: list[Survey] = []
    names: dict[str, str] = {}
    numbers: dict[int, str] = {}
    for line, cells in table_rows(path, SURVEY_COLUMNS, ("survey_no", "survey")):
        row = _Row(path, line, cells)
        survey = _survey(row, allow_http)
        if survey.survey.lower().endswith(".dropped"):
            row.fail(
                f"survey {survey.survey} ends as the table of another survey's dropped rows does",
                "Give it a name that does not end in .dropped, and its file the same name",
            )
        namesake = names.get(survey.survey.lower())
        if namesake == survey.survey:
            row.fail(f"survey {survey.survey} is listed twice", "Remove one of the two rows")
        if namesake is not None:
            row.fail(
                f"survey {survey.survey} and {namesake} differ by upper and lower case alone, which not "
                "every disk tells apart",
                "Rename one of them, and its file",
            )
        if survey.survey_no in numbers:
            row.fail(
                f"survey_no {survey.survey_no} is already that of {numbers[survey.survey_no]}",
                f"Give {survey.survey} a number of its own, for instance {max(numbers) + 1}",
            )
        surveys.append(survey)
        names[survey.survey.lower()] = survey.survey
        numbers[survey.survey_no] = survey.survey
    return surveys


def read_coverage(path: str | Path) -> dict[str, dict[str, CoverageRow]]:
    """Read and check the coverage table.

    Returns
    -------
    dict of str to dict of str to CoverageRow
        By survey, then by tile. A survey that is not in it has not been registered.

    Raises
    ------
    InputError
        Naming file, line, what is wrong and what to do.
    """
    path = Path(path)
    coverage: dict[str, dict[str, CoverageRow]] = {}
    for line, cells in table_rows(path, COVERAGE_COLUMNS, COVERAGE_COLUMNS):
        row = _Row(path, line, cells)
        entry = _coverage_row(row)
        tiles = coverage.setdefault(entry.survey, {})
        if entry.tile in tiles:
            row.fail(f"{entry.survey} has tile {entry.tile} twice", "Register the survey again")
        tiles[entry.tile] = entry
    return coverage


def tiling(tile_size: float, crs: object) -> str:
    """First line of a coverage table: which tiles it counts in, a comment to all who read its rows."""
    return f"# tiles of {float(tile_size):.10g} m in {crs}"


def read_tiling(path: str | Path) -> str:
    """The same, of a table that stands; empty where it does not say."""
    with open(path, encoding="utf-8-sig") as stream:
        first = stream.readline().strip()
    return first if first.startswith("# tiles of ") else ""


def check_address(url: str, allow_http: bool = False) -> str | None:
    """What is wrong with an address to download from, or None: https only, or http to oneself."""
    bad = _NO_ADDRESS.search(url)
    if bad is not None:
        return f"holds {bad[0]!r}, which stands in addresses as {quote(bad[0])}"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "is not an address"
    if not host:
        return "is not an address"
    if parts.scheme == "https" or (parts.scheme == "http" and allow_http and host in LOOPBACK):
        return None
    return f"uses {parts.scheme or 'no scheme'}, not https"


class _Row:
    """One line of a table, whose cells are checked one by one."""

    def __init__(self, path: Path, line: int, cells: dict[str, str]) -> None:
        self.path, self.line, self.cells = path, line, cells

    def fail(self, problem: str, remedy: str) -> None:
        raise InputError(self.path, problem, remedy, line=self.line)

    def text(self, column: str, default: str = "") -> str:
        return self.cells.get(column, "") or default

    def words(self, column: str) -> str:
        value = self.text(column)
        if _CONTROL.search(value):
            self.fail(f"{column} {value!r} holds a control character", "Write plain text")
        return value

    def matching(self, column: str, good: Callable[[str], object], wanted: str) -> str:
        value = self.text(column)
        if not good(value):
            self.fail(f"{column} {value!r} cannot be used", f"Write {wanted}")
        return value

    def one_of(self, column: str, choices: tuple[str, ...]) -> str:
        value = self.text(column, choices[0])
        if value not in choices:
            close = nearest(value, choices)
            self.fail(f"{column} {value!r} is unknown{close}", f"Write one of {', '.join(choices)}")
        return value

    def number(self, column: str, low: int, high: int, wanted: str) -> int:
        value = self.text(column)
        found = int(value) if re.fullmatch(r"-?\d{1,12}", value) else None
        if found is None or not low <= found <= high:
            said = f"is {value!r}" if value else "is missing"
            raise InputError(self.path, f"{column} {said}", f"Write {wanted}", line=self.line)
        return found

    def year(self, column: str) -> int | None:
        if not self.text(column):
            return None
        return self.number(column, 1900, 2200, "a year such as 2007, or leave it blank")


def _survey(row: _Row, allow_http: bool) -> Survey:
    url = row.text("url")
    fault = check_address(url, allow_http) if url else None
    if fault is not None:
        row.fail(
            f"url {url!r} {fault}",
            "Write an https address, or leave it blank and put the file into the raw folder",
        )
    return Survey(
        survey_no=row.number(
            "survey_no", 0, MAX_SURVEY_NO, "a whole number from 0 up that no other survey has"
        ),
        survey=row.matching(
            "survey",
            _good_name,
            "a name of letters, digits and _ . + - "
            "that starts with a letter or digit and has no '..'",
        ),
        release=row.words("release"),
        url=url,
        sha256=row.matching(
            "sha256",
            lambda v: not v or _SHA256.fullmatch(v.lower()),
            "64 hexadecimal digits, or leave it blank",
        ).lower(),
        platform=row.words("platform"),
        institution=row.words("institution"),
        instrument=row.words("instrument"),
        year_start=row.year("year_start"),
        year_end=row.year("year_end"),
        order=row.one_of("order", ORDERS),
        status=row.one_of("status", STATUSES),
        note=row.words("note"),
    )


def _good_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and ".." not in name


def _coverage_row(row: _Row) -> CoverageRow:
    again = "what `register` wrote: register the survey again"
    gap = row.matching("gap_m", lambda v: re.fullmatch(r"\d+(\.\d+)?(e[+-]?\d+)?|inf", v), again)
    return CoverageRow(
        survey=row.matching("survey", _good_name, again),
        tile=row.matching("tile", TILE_NAME.fullmatch, again),
        n=row.number("n", 0, 10**12, again),
        gap_m=float(gap),
        sha256=row.matching("sha256", lambda v: v == PROVISIONAL or _SHA256.fullmatch(v), again),
    )
