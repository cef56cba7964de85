"""Categorical score matching on any plain table: `python -m bedsieve.detectors.gnsm_table TABLE --out SCORES`.

In: a Parquet or CSV file; with a label column also which of its values is the anomaly. Out: a Parquet
table with a score a row, higher = more anomalous. Without a label all rows are taken as mostly sound: nine
tenths are learnt from, one tenth is held out, all are scored. With a label the split is that of the source
(seed 002, section 5.1): inliers 80/10/10, and the last tenth with all anomalies is the test.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.gnsm_coding import Coding, learn_coding
from bedsieve.detectors.gnsm_settings import LOSSES, NORMS, GnsmSettings
from bedsieve.errors import BedsieveError, InputError
from bedsieve.files import write_parquet

PARTS = ("train", "validation", "test")
_FEWEST = 10  # inliers, so that each part has one
Index = npt.NDArray[np.int64]


class Split(NamedTuple):
    """Rows of a table by their part."""

    train: Index
    validation: Index
    test: Index


def split_rows(anomaly: npt.NDArray[np.bool_], seed: int) -> Split:
    """Inliers 80/10/10 at random, and all anomalies into the test (seed 002, section 5.1)."""
    inliers = np.random.default_rng([seed, 2]).permutation(np.flatnonzero(~anomaly))
    first, second = round(0.8 * inliers.size), round(0.9 * inliers.size)
    train, validation, test = np.split(inliers, [first, second])
    return Split(train, validation, np.concatenate([test, np.flatnonzero(anomaly)]))


def _split_unlabelled(rows: int, seed: int) -> Split:
    order = np.random.default_rng([seed, 2]).permutation(rows)
    return Split(order[rows // 10 :], order[: rows // 10], np.empty(0, np.int64))


def read_table(path: str | Path) -> pl.DataFrame:
    """Read a Parquet file, or a CSV with a line of column names.

    Raises
    ------
    InputError
        If there is no such file or it cannot be read as its suffix says.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "there is no such file", "Give the path of a .parquet or .csv file")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(path, f"cannot be read ({error})", "Check the file") from error


