"""Made surveys of crossing lines for the tests of the segments detector."""

from __future__ import annotations

import numpy as np
import polars as pl

from bedsieve.detectors.segments_network import cross_track_table
from bedsieve.detectors.segments_score import survey_segments

NO_MISTIES = pl.DataFrame(schema={"point_id": pl.UInt64, "mistie_m": pl.Float64})


def ground(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 1500 + 120 * np.sin(x / 2100) * np.cos(y / 2600) + 0.01 * x


def crossing_lines(seed: int = 0, side: float = 9000.0) -> pl.DataFrame:
    """Two surveys: lines 600 m apart to the east (survey 1) and to the north (survey 2)."""
    rng = np.random.default_rng(seed)
    along = np.arange(0, side, 30.0)
    parts = []
    for survey in (1, 2):
        for track, across in enumerate(np.arange(100.0, side, 600.0)):
            here = np.full(len(along), across)
            x, y = (along, here) if survey == 1 else (here, along)
            parts.append(
                pl.DataFrame(
                    {
                        "survey_no": np.full(len(x), survey, np.uint32),
                        "track_id": np.full(len(x), track, np.int32),
                        "row": track * len(x) + np.arange(len(x), dtype=np.uint32),
                        "east": x,
                        "north": y,
                        "ice_thickness": ground(x, y) + rng.normal(0, 3, len(x)),
                    }
                )
            )
    frame = pl.concat(parts)
    survey_no, row = frame["survey_no"].cast(pl.UInt64), frame["row"].cast(pl.UInt64)
    surface = pl.Series(
        "surface_alt", 900 + 0.01 * frame["east"].to_numpy() + rng.normal(0, 0.4, frame.height)
    )
    return frame.with_columns(
        (survey_no * 2**32 + row).alias("point_id"),
        surface,
        (surface - pl.col("ice_thickness")).alias("bed_elev"),
        pl.lit(False).alias("bed_reconstructed"),
        pl.col("row").cast(pl.UInt32),
        pl.col("row").cast(pl.UInt32).alias("track_seq"),
    )


def with_error(
    frame: pl.DataFrame, survey: int, track: int, a: int, b: int, value: pl.Expr
) -> pl.DataFrame:
    """Points a … b - 1 of a track get another thickness."""
    per = 300
    rows = pl.col("row").is_between(track * per + a, track * per + b - 1)
    chosen = (pl.col("survey_no") == survey) & rows
    return frame.with_columns(
        pl.when(chosen).then(value).otherwise("ice_thickness").alias("ice_thickness")
    )


def score_survey(frame: pl.DataFrame, survey: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
    evidence = cross_track_table(frame, frame.clear())
    return survey_segments(frame.filter(pl.col("survey_no") == survey), evidence, NO_MISTIES)
