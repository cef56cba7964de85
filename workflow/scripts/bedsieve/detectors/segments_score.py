"""Long biased sectors of a survey: a score for each point, and a table of the runs found.

In: points of a survey, the cross-track evidence, the crossovers on them and the odds that whole lines are biased. Out:
the score table and the runs with start, end, offset and named cause. Study B saw such
sectors ("many in a row = a bad track sector", seed 000) and had no detector for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.detectors.segments_chain import posterior
from bedsieve.detectors.segments_lines import either_odds
from bedsieve.detectors.segments_runs import Along, describe_runs
from bedsieve.detectors.segments_steps import displaced_runs, track_steps
from bedsieve.graph.lines import LINE

Floats = NDArray[np.float64]

_HALF_WAY = 10.0  # nats at which a score is half-way from 0.5 to 1 (ours)
_DISPLACED = 15.0  # nats that a jump aside and back again is worth (ours)
_HONEST_OFFSET = 30.0  # m (ours): no more of a survey's common offset is forgiven
_FEWEST = 3  # points of a track that can be judged


@dataclass(frozen=True)
class JudgedSurvey:
    """A survey after the chain, before what its lines' crossings say about whole lines.

    Attributes
    ----------
    order : ndarray of int64, shape (n,)
        Places of the points in the survey as given, by track and along it.
    table : DataFrame
        The points in that order, joined with their evidence from other lines.
    points : segments_runs.Along
    evidence : dict of str to ndarray
        residual_m, sigma_m, step_m, step_scale_m.
    """

    order: NDArray[np.int64]
    table: pl.DataFrame
    points: Along
    evidence: dict[str, Floats]

    def chain_odds(self) -> pl.DataFrame:
        """point_id, line and log_odds of the points."""
        return self.table.select("point_id", LINE).with_columns(
            log_odds=pl.Series(self.points.log_odds)
        )


def judge_survey(survey: pl.DataFrame, cross_track: pl.DataFrame) -> JudgedSurvey:
    """Run the chain along the tracks of a survey.

    Parameters
    ----------
    survey : DataFrame
        Columns of a tile's points and row (u32), the points of one survey.
    cross_track : DataFrame
        point_id, expected_m, sigma_m, lines; points without a row have no evidence from other lines.

    Returns
    -------
    JudgedSurvey
    """
    order = np.lexsort((survey["track_seq"].to_numpy(), survey["track_id"].to_numpy()))
    table = survey[order].join(cross_track, on="point_id", how="left", maintain_order="left")
    return JudgedSurvey(order, table, *judge_tracks(table))


def survey_tables(
    judged: JudgedSurvey, misties: pl.DataFrame, lines: pl.DataFrame | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score the points of a survey and list its bad runs.

    Parameters
    ----------
    judged : JudgedSurvey
    misties : DataFrame
        point_id (of this survey) and mistie_m (this survey's thickness minus the other line's).
    lines : DataFrame, optional
        What `segments_lines.line_odds` says about whole lines.

    Returns
    -------
    scores : DataFrame
        point_id, in the order of the survey; score (f32: 0.5 where bad and good are as likely; NaN with
        code ``short_track`` on a track of fewer than three points); code; log_odds; run_id and
        offset_m (m; null outside runs); residual_m, sigma_m (against other lines), lines; step_m,
        step_scale_m (to the next point of the track); line_log_odds (that the whole line is biased; null
        where it meets no other).
    runs : DataFrame
        As `segments_runs.describe_runs` gives them, with score, crossovers (number inside the run) and
        crossover_mistie_m (their median).
    """
    order, table, evidence = judged.order, judged.table, judged.evidence
    points, of_line = _with_lines(judged, lines)
    runs, run_of = describe_runs(points)
    offsets = runs["offset_m"].to_numpy()
    run_offset = np.full(len(run_of), np.nan)
    run_offset[run_of >= 0] = offsets[run_of[run_of >= 0]]
    counts = np.bincount(points.track, minlength=1) if len(run_of) else np.zeros(1, np.int64)
    short = counts[points.track] < _FEWEST
    score = np.where(short, np.nan, _score(points.log_odds))
    scores = pl.DataFrame(
        {
            "point_id": table["point_id"],
            "score": pl.Series(score, dtype=pl.Float32),
            "code": pl.Series(
                ["short_track" if is_short else None for is_short in short], dtype=pl.String
            ),
            "log_odds": pl.Series(points.log_odds, dtype=pl.Float32),
            "run_id": pl.Series(np.where(run_of >= 0, run_of, 0), dtype=pl.UInt32),
            "offset_m": pl.Series(run_offset, dtype=pl.Float32, nan_to_null=True),
        }
    ).with_columns(
        pl.when(pl.Series(run_of >= 0)).then(pl.col("run_id")),
        *(
            pl.Series(name, values, dtype=pl.Float32, nan_to_null=True)
            for name, values in evidence.items()
        ),
        table["lines"].fill_null(0),
        pl.Series("line_log_odds", of_line, dtype=pl.Float32, nan_to_null=True),
    )
    runs = runs.with_columns(
        pl.Series("score", _score(runs["log_odds"].to_numpy()), dtype=pl.Float32)
    ).drop("log_odds")
    runs = _with_crossovers(runs, scores, misties)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return scores[back], runs


