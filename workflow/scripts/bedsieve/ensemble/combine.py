"""The ensemble: one score, flag and reason a point, from the score tables of its detectors.

Goes in: a tile's points, each member's tables and the biased lines. Comes out: a table in the order of the
points. A point's score is the mean over the members that could score it, so it depends on nothing but its own
members' scores (Study B, its ensemble slide; methods §5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.ensemble.line_bias import bias_of_points, explained, findings, witnesses
from bedsieve.ensemble.lookup import values_at
from bedsieve.ensemble.reasons import PHRASES, Phrase, evidence_column, reasons, with_line_bias
from bedsieve.errors import BedsieveError, ConfigError
from bedsieve.files import write_parquet

Input = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""What turns a member's scores into what is averaged; NaN stays NaN."""


def combine(
    points_path: str | Path,
    members: Mapping[str, Sequence[str | Path]],
    out_path: str | Path,
    threshold: float,
    weights: Mapping[str, float] | None = None,
    phrases: Mapping[str, Phrase] = PHRASES,
    inputs: Mapping[str, Input] | None = None,
    lines: pl.DataFrame | None = None,
    flag_explained: bool = True,
) -> pl.DataFrame:
    """Write the ensemble table of a tile.

    Parameters
    ----------
    points_path : path-like
        The tile's points.parquet.
    members : mapping of str to paths
        Score tables of each configured detector: one of the tile, or those of the surveys in it.
    out_path : path-like
        The table to write: point_id, score (float32), n_members (uint8), score_{member} (float32), flag,
        line_bias_m (float32, null off biased lines), explained, reason; rows in the order of the points.
        Scores are null where no member could score.
    threshold : float
        Points that score at least this are flagged.
    weights : mapping of str to float, optional
        Weight of a member in the mean, 1 where not given; others than the members' are not looked at.
    phrases : mapping of str to Phrase
        What the members' evidence means in words.
    inputs : mapping of str to callable, optional
        What turns a member's scores into ranks or probabilities before the mean is taken.
    lines : DataFrame, optional
        Lines that are biased as a whole, from `line_bias.biased_lines`.
    flag_explained : bool
        Whether points are flagged of which all that is odd is the bias of their line. They have a reason
        either way.

    Returns
    -------
    DataFrame
        One row a biased line with points in the tile, from `line_bias.findings`; empty without `lines`.

    Raises
    ------
    ConfigError
        If a member has no table at all, or a weight that is not positive.
    BedsieveError
        If a member's tables hold none of the points, or scores outside 0 to 1.
    """
    weight = _checked_weights(members, weights or {})
    points = _points(points_path, lines)
    ids = points["point_id"].to_numpy()
    columns = {member: member_scores(member, ids, tables) for member, tables in members.items()}
    taken = [inputs[m](c) if inputs and m in inputs else c for m, c in columns.items()]
    score, n_members = weighted_mean(np.column_stack(taken), weight)
    bias = np.full(len(ids), np.nan) if lines is None else bias_of_points(lines, points)
    by_bias = explained(bias, *witnesses(members, ids, bias))
    # As float32, so that a score that prints as 0.7 is flagged at 0.7.
    odd = score >= np.float32(threshold)
    table = pl.DataFrame({"point_id": ids, "score": score, "n_members": n_members}).with_columns(
        *(pl.Series(f"score_{member}", values) for member, values in columns.items())
    )
    table = table.with_columns(
        pl.Series("flag", odd if flag_explained else odd & ~by_bias),
        pl.Series("line_bias_m", bias.astype(np.float32)),
        pl.Series("explained", by_bias),
    ).with_columns(pl.col(pl.Float32).fill_nan(None))
    reason = _reasons(table, np.flatnonzero(odd), members, phrases)
    write_parquet(table.with_columns(reason), out_path)
    if lines is None:
        return pl.DataFrame()
    return findings(lines, points.hstack(table.select("flag", "explained")))


def _points(path: str | Path, lines: pl.DataFrame | None) -> pl.DataFrame:
    where = ["survey_no", "track_id", "east", "north"]
    return pl.read_parquet(path, columns=["point_id", *(where if lines is not None else [])])


def weighted_mean(
    scores: NDArray[np.float32], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Mean over the members present.

    Parameters
    ----------
    scores : (n, m) float32
        NaN where a member has none.
    weights : (m,) float64

    Returns
    -------
    mean : (n,) float32
        NaN where no member is present.
    n_members : (n,) uint8
    """
    total = np.zeros(len(scores))
    mass = np.zeros(len(scores))
    count = np.zeros(len(scores), dtype=np.uint8)
    for column, weight in zip(scores.T, weights, strict=True):
        present = ~np.isnan(column)
        total[present] += weight * column[present].astype(np.float64)
        mass += weight * present
        count += present
    mean = np.divide(total, mass, out=np.full(len(scores), np.nan), where=mass > 0)
    return mean.astype(np.float32), count


def _checked_weights(
    members: Mapping[str, Sequence[str | Path]], weights: Mapping[str, float]
) -> NDArray[np.float64]:
    if not members:
        raise ConfigError("ensemble: no member is configured. Name one in ensemble.members.")
    for member, tables in members.items():
        if not tables:
            raise ConfigError(
                f"ensemble: the configured member {member} has no score table. "
                "Run its detector, or take it out of ensemble.members."
            )
    weight = np.array([float(weights.get(member, 1.0)) for member in members])
    for member, value in zip(members, weight, strict=True):
        if not value > 0:
            raise ConfigError(
                f"ensemble: the weight of {member} is {value:g}; it must be above 0. "
                "To leave a member out, take it out of ensemble.members."
            )
    return weight


def member_scores(
    member: str, ids: NDArray[np.uint64], tables: Sequence[str | Path]
) -> NDArray[np.float32]:
    """Scores of the points in a member's tables, NaN where there is none.

    Raises
    ------
    BedsieveError
        If the tables hold none of the points, or scores outside 0 to 1.
    """
    found = values_at(ids, tables, ["score"])
    if len(ids) and not found["found"].any():
        raise BedsieveError(
            f"{tables[0]}: the score tables of {member} hold none of the tile's points. "
            "Delete them and run again."
        )
    values = found["score"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    if ((values < 0) | (values > 1)).any():
        raise BedsieveError(
            f"{tables[0]}: a score table of {member} holds scores outside 0 to 1. "
            "Correct the detector, delete the table and run again."
        )
    return values


def _reasons(
    table: pl.DataFrame,
    place: NDArray[np.int64],
    members: Mapping[str, Sequence[str | Path]],
    phrases: Mapping[str, Phrase],
) -> pl.Series:
    """Reasons of the rows at `place`, null elsewhere."""
    odd = table[place]
    for member in members:
        if member not in phrases:
            continue
        evidence = list(phrases[member].evidence)
        found = values_at(odd["point_id"].to_numpy(), members[member], evidence)
        odd = odd.with_columns(
            found[name].alias(evidence_column(member, name)) for name in evidence
        )
    texts = pl.Series("reason", [None] * table.height, dtype=pl.String)
    if not len(place):
        return texts
    return texts.scatter(place, with_line_bias(odd, reasons(odd, phrases)))
