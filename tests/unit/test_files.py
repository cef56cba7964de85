"""Writing beside the target and renaming: all or nothing."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from bedsieve.errors import BedsieveError
from bedsieve.files import replacing, sha256_of, write_json, write_parquet, write_text


def test_target_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.json"
    write_json({"b": 1, "a": [2]}, target)
    assert json.loads(target.read_text()) == {"a": [2], "b": 1}
    assert [path.name for path in target.parent.iterdir()] == ["a.json"]


def test_failure_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text("old", target)
    with pytest.raises(FileNotFoundError), replacing(target) as part:
        shutil.copy(tmp_path / "none", part)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "permission")],
)
def test_disk_troubles_name_the_target_and_the_remedy(
    tmp_path: Path, number: int, words: str
) -> None:
    with pytest.raises(BedsieveError, match=words) as caught, replacing(tmp_path / "a.txt"):
        raise OSError(number, "no")
    assert str(tmp_path / "a.txt") in str(caught.value)


def test_texts_of_other_libraries_are_understood(tmp_path: Path) -> None:
    with pytest.raises(BedsieveError, match="disk is full"), replacing(tmp_path / "a.parquet"):
        raise RuntimeError("writer: No space left on device (os error 28)")


def test_other_errors_pass_through(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"), replacing(tmp_path / "a"):
        raise OSError(errno.EIO, "gone")


def test_parquet_is_the_same_from_frame_and_from_lazy_frame(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [3, 1, 2], "b": ["x", None, "z"]})
    write_parquet(frame, tmp_path / "a.parquet")
    write_parquet(frame.lazy(), tmp_path / "b.parquet")
    assert pl.read_parquet(tmp_path / "a.parquet").equals(frame)
    assert pl.read_parquet(tmp_path / "b.parquet").equals(frame)


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea")


def test_leftovers_of_killed_jobs_are_cleared_and_strangers_are_not(tmp_path: Path) -> None:
    mine = [tmp_path / ".a.tmp-1234.json", tmp_path / ".a.tmp-1234.scratch" / "column"]
    strangers = [tmp_path / ".a.b.tmp-1234.json", tmp_path / ".a.tmp-1234.tsv"]
    for path in (*mine, *strangers):
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    write_json({}, tmp_path / "a.json")
    assert not any(path.exists() for path in mine)
    assert all(path.exists() for path in strangers)
