"""What became of each row of a survey: its track, scores and flag, or the code of why it has none.

Goes in: the survey's harmonised and dropped rows, and the ensembles and duplicates of the tiles that it
lies in. Comes out: one entry a row of its CSV, about 40 bytes each, so that the rows can be written out
again in their order although the tiles hold them sorted in space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.errors import BedsieveError

SCORED, UNSCORED, MISSING = "", "unscored", "missing"
_STRETCH = 122_880  # rows read at a time: as many as polars writes into a row group
ACROSS = "across:"
"""Prefix of the codes of duplicates that were found between surveys, at the tile stage."""


@dataclass
class SurveyRows:
    """The state of a survey's n rows, by row.

    Attributes
    ----------
    members : list of str
        The detectors.
    track_id : (n,) int32
        -1 where there is none.
    codes, status : list of str and (n,) uint8
        What became of the row, as an index into `codes`: `SCORED`, `UNSCORED`, a code of the ledger, or one
        of the tile stage with `ACROSS` before it.
    kept : (n,) int64
        point_id of the point that a merged row went into; -1 elsewhere.
    scores : (m + 1, n) float32
        Of the members, and of the ensemble in the last row; NaN where there is none.
    flag : (n,) bool
    reasons : dict of int to str
        By row, of those that have one: flagged, or explained by the bias of their line.
    """

    members: list[str]
    n: int
    survey_no: int = -1
    codes: list[str] = field(default_factory=lambda: [SCORED, UNSCORED, MISSING])
    reasons: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.track_id = np.full(self.n, -1, dtype=np.int32)
        self.status = np.full(self.n, self.codes.index(MISSING), dtype=np.uint8)
        self.kept = np.full(self.n, -1, dtype=np.int64)
        self.scores = np.full((len(self.members) + 1, self.n), np.nan, dtype=np.float32)
        self.flag = np.zeros(self.n, dtype=np.bool_)

    def code(self, row: int) -> str:
        """What became of a row."""
        return self.codes[int(self.status[row])]

    def set_codes(self, rows: NDArray[np.int64], codes: pl.Series, prefix: str = "") -> None:
        """Set what became of `rows`."""
        for code in codes.unique().sort():
            if prefix + code not in self.codes:
                self.codes.append(prefix + code)
            self.status[rows[(codes == code).to_numpy()]] = self.codes.index(prefix + code)


def gather_rows(
    harmonised: str | Path,
    dropped: str | Path,
    ensembles: Sequence[str | Path],
    tile_duplicates: Sequence[str | Path],
    members: Sequence[str] | None = None,
) -> SurveyRows:
    """Gather what became of each row of a survey.

    Parameters
    ----------
    harmonised, dropped : path-like
        The survey's kept rows and those that ingest dropped.
    ensembles, tile_duplicates : sequences of path-like
        Of every tile that the survey lies in; they may hold other surveys too.
    members : sequence of str, optional
        The detectors; by default those of the first ensemble.

    Raises
    ------
    BedsieveError
        If a row is in none of the tables, or in two.
    """
    kept = pl.read_parquet(harmonised, columns=["point_id", "track_id"])
    out = pl.read_parquet(dropped, columns=["row", "code", "kept_row"])
    rows = SurveyRows(
        _members_of(ensembles) if members is None else list(members), len(kept) + len(out)
    )
    numbers, place = _split(kept["point_id"])
    if len(numbers):
        rows.survey_no = int(numbers[0])
    outside = out["row"].cast(pl.Int64).to_numpy()
    every = np.concatenate([place, outside])
    if rows.n and (every.max() >= rows.n or not np.bincount(every, minlength=rows.n).all()):
        raise BedsieveError(
            f"{harmonised}: its rows and those of {dropped} do not add up to the survey's. "
            "Delete both and run again."
        )
    rows.track_id[place] = kept["track_id"].to_numpy()
    rows.set_codes(outside, out["code"])
    foreign = _take_duplicates(rows, tile_duplicates)
    _take_scores(rows, ensembles, foreign)
    lost = np.flatnonzero(rows.status == rows.codes.index(MISSING))
    if len(lost):
        raise BedsieveError(
            f"{harmonised}: {len(lost)} of its points are in none of the tiles' ensembles, the first in "
            f"data row {lost[0] + 1}. Register the survey again, then run again."
        )
    _take_merged(rows, out)
    return rows


def _members_of(ensembles: Sequence[str | Path]) -> list[str]:
    names = pl.read_parquet_schema(ensembles[0]) if ensembles else []
    return [name.removeprefix("score_") for name in names if name.startswith("score_")]


def _split(point_ids: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ids = point_ids.to_numpy().astype(np.int64)
    return ids >> 32, ids & (2**32 - 1)


def _take_duplicates(rows: SurveyRows, tables: Sequence[str | Path]) -> dict[int, list[int]]:
    """Mark the rows taken out at the tile stage; the rows that wait for a point of another survey."""
    foreign: dict[int, list[int]] = {}
    for table in tables:
        frame = pl.read_parquet(table, columns=["point_id", "code", "kept_point_id"])
        numbers, place = _split(frame["point_id"])
        mine = numbers == rows.survey_no
        frame, place = frame.filter(pl.Series(mine)), place[mine]
        rows.set_codes(place, frame["code"], ACROSS)
        rows.kept[place] = frame["kept_point_id"].cast(pl.Int64).fill_null(-1).to_numpy()
        for row in place[rows.kept[place] >= 0]:
            foreign.setdefault(int(rows.kept[row]), []).append(int(row))
    return foreign


def _take_scores(
    rows: SurveyRows, ensembles: Sequence[str | Path], foreign: dict[int, list[int]]
) -> None:
    columns = [*(f"score_{member}" for member in rows.members), "score"]
    waiting = np.array(sorted(foreign), dtype=np.int64)
    for table in ensembles:
        ids = pl.read_parquet(table, columns=["point_id"])["point_id"]
        numbers, place = _split(ids)
        mine, other = numbers == rows.survey_no, np.isin(ids.to_numpy(), waiting)
        # Tiles are sorted in space: most stretches of their rows hold no point of this survey.
        for start in range(0, len(ids), _STRETCH):
            stretch = slice(start, start + _STRETCH)
            own, others = mine[stretch], np.flatnonzero(other[stretch])
            if not own.any() and not len(others):
                continue
            scan = pl.scan_parquet(table).select(*columns, "flag", "reason")
            frame = scan.slice(start, _STRETCH).collect()
            _put(rows, place[stretch][own], frame.filter(pl.Series(own)), columns)
            for at in others:
                targets = np.array(foreign[int(ids[start + int(at)])])
                _put(rows, targets, frame[[int(at)] * len(targets)], columns, merged=True)


def _put(
    rows: SurveyRows,
    place: NDArray[np.int64],
    frame: pl.DataFrame,
    columns: Sequence[str],
    merged: bool = False,
) -> None:
    for k, name in enumerate(columns):
        rows.scores[k, place] = frame[name].fill_null(float("nan")).to_numpy()
    rows.flag[place] = frame["flag"].to_numpy()
    told = frame["reason"].is_not_null().to_numpy()
    rows.reasons.update(
        zip(place[told].tolist(), frame["reason"].drop_nulls().to_list(), strict=True)
    )
    if not merged:
        unscored = frame["score"].is_null().to_numpy()
        rows.status[place] = np.where(
            unscored, rows.codes.index(UNSCORED), rows.codes.index(SCORED)
        )


def _take_merged(rows: SurveyRows, dropped: pl.DataFrame) -> None:
    """Give rows merged at ingest the scores of the row that carries their mean."""
    merged = dropped.filter(pl.col("kept_row").is_not_null())
    row = merged["row"].cast(pl.Int64).to_numpy()
    source = merged["kept_row"].cast(pl.Int64).to_numpy()
    rows.kept[row] = rows.survey_no * 2**32 + source
    rows.scores[:, row] = rows.scores[:, source]
    rows.flag[row] = rows.flag[source]
    rows.track_id[row] = rows.track_id[source]
    for of, kept in zip(row.tolist(), source.tolist(), strict=True):
        if kept in rows.reasons:
            rows.reasons[of] = rows.reasons[kept]
