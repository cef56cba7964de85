"""Flight lines over rough ground, a frame of tile points in the schema of points.parquet."""

from __future__ import annotations

import numpy as np
import polars as pl


def flight_lines(
    lines: int = 24,
    points: int = 90,
    side: float = 4000.0,
    seed: int = 0,
    surveys: int = 3,
    noise: float = 4.0,
    bad: float = 0.02,
    corner: tuple[float, float] = (0.0, 0.0),
) -> pl.DataFrame:
    """Slightly curved lines across a square, with spikes, biased pieces and a few times missing."""
    rng = np.random.default_rng(seed)
    parts = []
    rows = np.zeros(surveys, np.int64)
    for number in range(lines):
        survey = number % surveys
        heading = rng.uniform(0, 2 * np.pi)
        bend = rng.normal(0, 1.5e-4)
        along = (np.arange(points) - points / 2) * (1.3 * side / points) + rng.normal(0, 4, points)
        centre = rng.uniform(0.2 * side, 0.8 * side, 2)
        theta = heading + bend * along
        east = centre[0] + along * np.cos(theta) + corner[0]
        north = centre[1] + along * np.sin(theta) + corner[1]
        east, north = np.round(east, 2), np.round(north, 2)
        thickness = 1500 + 60 * np.sin(east / 700) + 40 * np.cos(north / 500)
        thickness = thickness + rng.normal(0, noise, points)
        wrong = rng.random(points) < bad
        thickness = np.where(wrong, thickness + rng.choice([-1, 1], points) * 400, thickness)
        if rng.random() < 0.2:
            at = rng.integers(0, points - 20)
            thickness[at : at + 20] += 150
        # Every seventh row or so was dropped in harmonising.
        row = rows[survey] + np.cumsum(1 + (rng.random(points) < 0.15))
        rows[survey] = row[-1] + 1
        parts.append(
            pl.DataFrame(
                {
                    "point_id": (survey + 1) * 2**32 + row,
                    "survey_no": np.full(points, survey + 1),
                    "track_id": np.full(points, number // surveys),
                    "track_seq": row,
                    "east": east,
                    "north": north,
                    "ice_thickness": np.round(thickness, 1),
                    "year": np.full(points, 2000.5 + survey),
                    "timestamp": 1_000_000 * (survey + 1) + row if number % 4 else [None] * points,
                },
                schema={
                    "point_id": pl.UInt64,
                    "survey_no": pl.UInt32,
                    "track_id": pl.Int32,
                    "track_seq": pl.UInt32,
                    "east": pl.Float64,
                    "north": pl.Float64,
                    "ice_thickness": pl.Float64,
                    "year": pl.Float32,
                    "timestamp": pl.Int64,
                },
            )
        )
    frame = pl.concat(parts)
    return frame.sample(fraction=1.0, shuffle=True, seed=seed)


def with_long_segments(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep of every second line one point in twelve: its segments are some 700 m long."""
    step = pl.col("track_seq").rank("ordinal").over("survey_no", "track_id")
    return frame.filter((pl.col("track_id") % 2 == 0) | (step % 12 == 0))
