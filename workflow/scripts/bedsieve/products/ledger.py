"""Where each row went: one line a survey from the rows of its file to the points in the tiles, adding up.

In go the ledgers of all surveys and of all tiles; out comes a table. A sum that does not come out means that a
tile is missing from the coverage table, and is an error.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from bedsieve.errors import BedsieveError
from bedsieve.files import replacing

_CROSS = ("cross_survey_duplicate_merged", "cross_survey_duplicate_conflict")


def write_ledger(
    survey_ledgers: Sequence[str | Path], tile_ledgers: Sequence[str | Path], out: str | Path
) -> None:
    """Write the ledger of the whole run as a tab-separated table.

    Parameters
    ----------
    survey_ledgers, tile_ledgers : sequence of path
        The JSON ledgers of harmonised surveys and of tiles.
    out : path
        The table.

    Raises
    ------
    BedsieveError
        If a survey's points do not all arrive in tiles.
    """
    surveys = [_read(path) for path in survey_ledgers]
    table = ledger_table(surveys, [_read(path) for path in tile_ledgers])
    with replacing(out) as part:
        table.write_csv(part, separator="\t")


def ledger_table(
    surveys: Sequence[dict[str, Any]], tiles: Sequence[dict[str, Any]]
) -> pl.DataFrame:
    """One row a survey: rows in the file, rows dropped by code, points harmonised, taken out, in tiles."""
    arrived: dict[int, Counter[str]] = {}
    for tile in tiles:
        for number, counts in tile["surveys"].items():
            arrived.setdefault(int(number), Counter()).update(counts)
    codes = sorted({code for survey in surveys for code in survey["counts"]} - {"kept"})
    rows = []
    for survey in sorted(surveys, key=lambda entry: int(entry["survey_no"])):
        counts = survey["counts"]
        there = arrived.get(survey["survey_no"], Counter())
        _check(survey, sum(there.values()))
        rows.append(
            {"survey": survey["survey"], "rows_in_file": survey["rows_in_file"]}
            | {code: counts.get(code, 0) for code in codes}
            | {"harmonised": counts.get("kept", 0)}
            | {code: there[code] for code in _CROSS}
            | {"points": there["kept"]}
        )
    table = pl.DataFrame(rows)
    total = table.select(pl.lit("all").alias("survey"), pl.exclude("survey").sum())
    return pl.concat([table, total])


def survey_notes(survey_ledgers: Sequence[str | Path]) -> list[str]:
    """What the surveys' ledgers remark, each remark once, with the surveys that it holds for."""
    said: dict[str, list[str]] = {}
    for path in survey_ledgers:
        ledger = _read(path)
        for note in ledger["notes"]:
            said.setdefault(note, []).append(ledger["survey"])
    return [
        f"{note} ({names[0] if len(names) == 1 else f'{len(names)} surveys'})"
        for note, names in said.items()
    ]


def _check(survey: dict[str, Any], in_tiles: int) -> None:
    counts, rows = survey["counts"], survey["rows_in_file"]
    if sum(counts.values()) != rows:
        raise BedsieveError(
            f"survey {survey['survey']}: its ledger accounts for {sum(counts.values())} of {rows} rows. "
            "Delete its harmonised files and run again."
        )
    if in_tiles != counts.get("kept", 0):
        raise BedsieveError(
            f"survey {survey['survey']}: {counts.get('kept', 0)} points were harmonised but {in_tiles} "
            "arrived in tiles. Its coverage is out of date: run `snakemake register`, then again."
        )


def _read(path: str | Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return document
