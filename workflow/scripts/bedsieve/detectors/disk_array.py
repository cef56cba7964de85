"""An array that grows tile by tile on disk and is then mapped, so that it may be larger than memory.

In: rows, part by part. Out: one array that lies in a file without a name: the operating system keeps in
memory what is used, and takes the file back when the process ends, however it ends. The graph around the
training seeds of the whole of Bedmap has 12 GB; appended in memory it would stand there twice.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bedsieve.files import disk_errors


class DiskArray:
    """Rows below one another in a file of their own.

    Parameters
    ----------
    folder : path-like, optional
        Where the file lies, without a name; made if it is not there. The system's folder for temporary
        files if not given.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self._place = str(folder or tempfile.gettempdir())
        with disk_errors(self._place):
            Path(self._place).mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._place, buffering=0)  # noqa: SIM115
        self._rows = 0
        self._like: npt.NDArray[Any] | None = None

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Add rows; all parts have one type and one shape but for the number of rows.

        Raises
        ------
        ValueError
            If a part does not fit those before it.
        BedsieveError
            If the disk is full.
        """
        if self._like is None:
            self._like = rows[:0].copy()
        elif rows.dtype != self._like.dtype or rows.shape[1:] != self._like.shape[1:]:
            raise ValueError(f"{rows.dtype}{rows.shape[1:]} do not fit {self._like.dtype}")
        data = np.ascontiguousarray(rows)
        left = memoryview(data.reshape(-1).view(np.uint8).data)
        with disk_errors(self._place):
            while left:
                left = left[self._file.write(left) :]
        self._rows += len(rows)

    def mapped(self) -> npt.NDArray[Any]:
        """All rows as one array that may be written to; nothing can be appended after."""
        if self._like is None or self._rows == 0:
            return np.empty(0) if self._like is None else self._like
        shape = (self._rows, *self._like.shape[1:])
        found = np.memmap(self._file, self._like.dtype, "r+", shape=shape)
        self._file.close()
        # The plain view keeps the mapping alive, and compiled kernels take it as any other array.
        return np.asarray(found)
