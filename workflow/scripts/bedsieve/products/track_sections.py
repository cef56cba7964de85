"""The worst sections of tracks: where flagged points follow one another.

Goes in: the tiles' flagged points, and the harmonised surveys. Comes out: profiles of thickness along
the track around the worst runs of flagged points, one a track, for a figure that a glaciologist reads first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

GAP = 40
"""Flagged points of a track that are at most so many rows apart belong to one section (ours)."""
AROUND = 80
LONGEST = 2000
_FLAGGED = pl.Schema(
    {"point_id": pl.UInt64, "score": pl.Float32, "reason": pl.String, "track_id": pl.Int32}
)


@dataclass(frozen=True)
class Section:
    """A piece of a track.

    Attributes
    ----------
    survey, track_id : str, int
        Where it is.
    first_row, last_row : int
        Data rows of the survey that its flagged points span, counted from 0.
    distance : (n,) float64
        Distance along the track from the piece's start, m.
    ice_thickness : (n,) float64
        m.
    flagged : (n,) bool
    badness : float
        Sum of the flagged points' scores.
    reason : str
        Of the point that scores highest.
    """

    survey: str
    track_id: int
    first_row: int
    last_row: int
    distance: NDArray[np.float64]
    ice_thickness: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    badness: float
    reason: str


def worst_sections(
    tiles: Sequence[str | Path],
    harmonised: Mapping[str, str | Path],
    survey_names: Mapping[int, str],
    n: int = 8,
) -> list[Section]:
    """Find the sections with the highest sum of flagged scores, at most one a track.

    Parameters
    ----------
    tiles : sequence of path-like
        The table of `flagged_points` of each tile.
    harmonised : mapping of str to path-like
        results/surveys/{survey}.parquet by survey.
    survey_names : mapping of int to str
        Name of each survey number.
    n : int
        How many sections at most.
    """
    flagged = _flagged(tiles)
    sections = (
        flagged.group_by("survey_no", "track_id", "section")
        .agg(
            pl.col("score").cast(pl.Float64).sum().alias("badness"),
            pl.col("row").min().alias("first"),
            pl.col("row").max().alias("last"),
            pl.col("row").sort_by("score", "row", descending=[True, False]).first().alias("worst"),
            pl.col("reason").sort_by("score", "row", descending=[True, False]).first(),
        )
        .sort("badness", "survey_no", "first", descending=[True, False, False])
        .unique(["survey_no", "track_id"], keep="first", maintain_order=True)
        .head(n)
    )
    rows_of = {no: part["row"] for (no,), part in flagged.group_by("survey_no")}
    return [
        _profile(section, rows_of[section["survey_no"]], harmonised, survey_names)
        for section in sections.iter_rows(named=True)
    ]


def _flagged(tiles: Sequence[str | Path]) -> pl.DataFrame:
    parts = [pl.DataFrame(schema=_FLAGGED)]
    parts += [pl.read_parquet(tile, columns=list(_FLAGGED)).cast(_FLAGGED) for tile in tiles]
    flagged = (
        pl.concat(parts)
        .sort("point_id")
        .with_columns(
            (pl.col("point_id") // 2**32).cast(pl.Int64).alias("survey_no"),
            (pl.col("point_id") % 2**32).cast(pl.Int64).alias("row"),
        )
    )
    apart = (pl.col("row").diff().fill_null(0) > GAP).cum_sum().over("survey_no", "track_id")
    return flagged.with_columns(apart.alias("section"))


def _profile(
    section: Mapping[str, object],
    flagged_rows: pl.Series,
    harmonised: Mapping[str, str | Path],
    survey_names: Mapping[int, str],
) -> Section:
    first, last, worst = (int(str(section[name])) for name in ("first", "last", "worst"))
    survey = survey_names[int(str(section["survey_no"]))]
    around = max(AROUND, (last - first) // 2)
    start, stop = first - around, last + around
    if stop - start > LONGEST:
        start, stop = worst - LONGEST // 2, worst + LONGEST // 2
    track = pl.scan_parquet(harmonised[survey]).select(
        "point_id", "row", "track_id", "east", "north", "ice_thickness"
    )
    piece = track.filter(
        pl.col("row").is_between(max(start, 0), stop), track_id=section["track_id"]
    ).collect()
    steps = np.hypot(np.diff(piece["east"].to_numpy()), np.diff(piece["north"].to_numpy()))
    return Section(
        survey=survey,
        track_id=int(str(section["track_id"])),
        first_row=first,
        last_row=last,
        distance=np.concatenate([[0.0], np.cumsum(steps)])[: piece.height],
        ice_thickness=piece["ice_thickness"].to_numpy(),
        flagged=piece["row"].cast(pl.Int64).is_in(flagged_rows.implode()).to_numpy(),
        badness=float(str(section["badness"])),
        reason=str(section["reason"] or ""),
    )