def survey_segments(
    survey: pl.DataFrame, cross_track: pl.DataFrame, misties: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`judge_survey` and `survey_tables` at once, with no word about whole lines."""
    return survey_tables(judge_survey(survey, cross_track), misties)


def _with_lines(judged: JudgedSurvey, lines: pl.DataFrame | None) -> tuple[Along, Floats]:
    """The points with the odds of their lines, and those odds (NaN where there are none)."""
    points = judged.points
    none = np.full(len(points.row), np.nan)
    if lines is None or not lines.height:
        return points, none
    found = judged.table.select(LINE).join(lines, on="line", how="left", maintain_order="left")
    odds, offset = (_floats(found, name) for name in ("line_log_odds", "line_offset_m"))
    stronger = odds > points.log_odds
    # A line that meets no other has nothing to add.
    told = np.where(np.isnan(odds), -np.inf, odds)
    return replace(
        points,
        log_odds=either_odds(points.log_odds, told),
        offset=np.where(stronger, offset, points.offset),
        flat=np.where(stronger, 0.0, points.flat),
    ), odds


def judge_tracks(table: pl.DataFrame) -> tuple[Along, dict[str, Floats]]:
    """Odds of each point, with what they rest on.

    Parameters
    ----------
    table : DataFrame
        A survey joined with its cross-track evidence, by track and along it.

    Returns
    -------
    points : segments_runs.Along
    evidence : dict of str to ndarray
        residual_m, sigma_m, step_m, step_scale_m.
    """
    thickness, east, north = (_floats(table, c) for c in ("ice_thickness", "east", "north"))
    expected, sigma = _floats(table, "expected_m"), _floats(table, "sigma_m")
    lines = table["lines"].fill_null(0).cast(pl.Int64).to_numpy()
    track = table["track_id"].cast(pl.Int64).to_numpy()
    first = np.append(np.flatnonzero(np.diff(track, prepend=-1)), len(track)).astype(np.int64)
    step, scale, gap = track_steps(thickness, east, north, first)
    displaced = displaced_runs(east, north, gap, first)
    residual = thickness - expected
    # Instruments differ a little as a whole; that is no error.
    common = np.nanmedian(residual) if np.isfinite(residual).any() else 0.0
    residual = residual - np.clip(common, -_HONEST_OFFSET, _HONEST_OFFSET)
    equal = np.append(thickness[1:] == thickness[:-1], False)[: len(track)]
    p_equal = np.minimum(0.5, resolution(thickness) / (2.5 * np.nan_to_num(scale, nan=1.0)))
    log_odds, offset, flat = posterior(
        residual, sigma, lines, step, scale, gap, equal, p_equal, first
    )
    bed = np.where(table["bed_reconstructed"].to_numpy(), np.nan, _floats(table, "bed_elev"))
    points = Along(
        table["row"].cast(pl.Int64).to_numpy(), track, east, north, thickness,
        _floats(table, "surface_alt"), bed, expected,
        log_odds + _DISPLACED * displaced, offset, flat, displaced,
    )  # fmt: skip
    evidence = {"residual_m": residual, "sigma_m": sigma, "step_m": step, "step_scale_m": scale}
    return points, evidence


def resolution(thickness: Floats) -> float:
    """The step (m) in which a survey's thicknesses are written: 1, 0.1 or 0.01."""
    for unit in (1.0, 0.1):
        off = np.abs(thickness / unit - np.round(thickness / unit))
        if len(off) and np.mean(off < 1e-6) > 0.99:
            return unit
    return 0.01


def _score(log_odds: Floats) -> Floats:
    """Monotone map of log-odds to 0 … 1, slow enough for large odds to stay apart in float32."""
    return 0.5 + 0.5 * log_odds / (_HALF_WAY + np.abs(log_odds))


def _floats(table: pl.DataFrame, column: str) -> Floats:
    return np.array(table[column].cast(pl.Float64).fill_null(np.nan).to_numpy())


def _with_crossovers(
    runs: pl.DataFrame, scores: pl.DataFrame, misties: pl.DataFrame
) -> pl.DataFrame:
    inside = (
        misties.join(scores.select("point_id", "run_id"), on="point_id")
        .drop_nulls("run_id")
        .group_by("run_id")
        .agg(
            pl.len().cast(pl.UInt32).alias("crossovers"),
            pl.col("mistie_m").median().alias("crossover_mistie_m"),
        )
    )
    return runs.join(inside, on="run_id", how="left", maintain_order="left").with_columns(
        pl.col("crossovers").fill_null(0)
    )
