"""How well each detector found each kind of error: one table over all judged tiles, with intervals over tracks.

In: tables of `injected_tile.judge_tile`. Out: a row a detector and kind of error, and differences of average precision
between the ensemble and everything else on the same draws of tracks. All detectors flag as many points as are bad, since
their scales differ; equal scores are flagged together or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.evaluation.bootstrap_kernels import ranking_figures
from bedsieve.evaluation.injected_tile import BESIDE, WITH, WITHOUT
from bedsieve.evaluation.metrics import HIT_SHARE, flag_budget
from bedsieve.progress import Progress
from bedsieve.simulate.error_mix import KINDS

Floats = npt.NDArray[np.float64]

ALL = "all"
ENSEMBLE = "ensemble"
RANKED = ("average_precision", "auc", "precision_at_budget")
FIGURES = (*RANKED, "recall", "precision", "event_recall")
"""Figures of the table; each has columns {figure}, {figure}_low and {figure}_high."""


@dataclass(frozen=True)
class Judged:
    """All judged tiles below one another.

    Parameters
    ----------
    kind : (n,) int8 array
        Index into `KINDS`, -1 for an honest point.
    track : (n,) int32 array
        Track of each point, counted from 0; the same number in all tiles and seeds.
    event : (n,) int64 array
        Event of each point, counted from 0 over all tiles and seeds; -1 for none.
    scores : dict of str to (n,) float64 array
        By detector.
    role : dict of str to str
        ``ensemble``, ``member``, ``beside`` (no member), ``ablation`` (the ensemble with one member less or more) or
        ``baseline``, by detector.
    flag : (n,) bool array
        Flagged by the ensemble at its configured threshold.
    """

    kind: npt.NDArray[np.int8]
    track: npt.NDArray[np.int32]
    event: npt.NDArray[np.int64]
    scores: dict[str, Floats]
    role: dict[str, str]
    flag: npt.NDArray[np.bool_]


def read_judged(paths: Sequence[str | Path]) -> Judged:
    """Read judged tiles.

    Parameters
    ----------
    paths : sequence of path-like
        Tables of `injected_tile.judge_tile`, with the same detectors.
    """
    parts, first = [], 0
    for path in paths:
        part = pl.read_parquet(path)
        event = pl.col("event").cast(pl.Int64)
        part = part.with_columns(event=pl.when(event >= 0).then(event + first).otherwise(-1))
        first = max(first, int(part["event"].to_numpy().max()) + 1)
        parts.append(part)
    table = pl.concat(parts)
    scores, role = {}, {}
    for column in table.columns:
        name, of = _detector(column)
        if of:
            values = table[column].cast(pl.Float64).fill_null(float("nan"))
            scores[name], role[name] = values.to_numpy(), of
    kind = table["kind"].replace_strict(
        dict(zip(KINDS, range(len(KINDS)), strict=True)), default=-1
    )
    return Judged(
        kind.to_numpy().astype(np.int8),
        np.unique(table["line"].to_numpy(), return_inverse=True)[1].astype(np.int32),
        table["event"].to_numpy(),
        scores,
        role,
        table["flag"].fill_null(False).to_numpy(),
    )


def _detector(column: str) -> tuple[str, str]:
    """Name and role of the detector that a column holds the scores of; no role for other columns."""
    if column.startswith("baseline_"):
        return column.removeprefix("baseline_"), "baseline"
    if column.startswith(BESIDE):
        return column.removeprefix(BESIDE), "beside"
    name = column.removeprefix("score_")
    if name == column:
        return "", ""
    if name == ENSEMBLE:
        return name, "ensemble"
    return name, "ablation" if name.startswith((WITH, WITHOUT)) else "member"


class Draws:
    """Draws of whole tracks with replacement; the first is the data itself.

    Parameters
    ----------
    judged : Judged
    replicates, seed : int
    """

    def __init__(self, judged: Judged, replicates: int, seed: int) -> None:
        self.judged = judged
        tracks = int(judged.track.max()) + 1
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(tracks, np.full(tracks, 1 / tracks), size=replicates)
        self.weight: Floats = np.concatenate([np.ones((1, tracks)), drawn])
        self.tracks = tracks
        self.bad = self._by_kind(judged.kind >= 0)
        self.honest = self._count(judged.kind < 0)
        events, at = np.unique(judged.event, return_index=True)
        self._first = at[events >= 0]
        self._sizes = np.bincount(judged.event[judged.event >= 0])

    def _count(self, chosen: npt.NDArray[np.bool_], of: Any = None) -> Floats:
        """Weight of the chosen points by draw."""
        track = self.judged.track if of is None else of
        counts: Floats = self.weight @ np.bincount(track[chosen], minlength=self.tracks)
        return counts

    def _by_kind(self, chosen: npt.NDArray[np.bool_]) -> Floats:
        """Weight of the chosen points by draw and kind; last, of all kinds."""
        kind = self.judged.kind
        columns = [self._count(chosen & (kind == number)) for number in range(len(KINDS))]
        return np.column_stack([*columns, self._count(chosen & (kind >= 0))])

    def figures(self, score: Floats) -> dict[str, Floats]:
        """Every figure, by draw and kind."""
        judged = self.judged
        ranked = ranking_figures(score, judged.kind, judged.track, self.weight, self.bad)
        flag = flag_budget(score, int((judged.kind >= 0).sum()))
        return dict(zip(RANKED, np.moveaxis(ranked, -1, 0), strict=True)) | self.flagged(flag)

    def flagged(self, flag: npt.NDArray[np.bool_]) -> dict[str, Floats]:
        """Recall, precision and event recall of flags, by draw and kind."""
        hits = self._by_kind(flag)
        false = self._count(flag & (self.judged.kind < 0))[:, None]
        return {
            "recall": _share(hits, self.bad),
            "precision": _share(hits, hits + false),
            "event_recall": self._event_recall(flag),
        }

    def _event_recall(self, flag: npt.NDArray[np.bool_]) -> Floats:
        judged, first = self.judged, self._first
        inside = judged.event >= 0
        found = np.bincount(judged.event[inside], weights=flag[inside], minlength=len(self._sizes))
        hit = (found >= HIT_SHARE * self._sizes)[judged.event[first]]
        kind, track = judged.kind[first], judged.track[first]
        columns = []
        for of_kind in [*(kind == number for number in range(len(KINDS))), kind >= 0]:
            columns.append(_share(self._count(of_kind & hit, track), self._count(of_kind, track)))
        return np.column_stack(columns)


def _share(part: Floats, whole: Floats) -> Floats:
    share: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return share


def evaluation_table(
    judged: Judged, *, replicates: int = 200, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Figures of all detectors, and what the ensemble gains on each of the others.

    Parameters
    ----------
    judged : Judged
    replicates, seed : int
        Of the bootstrap over tracks.

    Returns
    -------
    figures : DataFrame
        detector, role, kind (`ALL` for all together), points, events (of the kind), and {figure},
        {figure}_low, {figure}_high for `FIGURES`. In the row of a kind the points of other kinds do not count, neither
        as hits nor as false alarms; all are flagged by the same budget, the number of all bad points. The detector
        ``ensemble_flag`` has recall, precision and event recall of the ensemble's flag at its configured threshold.
    differences : DataFrame
        detector, role, difference, low, high: average precision of the ensemble less that of the detector.
    """
    draws = Draws(judged, replicates, seed)
    progress = Progress("Evaluation", len(judged.scores), "detectors")
    rows: list[dict[str, Any]] = []
    precision: dict[str, Floats] = {}
    for detector, score in judged.scores.items():
        figures = draws.figures(score)
        precision[detector] = figures["average_precision"][:, -1]
        rows += _rows(detector, judged.role[detector], figures, judged)
        progress.advance(1)
    rows += _rows(f"{ENSEMBLE}_flag", "ensemble", draws.flagged(judged.flag), judged)
    differences = [
        {"detector": name, "role": judged.role[name]}
        | _interval(precision[ENSEMBLE] - values, "difference")
        for name, values in precision.items()
        if name != ENSEMBLE
    ]
    return (
        pl.DataFrame(rows, infer_schema_length=None),
        pl.DataFrame(differences, infer_schema_length=None),
    )


def _rows(
    detector: str, role: str, figures: dict[str, Floats], judged: Judged
) -> list[dict[str, Any]]:
    rows = []
    for number, kind in enumerate([*KINDS, ALL]):
        chosen = judged.kind >= 0 if kind == ALL else judged.kind == number
        row: dict[str, Any] = {"detector": detector, "role": role, "kind": kind}
        row |= {"points": int(chosen.sum()), "events": len(np.unique(judged.event[chosen]))}
        for name in FIGURES:
            values = figures.get(name)
            row |= _interval(np.full(1, np.nan) if values is None else values[:, number], name)
        rows.append(row)
    return rows


def _interval(values: Floats, name: str) -> dict[str, float | None]:
    """The figure on the data (the first draw) and its 95 % interval; null where it is not defined."""
    drawn = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn.size else (np.nan, np.nan)
    numbers = {name: values[0], f"{name}_low": low, f"{name}_high": high}
    return {key: float(v) if np.isfinite(v) else None for key, v in numbers.items()}
