"""A survey's own CSV back, with its rows as they were and bedsieve's columns behind them.

Goes in: the raw CSV (plain or gzip) and what became of its rows. Comes out: the same lines in the same
order, each data row followed by track_id, each detector's score, the ensemble's, flag and reason. The file
is passed through in blocks and no field of it is parsed, so what the survey's makers wrote stays as it was.
As at ingest, every line after the column names is a row.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from bedsieve.errors import InputError
from bedsieve.files import replacing
from bedsieve.products.survey_rows import ACROSS, SCORED, UNSCORED, SurveyRows, gather_rows
from bedsieve.progress import Progress

BLOCK = 2**23
BOM = b"\xef\xbb\xbf"

WORDS = {
    SCORED: "",
    UNSCORED: "not scored: no detector could judge this point",
    "no_thickness": "not scored: no ice thickness",
    "nonpositive_thickness": "not scored: the ice thickness is not above 0",
    "no_position": "not scored: no position",
    "outside_crs": "not scored: the position lies outside the area of the coordinate system",
    "no_track": "not scored: belongs to no track",
    "duplicate_conflict": "not scored: rows at this very position disagree on the ice thickness",
    ACROSS + "duplicate_conflict": "not scored: surveys disagree on the ice thickness at this very "
    "position",
}
"""What became of a row, by its code in the ledger, as a person says it."""


def write_survey_csv(
    raw_csv: str | Path,
    harmonised: str | Path,
    dropped: str | Path,
    ensembles: Sequence[str | Path],
    tile_duplicates: Sequence[str | Path],
    out: str | Path,
    survey_names: Mapping[int, str] | None = None,
    members: Sequence[str] | None = None,
) -> None:
    """Write a survey's CSV with tracks, scores, flags and reasons appended.

    Parameters
    ----------
    raw_csv : path-like
        The survey as it came: plain or gzip, with or without byte order mark, LF or CRLF. The result is
        plain, without the mark, with the same line ends.
    harmonised, dropped : path-like
        results/surveys/{survey}.parquet and .dropped.parquet.
    ensembles, tile_duplicates : sequences of path-like
        ensemble.parquet and duplicates.parquet of every tile that the survey lies in.
    out : path-like
        The CSV to write. Unscored rows have empty scores, flag 0 and a reason that says why; rows merged
        into another carry that one's scores and say so.
    survey_names : mapping of int to str, optional
        Name of each survey number, for rows that were merged into another survey's.
    members : sequence of str, optional
        The detectors whose scores to give, needed where the survey may lie in no tile.

    Raises
    ------
    InputError
        If the CSV has no header or other rows than when it was ingested.
    BedsieveError
        If the tables do not account for every row, or the result cannot be written.
    """
    rows = gather_rows(harmonised, dropped, ensembles, tile_duplicates, members)
    progress = Progress(f"writing {Path(out).name}", rows.n, "rows")
    with _opened(raw_csv) as source, replacing(out) as part, part.open("wb") as target:
        first_line, newline = _copy_header(source, target, raw_csv, rows)
        done = 0
        for block in _blocks(source):
            if b"\r" in block:
                block = block.replace(b"\r\n", b"\n")
            lines = block.removesuffix(b"\n").split(b"\n")
            count = len(lines)
            if done + count > rows.n:
                raise _changed(raw_csv, rows.n)
            cells = _cells(rows, done, done + count, first_line, survey_names or {})
            target.write(newline.join(map(b",".join, zip(lines, cells, strict=True))) + newline)
            done += count
            progress.advance(count)
        if done != rows.n:
            raise _changed(raw_csv, rows.n)


def _changed(raw_csv: str | Path, n: int) -> InputError:
    return InputError(
        raw_csv,
        f"it does not hold the {n:,} data rows that it held when it was ingested",
        "Register the survey again, then run again",
    )


def _opened(path: str | Path) -> BinaryIO:
    with open(path, "rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else open(path, "rb")  # type: ignore[return-value]


def _copy_header(
    source: BinaryIO, target: BinaryIO, raw_csv: str | Path, rows: SurveyRows
) -> tuple[int, bytes]:
    """Copy up to the line of column names; the line number of row 0, and the file's line end."""
    names = [*(f"score_{member}" for member in rows.members), "score"]
    for number, line in enumerate(source, start=1):
        line = line.removeprefix(BOM) if number == 1 else line
        newline = b"\r\n" if line.endswith(b"\r\n") else b"\n"
        if line.startswith(b"#") or not line.strip():
            target.write(line)
            continue
        appended = ",".join(["track_id", *names, "flag", "reason"]).encode()
        target.write(line.rstrip(b"\r\n") + b"," + appended + newline)
        return number + 1, newline
    raise InputError(
        raw_csv, "it has no line of column names", "Restore the file as it was fetched"
    )


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    """The rest of a file in blocks of whole lines, the last line closed too."""
    rest = b""
    while block := source.read(BLOCK):
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end]
            rest = block[end:]
        else:
            rest += block
    if rest:
        yield rest + b"\n"


