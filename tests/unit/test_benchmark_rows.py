"""Rows of the repeated experiments: what is written is read back."""

from pathlib import Path

import pytest

from bedsieve.benchmarks.rows import Row, read_rows, write_rows
from bedsieve.errors import InputError


def test_rows_come_back(tmp_path: Path) -> None:
    rows = [
        Row("gnsm", "bank", "network", "average precision", 3, 0.5, 0.47, 0.02),
        Row("gnsm", "bank", "isolation forest", "average precision", 3, 0.4),
    ]
    write_rows(tmp_path / "rows.json", rows)
    assert read_rows(tmp_path / "rows.json") == rows


def test_another_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"method": "gnsm"}]')
    with pytest.raises(InputError, match=r"rows\.json.*Delete the file"):
        read_rows(tmp_path / "rows.json")
