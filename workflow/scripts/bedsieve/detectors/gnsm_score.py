"""Scores of a tile by categorical score matching.

In: a tile's points, what their surveys say of themselves, and a frozen model version. Out: a score table
with the likelihood and, for what stands out, the column that speaks against it most. A point with a category
that training never saw, such as a new institution, is not judged, and a code says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bedsieve.detectors.gnn_settings import torch_device
from bedsieve.detectors.gnsm_model import Gnsm
from bedsieve.detectors.gnsm_points import PointTable, read_points, survey_metadata
from bedsieve.detectors.gnsm_points_settings import GnsmPointsSettings
from bedsieve.detectors.gnsm_scale import Scale
from bedsieve.detectors.gnsm_train import DETECTOR, SCALE, TABLE
from bedsieve.detectors.manifest import read_manifest
from bedsieve.files import write_parquet
from bedsieve.progress import Progress

UNSEEN = "unseen_category"
"""Code of a point with a category, or a missing number, that training never saw."""

SCORES = pl.Schema(
    {
        "point_id": pl.UInt64,
        "score": pl.Float32,
        "code": pl.String,
        "nll": pl.Float32,
        "because": pl.String,
    }
)
_TELLING = 0.5  # scores from which the column that speaks against a point is named
_CHUNK = 65536


def score_tile(
    points: str | Path,
    model_dir: str | Path,
    out_path: str | Path,
    *,
    surveys: Sequence[str | Path],
    device: str = "cpu",
) -> None:
    """Score a tile's points and write its table.

    Parameters
    ----------
    points : path-like
        The tile's points.
    model_dir : path-like
        ``results/models/{version}/gnsm``.
    out_path : path-like
        Score table, in the order of the points: point_id, score, code, nll (negative log-likelihood), because
        (a column of the table, from a score of 0.5 on).
    surveys : sequence of path-like
        Harmonised surveys of the points.
    device : str
        ``"cpu"``, ``"gpu"`` or ``"auto"``.

    Raises
    ------
    InputError
        If the model is not trained or was changed since.
    ConfigError
        If a GPU is asked for and PyTorch sees none.
    """
    folder = Path(model_dir)
    manifest = read_manifest(folder / "manifest.json", DETECTOR)
    settings = GnsmPointsSettings.from_mapping(manifest["config"])
    model = Gnsm.load(folder, settings.method.to_mapping())
    layout = PointTable.from_mapping(_json(folder / TABLE))
    scale = Scale.from_mapping(_json(folder / SCALE))
    said = survey_metadata(surveys)
    where = torch_device(device)
    print(f"gnsm: scoring on {where}.", flush=True)
    frame = read_points(points)
    progress = Progress("gnsm: scoring", frame.height)
    found = [pl.DataFrame(schema=SCORES)]
    for start in range(0, frame.height, _CHUNK):
        part = frame.slice(start, _CHUNK)
        found.append(_scored(part, layout.of(part, said), model, scale, where))
        progress.advance(part.height)
    write_parquet(pl.concat(found), out_path)


def _scored(
    points: pl.DataFrame, table: pl.DataFrame, model: Gnsm, scale: Scale, device: str
) -> pl.DataFrame:
    unlikely = model.negative_log_likelihood(table, device)
    score = scale.score(unlikely)
    because = np.full(len(score), None, object)
    telling = np.flatnonzero(score >= _TELLING)
    if telling.size:
        because[telling] = scale.because(model.parts(table[telling], device)[1])
    return pl.DataFrame(
        {
            "point_id": points["point_id"],
            "score": score,
            "code": pl.Series([UNSEEN if np.isnan(s) else None for s in score], dtype=pl.String),
            "nll": pl.Series(unlikely.astype(np.float32)).fill_nan(None),
            "because": pl.Series(because.tolist(), dtype=pl.String),
        }
    )


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
