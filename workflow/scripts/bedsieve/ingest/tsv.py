"""Tables that people write: tab-separated, with a line of column names, comments and blank lines allowed.

In: a file and the columns that it may and must have. Out: its rows by column, with line numbers. The workflow reads such
tables while it is being parsed, so nothing but the standard library is imported here.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from bedsieve.errors import InputError


def table_rows(
    path: Path, known: tuple[str, ...], needed: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of every row that is not blank or a comment.

    Parameters
    ----------
    path : Path
    known, needed : tuple of str
        Columns that there may be, and that there must be.

    Raises
    ------
    InputError
        Naming the line: a quote left open, an unknown, missing or repeated column, too many cells. Or if
        the file is missing, empty or not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(path, "no such file", "Correct the path in the configuration") from None
    except UnicodeDecodeError as error:
        raise InputError(path, "is not UTF-8 text", "Save it as UTF-8") from error
    # Not splitlines(), which also ends lines at marks that editors don't count.
    reader = csv.reader(StringIO(text, newline=""), delimiter="\t")
    header: list[str] | None = None
    last = 0
    for cells in reader:
        first, last = last + 1, reader.line_num
        if first != last:
            # An unclosed quote would swallow every row after it.
            problem = f"a quoted cell goes on to line {last}"
            raise InputError(path, problem, "Close its quote, or take the quote out", first)
        if not any(cell.strip() for cell in cells) or cells[0].startswith("#"):
            continue
        cells = [cell.strip() for cell in cells]
        if header is None:
            header = cells
            _check_header(path, reader.line_num, header, known, needed)
        elif len(cells) > len(header) or len(cells) == 1 < len(needed):
            problem = f"{len(cells)} cells under {len(header)} columns"
            raise InputError(path, problem, "Separate the cells by single tabs", reader.line_num)
        else:
            yield reader.line_num, dict(zip(header, cells, strict=False))
    if header is None:
        raise InputError(path, "is empty", f"Begin with the columns {', '.join(known)}")


def _check_header(
    path: Path, line: int, header: list[str], known: tuple[str, ...], needed: tuple[str, ...]
) -> None:
    for name in header:
        if name not in known:
            remedy = f"Separate by tabs; the columns are {', '.join(known)}"
            raise InputError(path, f"unknown column {name!r}{nearest(name, known)}", remedy, line)
        if header.count(name) > 1:
            raise InputError(path, f"column {name} stands twice", "Remove one of the two", line)
    for name in needed:
        if name not in header:
            raise InputError(path, f"column {name} is missing", f"Add the column {name}", line)


def nearest(word: str, words: tuple[str, ...]) -> str:
    """A question that names the known word most like one that was not known; empty if none is."""
    import difflib

    close = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
