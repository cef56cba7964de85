"""What stands above the rows of a survey file: a path in, its metadata and columns out.

A Bedmap CSV begins with ``#key: value`` lines and one line of column names. Files in the wild
have byte order marks, CRLF line ends, gzip content, missing metadata and misspelt columns; what
can be read is read, and what cannot is said by line, with the remedy.
"""

from __future__ import annotations

import difflib
import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bedsieve.errors import InputError

# Bedmap's headings in its order, and the names that the rest of bedsieve uses.
COLUMNS = {
    "trajectory_id": "trajectory_id",
    "trace_number": "trace_number",
    "longitude (degree_east)": "lon",
    "latitude (degree_north)": "lat",
    "date": "date",
    "time_UTC": "time",
    "surface_altitude (m)": "surface_alt",
    "land_ice_thickness (m)": "ice_thickness",
    "bedrock_altitude (m)": "bed_elev",
    "two_way_travel_time (m)": "two_way_travel_time",
    "aircraft_altitude (m)": "aircraft_alt",
    "along_track_distance (m)": "atd",
}
ESSENTIAL = ("lon", "lat", "ice_thickness")
METRES = ("surface_alt", "ice_thickness", "bed_elev", "atd")
_METRE_UNITS = {"", "m", "metre", "metres", "meter", "meters"}
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class Header:
    """What stands above the rows of a survey file.

    Attributes
    ----------
    fields : dict of str to str
        The ``#key: value`` lines; an empty dict where a file has none.
    columns : tuple of str
        The column names as the file writes them.
    names : tuple of (str or None)
        For each column its name in bedsieve, None for one that is not of the format.
    data_line : int
        1-based line of the first row.
    """

    fields: dict[str, str]
    columns: tuple[str, ...]
    names: tuple[str | None, ...]
    data_line: int

    @property
    def absent(self) -> tuple[str, ...]:
        """Columns of the format that the file does not have, as Bedmap writes them."""
        return tuple(heading for heading, name in COLUMNS.items() if name not in self.names)

    def years(self) -> tuple[int | None, int | None]:
        """First and last year of the time coverage, None where the header does not say."""
        found = [
            re.search(r"(?<!\d)(?:19|20)\d\d(?!\d)", self.fields.get(key, ""))
            for key in ("time_coverage_start", "time_coverage_end")
        ]
        start, end = (int(match.group()) if match else None for match in found)
        return start, end


def open_survey(path: str | Path) -> IO[bytes]:
    """Open a survey file for reading bytes, unpacking gzip content whatever the file's name."""
    with open(path, "rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else open(path, "rb")  # type: ignore[return-value]


def read_header(path: str | Path) -> Header:
    """Read what stands above the rows of a survey file.

    Parameters
    ----------
    path : path-like
        A Bedmap CSV; a byte order mark, CRLF line ends and gzip content are all right.

    Returns
    -------
    Header

    Raises
    ------
    InputError
        If the file does not exist or is empty, has no line of column names, lacks an essential
        column or seems to misspell one.
    """
    fields: dict[str, str] = {}
    try:
        with open_survey(path) as stream:
            for number, line in enumerate(_lines(stream, path), 1):
                if line.startswith("#"):
                    key, _, value = line[1:].partition(":")
                    fields[key.strip()] = value.strip()
                elif line.strip():
                    columns = tuple(cell.strip().strip('"') for cell in line.split(","))
                    return Header(fields, columns, _named(path, number, columns), number + 1)
    except FileNotFoundError:
        raise InputError(
            path, "the file does not exist", "Fetch it, or put it there by hand"
        ) from None
    except (EOFError, gzip.BadGzipFile):
        raise InputError(
            path, "the gzip content is damaged or cut off", "Fetch the file again"
        ) from None
    if not fields:
        raise InputError(path, "the file is empty", "Fetch it again, or take it off the sheet")
    raise InputError(
        path,
        "the file ends before the line of column names",
        "Fetch it again, or add the missing line: " + ",".join(COLUMNS),
        line=len(fields),
    )


def _lines(stream: IO[bytes], path: str | Path) -> Iterator[str]:
    while raw := stream.readline(_LONGEST_LINE):
        if len(raw) == _LONGEST_LINE or b"\0" in raw:
            raise InputError(path, "this is not a text file", "Give a Bedmap CSV file")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
        yield text.removeprefix("\ufeff").rstrip("\r\n")


def _named(path: str | Path, line: int, columns: tuple[str, ...]) -> tuple[str | None, ...]:
    known = {_plain(heading): name for heading, name in COLUMNS.items()}
    names = tuple(known.get(_plain(column)) for column in columns)
    if not any(names) and any(_is_number(column) for column in columns):
        raise InputError(
            path,
            "the header is missing: the first line that is no #comment already holds data",
            "Put the line of column names above it: " + ",".join(COLUMNS),
            line,
        )
    strangers = [column for column, name in zip(columns, names, strict=True) if name is None]
    for heading, name in COLUMNS.items():
        if names.count(name) > 1:
            raise InputError(
                path, f"the column {heading!r} stands twice", "Remove one of the two", line
            )
        if name not in names:
            _require(path, line, heading, strangers or list(columns))
    for column, name_of in zip(columns, names, strict=True):
        unit = _unit(column)
        if name_of in METRES and unit not in _METRE_UNITS:
            raise InputError(
                path,
                f"the column {column!r} is in {unit}, not in metres",
                "Convert its values to metres and write (m)",
                line,
            )
    return names


def _require(path: str | Path, line: int, heading: str, others: list[str]) -> None:
    plain = {_plain(other): other for other in others}
    essential = COLUMNS[heading] in ESSENTIAL
    near = difflib.get_close_matches(_plain(heading), plain, n=1, cutoff=0.4 if essential else 0.8)
    if essential or near:
        nearest = f"; nearest present: {plain[near[0]]!r}" if near else ""
        raise InputError(
            path,
            f"the column {heading!r} is missing{nearest}",
            "Rename the column as Bedmap does, or add it",
            line,
        )


def _plain(column: str) -> str:
    return re.sub(r"\s*\(.*\)\s*$", "", column).strip().lower().replace(" ", "_")


def _unit(column: str) -> str:
    match = re.search(r"\(([^)]*)\)\s*$", column)
    return match.group(1).strip().lower() if match else ""


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def ends_with_newline(path: str | Path) -> bool:
    """Whether a survey file's last byte ends a line (gzip content is taken to: it is checked)."""
    with open(path, "rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0, 2)
        stream.seek(max(stream.tell() - 1, 0))
        return packed or stream.read(1) == b"\n"
