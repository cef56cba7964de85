"""Scores of a tile by the graph network, each point by the model that never saw its region.

In: a tile's points, halo and edges, and a model version. Out: its score table, which says for each point
that scores high what made the network say so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.gnn_causes import causes
from bedsieve.detectors.gnn_model import GnnModel
from bedsieve.files import write_parquet

NO_LABELS = "no_labels"
"""Code of points that a version cannot score because there was nothing to learn from."""

TELLING = 0.5  # points that score at least this are given their causes (ours)


def score_tile(
    points: str | Path,
    halo: str | Path,
    edges: str | Path,
    model_dir: str | Path,
    out_path: str | Path,
    device: str | None = None,
) -> None:
    """Score a tile's points, each by the model that never saw its region.

    Parameters
    ----------
    points, halo, edges : path-like
        The tile's artefacts.
    model_dir : path-like
        A model version's gnn folder.
    out_path : path-like
        Score table: point_id, score (calibrated probability), code (`NO_LABELS` where the version has
        no network, else null), logit (before calibration), fold (the model that scored it), because
        (what made it score high, see `gnn_causes`; null below 0.5).
    device : str, optional
        ``"auto"``, ``"cpu"`` or ``"gpu"``; that of training if not given.

    Raises
    ------
    InputError
        If the model is not trained, its files were changed, or the edges do not serve as many hops
        as the network has layers.
    """
    model = GnnModel(model_dir, device)
    point_id = pl.read_parquet(points, columns=["point_id"])["point_id"]
    if model.untrained is not None:
        print(f"gnn: no scores: {model.untrained}", flush=True)
        unknown = np.full(len(point_id), np.nan, np.float32)
        nothing = [None] * len(point_id)
        table = _table(point_id, unknown, unknown, nothing, nothing)
        write_parquet(table.with_columns(code=pl.lit(NO_LABELS)), out_path)
        return
    print(f"gnn: scoring on {model.device}.", flush=True)
    graph, fold = model.graph(points, halo, edges)
    logit = model.logits(graph, np.arange(fold.size), fold)
    score = probability(logit, model.temperature[fold])
    telling = np.flatnonzero(score >= TELLING)
    because: list[str | None] = [None] * fold.size
    if telling.size:
        found = causes(model, graph, telling, fold[telling], logit[telling])
        for row, words in zip(telling, found, strict=True):
            because[row] = words
    letters = [model.folds.name(number) for number in range(model.folds.count)]
    write_parquet(_table(point_id, score, logit, [letters[f] for f in fold], because), out_path)


def probability(
    logit: npt.NDArray[np.float32], temperature: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Calibrated probability of being bad: σ(logit / temperature)."""
    with np.errstate(over="ignore"):
        odds = np.exp(-logit.astype(np.float64) / temperature)
    return (1 / (1 + odds)).astype(np.float32)


def _table(
    point_id: pl.Series,
    score: npt.NDArray[np.float32],
    logit: npt.NDArray[np.float32],
    fold: list[str] | list[None],
    because: list[str | None] | list[None],
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "point_id": point_id,
            "score": score,
            "code": pl.Series([None] * len(score), dtype=pl.String),
            "logit": logit,
            "fold": pl.Series(fold, dtype=pl.String),
            "because": pl.Series(because, dtype=pl.String),
        }
    )
