"""Made tiles for the tests of physics PCA, and the two steps from points to scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bedsieve.detectors.pca_model import PCAConfig
from bedsieve.detectors.pca_score import score_tile
from bedsieve.detectors.pca_train import train_pca


def made_points(
    n: int, seed: int, east: float = 0.0, survey: int = 1, lines: int = 4
) -> pl.DataFrame:
    """Points on parallel lines 100 m apart along the line, with covariates that fit each other."""
    rng = np.random.default_rng(seed)
    along = 100.0 * (np.arange(n) // lines)
    track = np.arange(n) % lines
    wave = np.sin(along / 7000 + track) + 0.2 * np.sin(along / 900)
    surface = 1500 + 300 * np.cos(along / 30_000 + seed)
    bed = 200 * wave - 300 + rng.normal(0, 3, n)
    row = track * n + np.arange(n) // lines
    return pl.DataFrame(
        {
            "point_id": (survey * 2**32 + row).astype(np.uint64),
            "survey_no": np.full(n, survey, np.uint32),
            "track_id": track.astype(np.int32),
            "track_seq": row.astype(np.uint32),
            "east": east + along,
            "north": 5000.0 * track,
            "ice_thickness": surface - bed + rng.normal(0, 4, n),
            "bed_elev": bed,
            "bed_reconstructed": np.zeros(n, bool),
            "year": np.full(n, 2012, np.float32),
            "z": surface.astype(np.float32),
            "s": (0.002 + 0.001 * np.abs(wave)).astype(np.float32),
            "v": np.exp(3 + 0.5 * wave + 0.1 * rng.normal(size=n)).astype(np.float32),
            "smb": (200 - 0.1 * surface + rng.normal(0, 2, n)).astype(np.float32),
            "temp": (260 - 0.01 * surface + rng.normal(0, 0.2, n)).astype(np.float32),
        }
    )


CROSSOVERS: dict[str, Any] = {
    "point_id_a": pl.UInt64,
    "point_id_b": pl.UInt64,
    "end_id_a": pl.UInt64,
    "end_id_b": pl.UInt64,
    "fraction_a": pl.Float64,
    "fraction_b": pl.Float64,
    "h_a": pl.Float64,
    "h_b": pl.Float64,
    "distance": pl.Float64,
    "self_crossing": pl.Boolean,
}


def put_tile(root: Path, name: str, points: pl.DataFrame, halo: pl.DataFrame | None = None) -> Path:
    """A tile folder with points, a halo and no crossovers."""
    folder = root / "tiles" / name
    folder.mkdir(parents=True, exist_ok=True)
    points.write_parquet(folder / "points.parquet")
    (points.clear() if halo is None else halo).write_parquet(folder / "halo.parquet")
    pl.DataFrame(schema=CROSSOVERS).write_parquet(folder / "crossovers.parquet")
    return folder


def scored(folder: Path, model: Path) -> pl.DataFrame:
    """Score a tile by a model; its table."""
    out = folder / "pca.parquet"
    score_tile(
        folder / "points.parquet",
        folder / "halo.parquet",
        [folder / "crossovers.parquet"],
        model,
        out,
    )
    return pl.read_parquet(out)


def trained(root: Path, folders: list[Path], version: str = "v1", **config: Any) -> Path:
    """Train a model version on tiles; its folder."""
    out = root / "models" / version / "pca"
    paths = [folder / "points.parquet" for folder in folders]
    train_pca(paths, out, version=version, config=PCAConfig(**config))
    return out


def three_tiles(root: Path) -> list[Path]:
    """A full tile, a thin one beside it, and a thin one far away."""
    return [
        put_tile(root, "x0_y0", made_points(8000, 1)),
        put_tile(root, "x1_y0", made_points(400, 2, east=500e3, survey=2)),
        put_tile(root, "x7_y7", made_points(300, 3, east=3500e3, survey=3)),
    ]