def column_kinds(
    table: pl.DataFrame, categorical: Sequence[str], ignored: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Categorical and numeric columns: numbers are numbers unless named in `categorical`.

    Raises
    ------
    BedsieveError
        If a column is named that the table does not have.
    """
    for name in (*categorical, *ignored):
        if name not in table.columns:
            raise BedsieveError(f"there is no column {name!r}. Known: {', '.join(table.columns)}.")
    used = [name for name in table.columns if name not in ignored]
    numbers = [n for n in used if table.schema[n].is_numeric() and n not in categorical]
    return [name for name in used if name not in numbers], numbers


def table_coding(
    table: pl.DataFrame, split: Split, categorical: Sequence[str], ignored: Sequence[str]
) -> Coding:
    """Coding of a table: categories of all its rows, since the method must know them; numbers by `train`."""
    kinds = column_kinds(table, categorical, ignored)
    return learn_coding(table, *kinds, learnt_from=table[split.train])


def score_table(
    table_path: str | Path,
    out_path: str | Path,
    settings: GnsmSettings,
    *,
    label: str | None = None,
    anomaly: str = "1",
    categorical: Sequence[str] = (),
    ignored: Sequence[str] = (),
    seed: int = 0,
    device: str = "cpu",
) -> float | None:
    """Fit the method to a table and score its rows.

    Parameters
    ----------
    table_path : path-like
        Parquet or CSV. Text and booleans are categories, numbers are numbers.
    out_path : path-like
        Parquet: row (from 0), part (train, validation or test), score; in the order of the table.
    settings : GnsmSettings
    label : str, optional
        Column that tells anomalies; it is no input.
    anomaly : str
        Its value for them.
    categorical, ignored : sequence of str
        Numeric columns that are categories, and columns to leave out.
    seed : int
    device : str
        ``"cpu"``, ``"gpu"`` or ``"auto"``.

    Returns
    -------
    float or None
        Average precision on the test rows, where there is a label.

    Raises
    ------
    InputError
        If the table cannot be read, is too short, or has no anomaly.
    """
    from bedsieve.detectors.gnn_settings import torch_device
    from bedsieve.detectors.gnsm_model import fit_gnsm
    from bedsieve.evaluation.metrics import Ranking, average_precision

    table = read_table(table_path)
    bad = _anomalies(table, label, anomaly, table_path)
    if int((~bad).sum()) < _FEWEST:
        raise InputError(table_path, f"has fewer than {_FEWEST} sound rows", "Give a longer table")
    split = _split_unlabelled(table.height, seed) if label is None else split_rows(bad, seed)
    coding = table_coding(table, split, categorical, [*ignored, *([label] if label else [])])
    where = torch_device(device)
    model, _ = fit_gnsm(
        table[split.train], table[split.validation], coding, settings, seed, device=where
    )
    score = model.negative_log_likelihood(table, where)
    part = np.empty(table.height, np.int64)
    for number, rows in enumerate(split):
        part[rows] = number
    names = pl.Series("part", [PARTS[number] for number in part])
    out = pl.DataFrame({"row": np.arange(table.height), "part": names, "score": score})
    write_parquet(out, out_path)
    if label is None:
        return None
    return average_precision(Ranking(score[split.test], bad[split.test]))


def _anomalies(
    table: pl.DataFrame, label: str | None, anomaly: str, path: str | Path
) -> npt.NDArray[np.bool_]:
    if label is None:
        return np.zeros(table.height, np.bool_)
    if label not in table.columns:
        known = ", ".join(table.columns)
        raise InputError(path, f"has no column {label!r}", f"Give one of {known}")
    bad = (table[label].cast(pl.String) == anomaly).fill_null(False).to_numpy()
    if not bad.any():
        some = ", ".join(table[label].cast(pl.String).unique().sort().drop_nulls().head(5))
        remedy = f"Give --anomaly one of the column's values: {some}"
        raise InputError(path, f"no row has {anomaly!r} in {label}", remedy)
    return bad


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bedsieve.detectors.gnsm_table",
        description="Score the rows of a table of categories and numbers: what is unlike most scores high.",
    )
    parser.add_argument("table", type=Path, help=".parquet or .csv")
    parser.add_argument("--out", type=Path, required=True, help="Parquet table of scores to write")
    parser.add_argument("--label", help="column that tells anomalies; it is no input")
    parser.add_argument("--anomaly", default="1", help="its value for them; default: %(default)s")
    parser.add_argument(
        "--categorical", default="", help="numeric columns that are categories: A,B"
    )
    parser.add_argument("--ignore", default="", help="columns to leave out: A,B")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--device", choices=("cpu", "gpu", "auto"), default="cpu")
    chosen = {"loss": LOSSES, "norm": NORMS}
    for field in fields(GnsmSettings):
        if field.name in chosen:
            parser.add_argument(
                f"--{field.name}", choices=chosen[field.name], default=field.default
            )
        elif isinstance(field.default, bool):
            parser.add_argument(f"--{field.name}", action="store_true")
        elif isinstance(field.default, int | float):
            option = "--" + field.name.replace("_", "-")
            kind = type(field.default)
            parser.add_argument(
                option, type=kind, default=field.default, help="default: %(default)s"
            )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    chosen = _parser().parse_args(arguments)
    told = vars(chosen)
    names = [field.name for field in fields(GnsmSettings) if field.name in told]
    try:
        reached = score_table(
            chosen.table,
            chosen.out,
            GnsmSettings.from_mapping({name: told[name] for name in names}),
            label=chosen.label,
            anomaly=chosen.anomaly,
            categorical=[name for name in chosen.categorical.split(",") if name],
            ignored=[name for name in chosen.ignore.split(",") if name],
            seed=chosen.seed,
            device=chosen.device,
        )
    except BedsieveError as error:
        print(f"bedsieve: {error}", file=sys.stderr)
        return 1
    if reached is not None:
        print(f"average precision on the test rows: {reached:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
