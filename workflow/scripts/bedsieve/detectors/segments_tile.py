"""Segments, tile by tile: which of a tile's points lie in a bad run of their track.

In: a tile's points, its halo and the crossovers that it owns. Out: the score table of the tile's points and the
table of the runs that they lie in. Tracks are followed `window` metres beyond the tile, so that a run which
crosses the border is judged as a whole by the tiles on both sides; what lies further along a track has no say.
That keeps a new survey's effect within the tiles that it reaches.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from bedsieve.detectors.segments_kriging import REACH
from bedsieve.detectors.segments_lines import crossings_of_lines, line_odds
from bedsieve.detectors.segments_network import cross_track_table
from bedsieve.detectors.segments_score import judge_survey, survey_segments, survey_tables
from bedsieve.errors import BedsieveError
from bedsieve.files import write_parquet
from bedsieve.graph.tile_geometry import TileBox
from bedsieve.progress import Progress
from bedsieve.tile_names import SEGMENT_MARGIN

WINDOW = 9_000.0  # m (ours): the longest sectors of the demo, and of study B's maps, are shorter
_COLUMNS = [
    "point_id",
    "survey_no",
    "track_id",
    "track_seq",
    "east",
    "north",
    "ice_thickness",
    "bed_elev",
    "bed_reconstructed",
    "surface_alt",
]
_CROSSOVER_COLUMNS = ["kind", "point_id_a", "point_id_b", "mistie", "self_crossing"]


def score_tile_segments(
    points_path: str | Path,
    halo_path: str | Path,
    crossovers_path: str | Path,
    out_scores: str | Path,
    out_runs: str | Path,
    *,
    tile: str,
    tile_size: float,
    halo_width: float,
    reach: float = REACH,
    window: float = WINDOW,
) -> None:
    """Score a tile's points and list the bad runs that they lie in.

    Parameters
    ----------
    points_path, halo_path : path
        The tile's points, and those around it.
    crossovers_path : path
        Crossovers that the tile owns: which lines they find biased, and how many bear a run out.
    out_scores, out_runs : path
        Parquet to write: see `segments_score.survey_tables`; scores have the cause of the point's run
        besides, runs survey_no.
    tile, tile_size : str, float
        The tile's name and side (m).
    halo_width : float
        Width of the halo (m).
    reach : float
        How far (m) a point of another line may be to say something.
    window : float
        How far (m) beyond the tile tracks are followed.

    Raises
    ------
    BedsieveError
        If the halo is narrower than window + reach + 600 m.
    """
    if halo_width < window + reach + SEGMENT_MARGIN:
        raise BedsieveError(
            f"{halo_path}: the halo is {halo_width:.0f} m wide, but the segments detector needs "
            f"{window + reach + SEGMENT_MARGIN:.0f} m. Make detectors.segments.reach or window smaller."
        )
    points = pl.read_parquet(points_path, columns=_COLUMNS)
    halo = pl.read_parquet(halo_path, columns=_COLUMNS)
    distance = TileBox.from_name(tile, tile_size).distance(
        halo["east"].to_numpy(), halo["north"].to_numpy()
    )
    followed = pl.Series(distance <= window)
    scores, runs = window_segments(
        pl.concat([points, halo.filter(followed)]),
        halo.filter(~followed),
        pl.read_parquet(crossovers_path, columns=_CROSSOVER_COLUMNS),
        reach=reach,
    )
    scores = points.select("point_id").join(
        scores, on="point_id", how="left", maintain_order="left"
    )
    scores = scores.join(
        runs.select("run_id", "cause"), on="run_id", how="left", maintain_order="left"
    )
    mine = scores.select(pl.col("run_id").drop_nulls().unique())
    write_parquet(scores, out_scores)
    write_parquet(runs.join(mine, on="run_id", how="semi", maintain_order="left"), out_runs)


def window_segments(
    judged: pl.DataFrame, others: pl.DataFrame, crossovers: pl.DataFrame, *, reach: float = REACH
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Segments of all surveys at once.

    Parameters
    ----------
    judged, others : DataFrame
        Points to score, and further ones that only help to; columns of a tile's points.
    crossovers : DataFrame
        kind, point_id_a, point_id_b, mistie (m, a minus b), self_crossing.
    reach : float
        How far (m) a point of another line may be to say something.

    Returns
    -------
    scores, runs : DataFrame
        As `segments_score.survey_tables` gives them, run_id counting on over the surveys; runs have
        survey_no besides.
    """
    evidence = cross_track_table(judged, others, reach=reach)
    judged = judged.with_columns(row=(pl.col("point_id") % 2**32).cast(pl.UInt32))
    misties = _misties(crossovers)
    progress = Progress("Segments", judged.height)
    surveys = []
    for survey_no in np.unique(judged["survey_no"].to_numpy()):
        mine = judged["survey_no"] == survey_no
        surveys.append(judge_survey(judged.filter(mine), evidence.filter(mine)))
        progress.advance(int(mine.sum()))
    if not surveys:
        scores, runs = survey_segments(judged, evidence, misties)
        return scores, runs.with_columns(survey_no=pl.lit(None, pl.UInt32))
    chain = pl.concat([survey.chain_odds() for survey in surveys])
    lines = line_odds(crossings_of_lines(chain, crossovers))
    all_scores, all_runs, first = [], [], 0
    for survey in surveys:
        scores, runs = survey_tables(survey, misties, lines)
        all_scores.append(scores.with_columns(pl.col("run_id") + pl.lit(first, pl.UInt32)))
        all_runs.append(
            runs.with_columns(
                pl.col("run_id") + pl.lit(first, pl.UInt32),
                survey_no=pl.lit(int(survey.table["survey_no"][0]), pl.UInt32),
            )
        )
        first += runs.height
    return pl.concat(all_scores), pl.concat(all_runs)


def _misties(crossovers: pl.DataFrame) -> pl.DataFrame:
    """Mis-ties with other lines, a row for each side, seen from that side."""
    found = crossovers.filter(~pl.col("self_crossing"))
    return pl.concat(
        found.select(pl.col(side).alias("point_id"), (sign * pl.col("mistie")).alias("mistie_m"))
        for side, sign in (("point_id_a", 1.0), ("point_id_b", -1.0))
    )
