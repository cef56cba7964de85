"""Writing files so that a reader never meets half of one: beside the target, then renamed over it."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedsieve.errors import BedsieveError

if TYPE_CHECKING:
    import polars as pl

_DISK = {
    errno.ENOSPC: "the disk is full. Free some space or point the results folder elsewhere, "
    "then run the same command again",
    errno.EDQUOT: "the disk quota is used up. Free some space, then run the same command again",
    errno.EROFS: "the file system is read-only. Choose a results folder that can be written",
    errno.EACCES: "permission denied. Choose a results folder that you may write",
    errno.EPERM: "the operation is not permitted. Choose a results folder that you may write",
}


SURVEY_ROWS = 16_384
"""Rows of a row group of tables by survey: some 500 km of track, so that a tile reads little beside its own."""


@contextmanager
def replacing(target: str | Path) -> Iterator[Path]:
    """Give a unique path beside `target` to write to; rename it over `target` on success.

    On any failure the partial file is removed and `target` stays as it was. What a killed job left beside
    `target` is cleared away first.

    Raises
    ------
    BedsieveError
        If the disk is full, read-only or not permitted, naming `target` and the remedy.
    """
    target = Path(target)
    # The suffix stays last: several writers choose their format by it.
    part = target.with_name(f".{target.stem}.tmp-{uuid.uuid4().hex[:12]}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(target)
        yield part
        os.replace(part, target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        remedy = _disk_remedy(error)
        if remedy is not None:
            raise BedsieveError(f"{target}: cannot be written: {remedy}.") from error
        raise


@contextmanager
def disk_errors(place: str | Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into an error that names `place` and the remedy.

    Raises
    ------
    BedsieveError
        In the place of the operating system's error.
    """
    try:
        yield
    except OSError as error:
        remedy = _disk_remedy(error)
        if remedy is None:
            raise
        raise BedsieveError(f"{place}: cannot be written: {remedy}.") from error


def _clear_leftovers(target: Path) -> None:
    """Remove the partial files and scratch folders of jobs for `target` that were killed."""
    for suffix in (target.suffix, ".scratch"):
        for left in target.parent.glob(f".{glob.escape(target.stem)}.tmp-*{suffix}"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _disk_remedy(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in _DISK:
        return _DISK[error.errno]
    text = str(error).lower()
    # polars and pyarrow may hand on the operating system's text without its number.
    if "no space left on device" in text:
        return _DISK[errno.ENOSPC]
    if "read-only file system" in text:
        return _DISK[errno.EROFS]
    return None


def write_parquet(
    frame: pl.DataFrame | pl.LazyFrame, target: str | Path, rows: int | None = None
) -> None:
    """Write a frame as zstd-1 Parquet, beside `target` and then over it (lazy frames stream).

    Parameters
    ----------
    frame : DataFrame or LazyFrame
        The table.
    target : path
        The file.
    rows : int, optional
        Rows of a row group, by default polars' own; `SURVEY_ROWS` for tables along tracks.
    """
    import polars as pl

    with replacing(target) as part:
        if isinstance(frame, pl.LazyFrame):
            frame.sink_parquet(part, compression="zstd", compression_level=1, row_group_size=rows)
        else:
            frame.write_parquet(part, compression="zstd", compression_level=1, row_group_size=rows)


def write_json(value: Any, target: str | Path) -> None:
    """Write a JSON document with sorted keys, beside `target` and then over it."""
    with replacing(target) as part:
        part.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_text(text: str, target: str | Path) -> None:
    """Write text as UTF-8, beside `target` and then over it."""
    with replacing(target) as part:
        part.write_text(text, encoding="utf-8")


def write_rows(rows: Sequence[Mapping[str, Any]], target: str | Path) -> None:
    """Write rows that have the same keys, at least one, as tab-separated text with a header."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    write_text("".join("\t".join(str(cell) for cell in line) + "\n" for line in lines), target)


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