def _cells(
    rows: SurveyRows, start: int, stop: int, first_line: int, survey_names: Mapping[int, str]
) -> list[bytes]:
    """The cells behind each of a range of rows."""
    part = slice(start, stop)
    names = [*(f"score_{member}" for member in rows.members), "score"]
    frame = pl.DataFrame(
        {
            "track_id": rows.track_id[part],
            **{name: scores[part] for name, scores in zip(names, rows.scores, strict=True)},
            "flag": rows.flag[part].astype(np.uint8),
            "reason": _texts(rows, start, stop, first_line, survey_names),
        }
    ).with_columns(
        pl.when(pl.col("track_id") >= 0).then(pl.col("track_id")), pl.col(names).fill_nan(None)
    )
    text = BytesIO()
    frame.write_csv(text, include_header=False, float_precision=6, null_value="")
    return text.getvalue().removesuffix(b"\n").split(b"\n")


def _texts(
    rows: SurveyRows, start: int, stop: int, first_line: int, survey_names: Mapping[int, str]
) -> pl.Series:
    words = pl.Series([_words(code) or None for code in rows.codes], dtype=pl.String)
    texts = words.gather(pl.Series(rows.status[start:stop]))
    told_why = np.zeros(stop - start, dtype=np.bool_)
    told_why[[row - start for row in rows.reasons if start <= row < stop]] = True
    special = np.flatnonzero(told_why | (rows.kept[start:stop] >= 0))
    told = [
        _merged(rows, row, first_line, survey_names) if rows.kept[row] >= 0 else rows.reasons[row]
        for row in (special + start).tolist()
    ]
    if told:
        texts = texts.scatter(special, pl.Series(told, dtype=pl.String))
    return texts


def _words(code: str) -> str:
    return WORDS.get(code, f"not scored: {code.removeprefix(ACROSS).replace('_', ' ')}")


def _merged(rows: SurveyRows, row: int, first_line: int, survey_names: Mapping[int, str]) -> str:
    survey_no, other = divmod(int(rows.kept[row]), 2**32)
    if survey_no != rows.survey_no:
        name = survey_names.get(survey_no, f"survey number {survey_no}")
        place = f"data row {other + 1} of {name}"
    else:
        place = f"line {first_line + other}"
    text = f"merged with {place} at the same position"
    if not np.isnan(rows.scores[-1, row]):
        text += ", whose scores these are"
    if survey_no == rows.survey_no and rows.kept[other] >= 0:
        return f"{text}; that one: {_merged(rows, other, first_line, survey_names)}"
    if survey_no == rows.survey_no and rows.code(other) != SCORED:
        return f"{text}; that one: {_words(rows.code(other))}"
    return f"{text}: {rows.reasons[row]}" if row in rows.reasons else text
