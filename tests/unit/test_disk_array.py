"""Arrays that grow on disk and are then mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bedsieve.detectors import disk_array
from bedsieve.detectors.disk_array import DiskArray
from bedsieve.errors import BedsieveError


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.float32])
def test_parts_become_one_array_that_can_be_written(dtype: type, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(-9, 9, (n, 3)).astype(dtype) for n in (4, 0, 70_000, 1)]
    array = DiskArray(tmp_path / "new")
    for part in parts:
        array.append(part[:, ::-1])  # not contiguous
    found = array.mapped()
    assert type(found) is np.ndarray
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.concatenate(parts)[:, ::-1])
    found[2:4] = 7
    assert (found[2:4] == 7).all()
    # Nothing has a name, so nothing is left, whatever ends the process.
    assert not list((tmp_path / "new").iterdir())


def test_no_rows_and_rows_that_do_not_fit(tmp_path: Path) -> None:
    empty = DiskArray(tmp_path)
    empty.append(np.empty((0, 5), np.int32))
    assert empty.mapped().shape == (0, 5)
    array = DiskArray(tmp_path)
    array.append(np.zeros((2, 5), np.int32))
    for wrong in (np.zeros((2, 4), np.int32), np.zeros((2, 5), np.int64)):
        with pytest.raises(ValueError, match="do not fit"):
            array.append(wrong)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, data: memoryview) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk_array.tempfile, "TemporaryFile", lambda **_: Full())
    array = DiskArray(tmp_path)
    with pytest.raises(BedsieveError, match="the disk is full"):
        array.append(np.zeros((2, 5)))
