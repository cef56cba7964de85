"""The ledger of a run adds up, or says which survey does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bedsieve.errors import BedsieveError
from bedsieve.products.ledger import ledger_table, write_ledger


def survey(name: str, number: int, rows: int, **counts: int) -> dict[str, Any]:
    return {"survey": name, "survey_no": number, "rows_in_file": rows, "counts": counts}


def tile(**surveys: dict[str, int]) -> dict[str, Any]:
    return {"surveys": {number.lstrip("n"): counts for number, counts in surveys.items()}}


SURVEYS = [
    survey("B", 2, 10, kept=6, no_thickness=4),
    survey("A", 1, 5, kept=4, duplicate_merged=1),
]
TILES = [
    tile(n1={"kept": 3}, n2={"kept": 1}),
    tile(n1={"kept": 0, "cross_survey_duplicate_merged": 1}, n2={"kept": 5}),
]


def test_rows_are_followed_from_file_to_tiles() -> None:
    table = ledger_table(SURVEYS, TILES)
    assert table["survey"].to_list() == ["A", "B", "all"]
    assert table["rows_in_file"].to_list() == [5, 10, 15]
    assert table["no_thickness"].to_list() == [0, 4, 4]
    assert table["duplicate_merged"].to_list() == [1, 0, 1]
    assert table["cross_survey_duplicate_merged"].to_list() == [1, 0, 1]
    assert table["points"].to_list() == [3, 6, 9]


def test_points_that_no_tile_took_are_an_error() -> None:
    with pytest.raises(BedsieveError, match="survey B: 6 points were harmonised but 5 arrived"):
        ledger_table(SURVEYS, [TILES[0], tile(n1={"kept": 1}, n2={"kept": 4})])


def test_a_ledger_that_misses_rows_is_an_error() -> None:
    with pytest.raises(BedsieveError, match="survey A: its ledger accounts for 4 of 5 rows"):
        ledger_table([survey("A", 1, 5, kept=4)], TILES)


def test_written_table(tmp_path: Path) -> None:
    for number, document in enumerate([*SURVEYS, *TILES]):
        (tmp_path / f"{number}.json").write_text(json.dumps(document))
    out = tmp_path / "ledger.tsv"
    write_ledger(
        [tmp_path / "0.json", tmp_path / "1.json"], [tmp_path / "2.json", tmp_path / "3.json"], out
    )
    assert pl.read_csv(out, separator="\t").equals(ledger_table(SURVEYS, TILES))
