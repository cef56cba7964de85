"""Mis-tie statistics: how well surveys agree with themselves and with each other.

In: crossover tables of all tiles. Out: a row a survey and a row a pair of surveys, each with n,
median, RMS and the 95th percentile of |mis-tie|, as GMT's x2sys_report gives them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from bedsieve.files import replacing

_COLUMNS = ["kind", "survey_no_a", "survey_no_b", "internal", "mistie"]


def _statistics() -> list[pl.Expr]:
    mistie = pl.col("mistie")
    return [
        pl.len().alias("n"),
        mistie.median().alias("median"),
        mistie.abs().median().alias("median_abs"),
        (mistie**2).mean().sqrt().alias("rms"),
        mistie.abs().quantile(0.95, "linear").alias("p95"),
    ]


def survey_pair_misties(crossovers: Sequence[str | Path]) -> pl.DataFrame:
    """Mis-ties of each pair of surveys, of a survey with itself included.

    Parameters
    ----------
    crossovers : sequence of path
        Crossover tables; each crossover is in one of them only.

    Returns
    -------
    DataFrame
        survey_no_a <= survey_no_b, kind, n, median (m, of h_a - h_b), median_abs, rms, p95 (m, of
        |mis-tie|). Within a survey the sign of a mis-tie, and so the median, has no meaning:
        there it is null.
    """
    found = pl.scan_parquet([Path(path) for path in crossovers]).select(_COLUMNS)
    keys = ["survey_no_a", "survey_no_b", "kind"]
    table = found.group_by(keys).agg(_statistics()).sort(keys)
    between = pl.col("survey_no_a") != pl.col("survey_no_b")
    return table.with_columns(pl.when(between).then("median").alias("median")).collect()


def survey_misties(crossovers: Sequence[str | Path]) -> pl.DataFrame:
    """Mis-ties of each survey, internal (with itself) and external (with all others) apart.

    Parameters
    ----------
    crossovers : sequence of path
        Crossover tables; each crossover is in one of them only.

    Returns
    -------
    DataFrame
        survey_no, internal, kind, n, median (m, of the survey minus the others; null where
        internal), median_abs, rms, p95 (m, of |mis-tie|).
    """
    found = pl.scan_parquet([Path(path) for path in crossovers]).select(_COLUMNS)
    keep = ["kind", "internal", "mistie"]
    sides = pl.concat(
        [
            found.select(pl.col("survey_no_a").alias("survey_no"), *keep),
            found.filter(~pl.col("internal")).select(
                pl.col("survey_no_b").alias("survey_no"), "kind", "internal", -pl.col("mistie")
            ),
        ]
    )
    keys = ["survey_no", "internal", "kind"]
    table = sides.group_by(keys).agg(_statistics()).sort(keys)
    return table.with_columns(pl.when(~pl.col("internal")).then("median").alias("median")).collect()


def write_misties(
    crossovers: Sequence[str | Path],
    survey_names: Mapping[int, str],
    out_surveys: str | Path,
    out_pairs: str | Path,
) -> None:
    """Write the mis-ties of surveys and of pairs of surveys, by name, as tab-separated tables."""
    for table, path in (
        (survey_misties(crossovers), out_surveys),
        (survey_pair_misties(crossovers), out_pairs),
    ):
        named = table.rename({name: name.replace("survey_no", "survey") for name in table.columns})
        named = named.with_columns(
            pl.col(name).replace_strict(dict(survey_names), default="?", return_dtype=pl.String)
            for name in named.columns
            if name.startswith("survey")
        )
        with replacing(path) as part:
            named.write_csv(part, separator="\t", float_precision=3)
