"""Scores of a tile by the graph autoencoder.

In: a tile's points, halo and edges, and a frozen model version. Out: a score table with the error of
the rebuilt thickness and how the point stands among its neighbours. Every point has a score: one
without neighbours is judged by its own reconstruction, as if they were infinitely far.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from bedsieve.detectors.gae_model import GaeModel, read_tile, residuals
from bedsieve.detectors.gnn_settings import torch_device
from bedsieve.files import write_parquet


def score_tile(
    points: str | Path,
    halo: str | Path,
    edges: str | Path,
    model_dir: str | Path,
    out_path: str | Path,
    *,
    device: str = "cpu",
) -> None:
    """Score a tile's points and write its table.

    Parameters
    ----------
    points, halo, edges : path-like
        The tile's artefacts.
    model_dir : path-like
        ``results/models/{version}/gae``.
    out_path : path-like
        Score table, in the order of the points: point_id, score, code (always null), residual_m
        (H − rebuilt H), gradient (median |ΔH|/d to the neighbours), neighbour_distance_m (their mean
        distance, null without any).
    device : str
        ``"cpu"``, ``"gpu"`` or ``"auto"``.

    Raises
    ------
    InputError
        If the model is not trained or was changed since, or the edges serve too few hops.
    ConfigError
        If a GPU is asked for and PyTorch sees none.
    """
    model = GaeModel(model_dir)
    chosen = torch_device(device)
    print(f"gae: scoring on {chosen}.", flush=True)
    nodes = read_tile({"points": points, "halo": halo, "edges": edges}, model.settings)
    around = nodes.surroundings()
    residual = residuals(model.net, nodes, model.scale, model.settings, chosen)
    score = model.score.score(np.abs(residual), around.distance, around.gradient)
    distance = around.distance.astype(np.float32)
    distance[np.isinf(distance)] = np.nan
    table = pl.DataFrame(
        {
            "point_id": nodes.points["point_id"][: nodes.core],
            "score": score,
            "code": pl.Series([None] * nodes.core, dtype=pl.String),
            "residual_m": residual,
            "gradient": around.gradient.astype(np.float32),
            "neighbour_distance_m": pl.Series(distance).fill_nan(None),
        }
    )
    write_parquet(table, out_path)
