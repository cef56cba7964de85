"""The cells of a CSV's rows: bytes in, numbers and texts by column out.

The inner loop of ingest. It looks only at the columns that are asked for, holds one block of the
file at a time, knows where anything unreadable stands, and releases Python's lock, so that blocks
are parsed side by side. Numbers come out as Python's `float` gives them, to the last bit.
(polars' reader is as fast, but takes 350 MB, names no line, and leaves dates and -9999 to do.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from bedsieve.ingest.cell_kernels import (
    CLOCK,
    DATE,
    FULL,
    IDENTITY,
    LENIENT,
    MISSING,
    NOT_A_NUMBER,
    NUMBER,
    POWERS,
    SKIP,
    TEXT,
    parse_rows,
    skip_cell,
)
from bedsieve.ingest.times import days_of, seconds_of

# Cells that only Python can read, kept for it until there are so many.
_ODD_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Cells:
    """Some rows of a file, by column.

    Attributes
    ----------
    rows : int
    columns : dict of str to ndarray or polars.Series, of length rows
        By the kind that was asked for. NUMBER and LENIENT: float64, NaN where missing (-9999, not
        finite, empty); LENIENT also where the cell holds text. DATE and CLOCK: float64, days
        since 1970-01-01 and whole seconds of the day, NaN where missing or not understood.
        IDENTITY: uint64, equal for equal texts, 0 where missing. TEXT: a Series of str, null
        where missing.
    """

    rows: int
    columns: dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What is wrong with a row: `SHORT`, `LONG` or `NOT_A_NUMBER`; 0-based row and column.

    In a short row, `column` is the last one that it has; where a number should be, `text` is what
    stands there.
    """

    why: int
    row: int
    column: int
    text: str = ""


def parse_cells(
    block: bytes, names: tuple[str, ...], wanted: Mapping[str, int], room: int = 0
) -> Cells | Fault:
    """Parse whole lines.

    Parameters
    ----------
    block : bytes
        Lines, each ended by a newline, also the last one. A blank line is a row without values.
    names : tuple of str
        The columns of the file.
    wanted : mapping of str to int
        Which of them to read, and as what: `NUMBER`, `LENIENT`, `DATE`, `CLOCK`, `IDENTITY` or
        `TEXT`.
    room : int
        How many rows to make room for at first; by default the lines are counted, which takes a
        good part of the time.

    Returns
    -------
    Cells or Fault
        The first fault, where there is one.
    """
    kinds = np.array([wanted.get(name, SKIP) for name in names])
    numeric = [k for k, kind in enumerate(kinds) if SKIP < kind < IDENTITY]
    naming = [k for k, kind in enumerate(kinds) if kind == IDENTITY]
    textual = [k for k, kind in enumerate(kinds) if kind == TEXT]
    slots = np.zeros(len(kinds), np.int64)
    for group in (numeric, naming, textual):
        slots[group] = np.arange(len(group))
    most = room or block.count(b"\n")
    numbers = np.empty((len(numeric), most))
    identities = np.empty((len(naming), most), np.uint64)
    characters = np.empty((len(textual), len(block)), np.uint8)
    offsets = np.zeros((len(textual), most + 1), np.int32)
    odd = np.empty((_ODD_AT_ONCE + len(kinds), 3), np.int64)
    buffer = np.frombuffer(block, np.uint8)
    at = row = 0
    while at < len(block):
        at, row, found, why, column = parse_rows(
            buffer, at, row, kinds, slots, numbers, identities, characters, offsets, odd, POWERS
        )
        fault = _settle_odd(buffer, odd[:found], kinds, slots, numbers)
        if fault is not None:
            return fault
        if why == FULL:
            return parse_cells(block, names, wanted)
        if why:
            return Fault(why, row, column)
    columns: dict[str, Any] = {names[k]: numbers[i, :row] for i, k in enumerate(numeric)}
    columns |= {names[k]: identities[i, :row] for i, k in enumerate(naming)}
    for i, k in enumerate(textual):
        ends = offsets[i, : row + 1]
        columns[names[k]] = _texts(names[k], ends, characters[i, : ends[-1]])
    return Cells(row, columns)


def _settle_odd(
    buffer: NDArray[np.uint8],
    odd: NDArray[np.int64],
    kinds: NDArray[np.int64],
    slots: NDArray[np.int64],
    numbers: NDArray[np.float64],
) -> Fault | None:
    for row, column, start in odd.tolist():
        cell = buffer[start : skip_cell(buffer, start)].tobytes()
        text = cell.decode("utf-8", errors="replace").strip().strip('"')
        value = _value(text, int(kinds[column]))
        if value is None:
            return Fault(NOT_A_NUMBER, row, column, text)
        numbers[slots[column], row] = value
    return None


def _value(text: str, kind: int) -> float | None:
    if kind == DATE:
        return days_of(text)
    if kind == CLOCK:
        return seconds_of(text)
    try:
        # Python also takes underscores, which no CSV number has.
        value = float(text.replace("_", "?")) if text else np.nan
    except ValueError:
        return np.nan if kind == LENIENT else None
    return value if np.isfinite(value) and value != MISSING else np.nan


def _texts(name: str, offsets: NDArray[np.int32], characters: NDArray[np.uint8]) -> pl.Series:
    if (characters > 127).any():
        whole = characters.tobytes()
        bounds = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        values = [whole[i:j].decode("utf-8", errors="replace") or None for i, j in bounds]
        return pl.Series(name, values, dtype=pl.String)
    present = np.packbits(np.diff(offsets) > 0, bitorder="little")
    buffers = [pa.py_buffer(np.ascontiguousarray(part)) for part in (present, offsets, characters)]
    return pl.Series(name, pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers))


__all__ = [
    "CLOCK",
    "DATE",
    "IDENTITY",
    "LENIENT",
    "NUMBER",
    "TEXT",
    "Cells",
    "Fault",
    "parse_cells",
]
