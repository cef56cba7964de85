"""A survey on disk while it is being harmonised: columns of plain numbers, one file each.

Duplicates and tracks can only be settled when the whole file has been seen, and no file may have
to fit into memory. So the parsed rows wait here, uncompressed (the operating system mostly keeps
them cached), to be read again column by column, chunk by chunk.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

CHUNK = 1 << 17


class Scratch:
    """Columns of equal length in a folder that is removed at the end.

    Parameters
    ----------
    folder : path-like
        Created on entry, removed with all it holds on exit.
    columns : mapping of str to dtype
        The columns that `append` takes.
    """

    def __init__(self, folder: str | Path, columns: Mapping[str, DTypeLike]) -> None:
        self.folder = Path(folder)
        self.rows = 0
        self._types = {name: np.dtype(dtype) for name, dtype in columns.items()}
        self._appended = tuple(columns)
        self._files: dict[str, IO[bytes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Scratch:
        self.folder.mkdir(parents=True)
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        for name in self._types:
            self._open(name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closed first: NFS keeps an open file's name alive in the folder to be removed.
        for stream in self._files.values():
            try:
                stream.close()
            except OSError:
                # A full disk also fails the last flush; what it held is thrown away anyhow.
                continue
        self._stack.close()

    def _open(self, name: str) -> None:
        self._files[name] = open(self.folder / name, "w+b", buffering=0)  # noqa: SIM115

    def append(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add rows: one array of equal length for each column."""
        lengths = {len(values) for values in columns.values()}
        if set(columns) != set(self._appended) or len(lengths) != 1:
            raise ValueError(f"columns {sorted(columns)} of lengths {lengths} do not fit")
        for name, values in columns.items():
            self.write(name, self.rows, values)
        self.rows += lengths.pop()

    def add_column(self, name: str, dtype: DTypeLike, value: float) -> None:
        """Add a column that holds `value` in every row so far."""
        self._types[name] = np.dtype(dtype)
        self._open(name)
        for start, stop in self.spans():
            self.write(name, start, np.full(stop - start, value, self._types[name]))

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._types

    def spans(self, rows: int = CHUNK) -> Iterator[tuple[int, int]]:
        """Cut all rows into (start, stop) of at most `rows` rows."""
        for start in range(0, self.rows, rows):
            yield start, min(start + rows, self.rows)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Rows start..stop of a column (all by default)."""
        dtype = self._types[name]
        out = np.empty((self.rows if stop is None else stop) - start, dtype)
        stream = self._files[name]
        stream.seek(start * dtype.itemsize)
        view = _bytes_of(out)
        filled = 0
        while filled < len(view):
            got = stream.readinto(view[filled:])  # type: ignore[attr-defined]
            if not got:
                raise ValueError(f"{name}: rows {start}..{stop} were never written")
            filled += got
        return out

    def write(self, name: str, start: int, values: NDArray[Any]) -> None:
        """Put `values` at row `start` and on."""
        dtype = self._types[name]
        data = np.ascontiguousarray(values, dtype)
        stream = self._files[name]
        stream.seek(start * dtype.itemsize)
        view = _bytes_of(data)
        while view:
            view = view[stream.write(view) :]

    def put(self, name: str, rows: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Overwrite single rows; `rows` ascend."""
        for start, stop in self.spans():
            first, last = np.searchsorted(rows, (start, stop))
            if first < last:
                chunk = self.read(name, start, stop)
                chunk[rows[first:last] - start] = values[first:last]
                self.write(name, start, chunk)


def _bytes_of(values: NDArray[Any]) -> memoryview:
    return memoryview(values.view(np.uint8).data)
