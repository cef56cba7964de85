"""Survey files in Bedmap's CSV format: a path in, its rows in clean columns out.

A file is read as a stream of blocks that are parsed side by side and handed on in order, so one
of any size passes through bounded memory. Every line after the column names is a row, also a
blank one: row numbers must not depend on what a row holds.
"""

from __future__ import annotations

import gzip
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import polars as pl
from polars.io.plugins import register_io_source

from bedsieve.errors import InputError
from bedsieve.ingest.cell_kernels import LENIENT, NOT_A_NUMBER, NUMBER, SHORT, TEXT
from bedsieve.ingest.cells import Cells, Fault, parse_cells
from bedsieve.ingest.header import COLUMNS, Header, open_survey, read_header

__all__ = ["Header", "read_batches", "read_cells", "read_header", "scan_survey"]

T = TypeVar("T")

_TEXTS = ("trajectory_id", "date", "time")
# Some trace numbers are text; such a number counts as missing.
KINDS = dict.fromkeys(COLUMNS.values(), NUMBER)
KINDS |= {"trace_number": LENIENT} | dict.fromkeys(_TEXTS, TEXT)
SCHEMA = pl.Schema(
    {name: pl.String if kind == TEXT else pl.Float64 for name, kind in KINDS.items()}
)
BLOCK = 4 << 20


def scan_survey(path: str | Path, header: Header | None = None) -> pl.LazyFrame:
    """The rows of a survey file as a lazy frame, in the order of the file.

    Parameters
    ----------
    path : path-like
        A Bedmap CSV.
    header : Header, optional
        Its header, if it has been read already.

    Returns
    -------
    polars.LazyFrame
        The twelve columns of the format under `SCHEMA`: trajectory_id, date and time as strings,
        the others float64 in the file's units. Missing values (-9999, NaN, infinite, empty) and
        columns that the file lacks are null. Longitudes are as in the file.

    Raises
    ------
    InputError
        As `read_header` at once, and as `read_cells` when the frame is collected.
    """
    header = header or read_header(path)

    def source(
        with_columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for batch in read_batches(path, header, tuple(with_columns or SCHEMA)):
            frame = batch if left is None else batch.head(left)
            yield frame if predicate is None else frame.filter(predicate)
            if left is not None:
                left -= len(frame)
                if not left:
                    return

    return register_io_source(source, schema=SCHEMA)


def read_batches(
    path: str | Path, header: Header, columns: tuple[str, ...], rows: int | None = None
) -> Iterator[pl.DataFrame]:
    """Stream some of the columns of `scan_survey` as frames, in the order of the file.

    Parameters
    ----------
    path : path-like
        A Bedmap CSV.
    header : Header
        From `read_header`.
    columns : tuple of str
        Which of the columns; the others are not parsed.
    rows : int, optional
        Rows of a frame at most; by default those of a block of the file.

    Raises
    ------
    InputError
        As `read_cells`.
    """
    for cells in read_cells(path, header, {name: KINDS[name] for name in columns}, _itself):
        frame = pl.DataFrame(cells.columns).select(
            pl.col(name) if name in cells.columns else pl.lit(None, dtype=SCHEMA[name]).alias(name)
            for name in columns
        )
        frame = frame.with_columns(pl.selectors.float().fill_nan(None))
        yield from frame.iter_slices(rows) if rows else (frame,)


def _itself(cells: Cells) -> Cells:
    return cells


def read_cells(
    path: str | Path,
    header: Header,
    wanted: Mapping[str, int],
    work: Callable[[Cells], T],
    threads: int = 2,
    block_size: int = BLOCK,
) -> Iterator[T]:
    """Parse a survey file block by block, do something with each block, and give the results.

    Parameters
    ----------
    path : path-like
        A Bedmap CSV.
    header : Header
        From `read_header`.
    wanted : mapping of str to int
        Columns to parse, by their names in bedsieve, and the kind to parse each as. Columns that
        the file lacks are left out.
    work : callable
        Takes a block's cells, in one of `threads` threads, and gives what is yielded for it.
    threads : int
        Blocks to treat at the same time. Results come in the order of the file all the same.
    block_size : int
        About how many bytes to read at once.

    Raises
    ------
    InputError
        Naming the line: a row with too few or too many columns, text where a number belongs, a
        file cut off in its last line; or damaged gzip content.
    """
    names = tuple(name or "" for name in header.names)
    # Blocks of one file hold about as many rows: a guess too low costs a second parsing, one too
    # high costs memory.
    most = 0

    def one(block: bytes) -> tuple[int, T] | Fault:
        nonlocal most
        whole = block if block.endswith(b"\n") else block + b"\n"
        cells = parse_cells(whole, names, wanted, room=most)
        if isinstance(cells, Fault):
            return cells
        if whole is not block and block.rstrip().endswith(b","):
            return Fault(SHORT, cells.rows - 1, len(names) - 2)
        most = max(most, cells.rows + cells.rows // 4)
        return cells.rows, work(cells)

    line = header.data_line
    for block, result in _in_order(one, _blocks(path, header, block_size), threads):
        if isinstance(result, Fault):
            raise _error(path, header, result, line, block)
        line += result[0]
        yield result[1]


def _blocks(path: str | Path, header: Header, size: int) -> Iterator[bytes]:
    """Whole lines below the header, some at a time; the last may lack its newline."""
    with open_survey(path) as stream:
        try:
            for _ in range(header.data_line - 1):
                stream.readline()
            while block := stream.read(size):
                # To the end of the line that was begun.
                yield block if block.endswith(b"\n") else block + stream.readline()
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise InputError(
                path, "the gzip content is damaged or cut off", "Fetch the file again"
            ) from None


def _in_order(
    work: Callable[[bytes], T], blocks: Iterator[bytes], threads: int
) -> Iterator[tuple[bytes, T]]:
    waiting: deque[tuple[bytes, Future[T]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for block in blocks:
            waiting.append((block, pool.submit(work, block)))
            # One more than the threads is ready to begin while the oldest is waited for.
            if len(waiting) > threads + 1:
                first, result = waiting.popleft()
                yield first, result.result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result.result()


def _error(path: str | Path, header: Header, fault: Fault, line: int, block: bytes) -> InputError:
    width, at = len(header.columns), line + fault.row
    if fault.why == NOT_A_NUMBER:
        return InputError(
            path,
            f"{header.columns[fault.column]} holds {fault.text!r}, which is no number",
            "Write a plain decimal number, or -9999 where the value is missing",
            at,
        )
    if fault.why == SHORT and not block.endswith(b"\n") and fault.row == block.count(b"\n"):
        return InputError(
            path,
            f"the file is cut off in its last line: {fault.column + 1} of {width} columns, and no "
            "line end",
            "Fetch the file again",
            at,
        )
    has = f"only {fault.column + 1}" if fault.why == SHORT else "more than"
    return InputError(
        path,
        f"the row has {has} {'of ' if fault.why == SHORT else ''}{width} columns",
        "Mend this line, or fetch the file again",
        at,
    )
