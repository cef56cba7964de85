"""The tables that categorical score matching is measured on: read, and told apart into sound and bad.

In: a folder with the tables. Out: a table of categories and numbers, and which rows are anomalies. Five of
the source's sets are prepared Parquet files. Census and probe are read from the files that their owners
publish, named in `gnsm_files.FETCHED`. Segmentation images, the source's second experiment, are no tables and are left
out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.benchmarks.gnsm_files import FETCHED
from bedsieve.errors import InputError

CENSUS_COLUMNS = (
    *("age", "class_of_worker", "industry_code", "occupation_code", "education", "wage_per_hour"),
    *("enrolled_in_edu", "marital", "major_industry", "major_occupation", "race", "hispanic"),
    *("sex", "union_member", "unemployment_reason", "full_or_part_time", "capital_gains"),
    *("capital_losses", "dividends", "tax_filer", "previous_region", "previous_state"),
    *("household_family", "household_summary", "instance_weight", "migration_msa"),
    *("migration_region", "migration_within_region", "same_house", "migration_sunbelt"),
    *("employer_persons", "family_under_18", "country_father", "country_mother"),
    *("country_self", "citizenship", "own_business", "veterans_form", "veterans_benefits"),
    *("weeks_worked", "year", "income"),
)
"""Columns of the KDD census-income files, which have no header; the last is the label."""

CENSUS_NUMBERS = ("age", "wage_per_hour", "capital_gains", "capital_losses", "dividends")
"""The source has 5 numbers and does not name them; these five are counts of years and money."""

PROBE_COLUMNS = {1: "protocol_type", 2: "service", 3: "flag", 11: "logged_in"} | {
    20: "is_host_login",
    21: "is_guest_login",
}
"""Categorical columns of a KDD Cup 1999 file by their place, those of the prepared u2r table."""

PROBES = ("ipsweep", "mscan", "nmap", "portsweep", "saint", "satan")
_KDD99_FIELDS = 42


class Table(NamedTuple):
    """A table, which rows are anomalies, and which of its columns are numbers."""

    rows: pl.DataFrame
    anomaly: npt.NDArray[np.bool_]
    numbers: tuple[str, ...] = ()


def read_set(case: str, data: Path) -> Table:
    """Read a set by its name in the source's Table 1, in small letters.

    Raises
    ------
    InputError
        If its file is missing or is not what it should be.
    """
    if case in FETCHED:
        paths = [data / file.name for file in FETCHED[case]]
        return _READERS[case](paths)
    path = data / f"{case}.parquet"
    _must_exist(path, "Put the prepared tables into the data folder")
    rows = pl.read_parquet(path)
    label = rows.columns[-1]
    anomaly = rows[label] == ("yes" if case == "bank" else "1")
    return Table(rows.drop(label), anomaly.to_numpy())


def read_census(paths: list[Path]) -> Table:
    """Read the KDD census-income files: people with 50,000 dollars and more are the anomalies."""
    parts = [_rows(path, len(CENSUS_COLUMNS)) for path in paths]
    rows = pl.concat(parts)
    rows.columns = list(CENSUS_COLUMNS)
    anomaly = rows["income"].str.contains("50000+", literal=True).to_numpy()
    numbers = [pl.col(name).cast(pl.Float64) for name in CENSUS_NUMBERS]
    # The weight says whom a row stands for in the population, nothing about the person.
    rows = rows.drop("income", "instance_weight").with_columns(numbers)
    return Table(rows, anomaly, CENSUS_NUMBERS)


def read_probe(paths: list[Path]) -> Table:
    """Read a KDD Cup 1999 file: normal connections, and probing as anomalies; other attacks are left out."""
    every = pl.concat([_rows(path, _KDD99_FIELDS) for path in paths])
    label = every[every.columns[-1]].str.strip_chars_end(".")
    rows = every.select(pl.nth(place).alias(name) for place, name in PROBE_COLUMNS.items())
    kept = label.is_in(["normal", *PROBES])
    return Table(rows.filter(kept), label.filter(kept).is_in(list(PROBES)).to_numpy())


_READERS: dict[str, Callable[[list[Path]], Table]] = {"census": read_census, "probe": read_probe}


def _rows(path: Path, columns: int) -> pl.DataFrame:
    """All cells of a file without a header as text, blanks around them taken off."""
    _must_exist(path, "Fetch it, see docs/explanation/gnsm.md")
    rows = pl.read_csv(path, has_header=False, infer_schema=False)
    if rows.width != columns:
        problem = f"has {rows.width} columns, not {columns}"
        raise InputError(path, problem, "Fetch the file again")
    return rows.with_columns(pl.all().str.strip_chars())


def _must_exist(path: Path, remedy: str) -> None:
    if not path.is_file():
        raise InputError(path, "is missing", remedy)
