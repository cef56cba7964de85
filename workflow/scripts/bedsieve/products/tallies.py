"""Tallies: what the points of a tile count up to, small enough to be added over all tiles.

In: the points of a tile with scores and labels. Out: one table a tile that the products over all tiles are
made of, so that a survey makes only its own tiles be counted again. Counts stand in fixed bins
(`bedsieve.products.bins`), and adding them up gives what all points counted at once would give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.ensemble.lookup import values_at
from bedsieve.files import write_parquet
from bedsieve.products.bins import (
    BANDS,
    DIFFERENCE_BINS,
    ENSEMBLE,
    LABELS,
    LOGIT_BINS,
    REFERENCE,
    RESIDUAL_BINS,
    RESIDUAL_OF,
    VARIABLES,
    band_of,
    difference_bin,
    logit_bin,
    residual_bin,
    step_of,
)
from bedsieve.products.tile_points import score_column

Counts = NDArray[np.int64]
Tallies = dict[str, pl.DataFrame]

NO_MEMBER = "no_member"

SCHEMAS: dict[str, dict[str, type[pl.DataType]]] = {
    "scores": {
        "detector": pl.String,
        "label": pl.Int32,
        "band": pl.Int32,
        "logit": pl.Int32,
        "points": pl.Int64,
    },
    "residuals": {
        "detector": pl.String,
        "band": pl.Int32,
        "residual": pl.Int32,
        "points": pl.Int64,
    },
    "differences": {
        "detector": pl.String,
        "band": pl.Int32,
        "difference": pl.Int32,
        "points": pl.Int64,
    },
    "missing": {"detector": pl.String, "code": pl.String, "points": pl.Int64},
    "variables": {
        "variable": pl.String,
        "step": pl.Int64,
        "points": pl.Int64,
        "flagged": pl.Int64,
        "labelled": pl.Int64,
        "outlier_labels": pl.Int64,
    },
    "surveys": {
        "survey_no": pl.Int64,
        "points": pl.Int64,
        "scored": pl.Int64,
        "flagged": pl.Int64,
        "highest_score": pl.Float32,
    },
    "outliers": {"east": pl.Float64, "north": pl.Float64},
    "corners": {"east": pl.Float64, "north": pl.Float64},
}
"""Tables of a tally. Numbers of bins are those of `bins`; `outliers` are the places (m) of outlier labels, in the
order of the points; `corners` those of the rectangle that holds all points."""

_SUMS = ("points", "flagged", "labelled", "outlier_labels", "scored")


def count_tile(frame: pl.DataFrame, members: Mapping[str, Sequence[str | Path]]) -> Tallies:
    """Count the points of a tile.

    Parameters
    ----------
    frame : DataFrame
        Of `tile_points.read_points`.
    members : mapping of str to paths
        Score tables of each detector: their codes say why a point has no score, and those of along_track
        hold the residual (m) to the neighbours along the track.

    Returns
    -------
    dict of str to DataFrame
        By the names in `SCHEMAS`.
    """
    detectors = [*members, ENSEMBLE]
    residual = _residuals(frame, members)
    difference = difference_bin(frame["ice_thickness"] - frame[REFERENCE].cast(pl.Float64))
    tables = {
        "scores": count_scores(frame, detectors),
        "residuals": _by_band(frame, detectors, "residual", residual, RESIDUAL_BINS),
        "differences": _by_band(frame, detectors, "difference", difference, DIFFERENCE_BINS),
        "missing": _missing(frame, members),
        "variables": _variables(frame),
        "surveys": _surveys(frame),
        "outliers": frame.filter(pl.col("label") == LABELS.index("outlier")),
        "corners": _corners(frame),
    }
    return {name: _shaped(table, name) for name, table in tables.items()}


def count_scores(frame: pl.DataFrame, detectors: Sequence[str]) -> pl.DataFrame:
    """Points of `read_points` by detector, label, band and bin of the logit of their score."""
    label = frame["label"].to_numpy().astype(np.int64)
    shape = len(LABELS), len(BANDS) - 1, LOGIT_BINS
    parts = []
    for name in detectors:
        known, score = _scores(frame, name)
        counts = _count(shape, label[known], band_of(score), logit_bin(score))
        parts.append(_sparse(name, counts, ("label", "band", "logit")))
    return _shaped(pl.concat(parts), "scores")


def write_tallies(tallies: Tallies, path: str | Path) -> None:
    """Write the tables of a tile as one; its column `tally` says which table a row is of."""
    named = [table.select(pl.lit(name).alias("tally"), pl.all()) for name, table in tallies.items()]
    write_parquet(pl.concat(named, how="diagonal"), path)


def read_tallies(path: str | Path, names: Iterable[str]) -> Tallies:
    """Read tables of a tile back, by their names in `SCHEMAS`."""
    whole = pl.scan_parquet(path)
    tables = [whole.filter(tally=name).select(list(SCHEMAS[name])) for name in names]
    return dict(zip(names, pl.collect_all(tables), strict=True))


def added(tables: Sequence[pl.DataFrame], name: str) -> pl.DataFrame:
    """Add up a table of counts over tiles.

    Parameters
    ----------
    tables : sequence of DataFrame
        The table of each tile.
    name : str
        Which of `SCHEMAS` it is.

    Returns
    -------
    DataFrame
        One row a key, sorted by its columns.
    """
    schema = SCHEMAS[name]
    keys = [column for column in schema if column not in (*_SUMS, "highest_score")]
    highest = [pl.col("highest_score").max()] if "highest_score" in schema else []
    whole = pl.concat([pl.DataFrame(schema=schema), *tables])
    return (
        whole.group_by(keys)
        .agg(pl.col([c for c in _SUMS if c in schema]).sum(), *highest)
        .sort(keys)
    )


def _shaped(table: pl.DataFrame, name: str) -> pl.DataFrame:
    return table.select(pl.col(column).cast(kind) for column, kind in SCHEMAS[name].items())


def _scores(frame: pl.DataFrame, detector: str) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Which points a detector scored, and their scores."""
    column = frame[score_column(detector)]
    return column.is_not_null().to_numpy(), column.drop_nulls().to_numpy()


def _residuals(frame: pl.DataFrame, members: Mapping[str, Sequence[str | Path]]) -> Counts:
    if RESIDUAL_OF not in members:
        return np.full(frame.height, -1)
    ids = frame["point_id"].to_numpy()
    found = values_at(ids, members[RESIDUAL_OF], ["residual"])["residual"]
    return residual_bin(found.cast(pl.Float32).fill_null(float("nan")).to_numpy())


def _by_band(
    frame: pl.DataFrame, detectors: Sequence[str], what: str, place: Counts, bins: int
) -> pl.DataFrame:
    parts = []
    for name in detectors:
        known, score = _scores(frame, name)
        seen = place[known] >= 0
        counts = _count((len(BANDS) - 1, bins), band_of(score)[seen], place[known][seen])
        parts.append(_sparse(name, counts, ("band", what)))
    return pl.concat(parts)


def _missing(frame: pl.DataFrame, members: Mapping[str, Sequence[str | Path]]) -> pl.DataFrame:
    parts = [pl.DataFrame(schema=SCHEMAS["missing"])]
    for name in (*members, ENSEMBLE):
        ids = frame.filter(pl.col(score_column(name)).is_null())["point_id"].to_numpy()
        if name == ENSEMBLE:
            codes = pl.Series("code", [NO_MEMBER] * len(ids), pl.String)
        else:
            codes = values_at(ids, members[name], ["code"])["code"].cast(pl.String)
        counts = codes.fill_null("no_row").alias("code").value_counts(sort=True, name="points")
        parts.append(
            counts.select(
                detector=pl.lit(name), code="code", points=pl.col("points").cast(pl.Int64)
            )
        )
    return pl.concat(parts)


def _variables(frame: pl.DataFrame) -> pl.DataFrame:
    parts = []
    for name in VARIABLES:
        values = frame[name].cast(pl.Float64).fill_null(float("nan"))
        known = values.is_finite()
        steps = pl.Series("step", step_of(name, values.filter(known).to_numpy()))
        counts = (
            frame.select("flag", "label")
            .filter(known)
            .with_columns(steps)
            .group_by("step")
            .agg(
                pl.len().alias("points"),
                pl.col("flag").sum().alias("flagged"),
                (pl.col("label") < LABELS.index("none")).sum().alias("labelled"),
                (pl.col("label") == LABELS.index("outlier")).sum().alias("outlier_labels"),
            )
            .sort("step")
        )
        parts.append(counts.with_columns(pl.lit(name).alias("variable")))
    return pl.concat(parts)


def _surveys(frame: pl.DataFrame) -> pl.DataFrame:
    survey = (pl.col("point_id") // 2**32).alias("survey_no")
    return (
        frame.group_by(survey)
        .agg(
            pl.len().alias("points"),
            pl.col("score").count().alias("scored"),
            pl.col("flag").sum().alias("flagged"),
            pl.col("score").max().alias("highest_score"),
        )
        .sort("survey_no")
    )


def _corners(frame: pl.DataFrame) -> pl.DataFrame:
    if frame.height == 0:
        return frame
    (west, east), (south, north) = (
        (frame[axis].min(), frame[axis].max()) for axis in ("east", "north")
    )
    return pl.DataFrame({"east": [west, west, east, east], "north": [south, north, south, north]})


def _count(shape: tuple[int, ...], *places: Counts) -> Counts:
    flat = np.ravel_multi_index(places, shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)


def _sparse(detector: str, counts: Counts, axes: Sequence[str]) -> pl.DataFrame:
    """The counts that are not 0, one a row."""
    places = np.nonzero(counts)
    columns = dict(zip(axes, places, strict=True)) | {"points": counts[places]}
    return pl.DataFrame(columns).select(pl.lit(detector).alias("detector"), pl.all())
