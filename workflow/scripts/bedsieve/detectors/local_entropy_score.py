"""Scores of a tile by local entropy, each point by the model that never saw its region.

In: a tile's points, halo and edges, and a model version of this detector and of the graph network. Out: its
score table. Points are worked on a block at a time, so memory does not grow with the tile.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.local_entropy import score_of_z
from bedsieve.detectors.local_entropy_model import LocalEntropyModel
from bedsieve.detectors.local_entropy_passes import BLOCKS_AT_ONCE
from bedsieve.detectors.tile_graph import tile_frame
from bedsieve.files import write_parquet
from bedsieve.progress import Progress

NO_REFERENCE = "no_reference"
"""Code of points that a version cannot score because it knows nothing to compare them with."""

SCHEMA = {
    "point_id": pl.UInt64,
    "score": pl.Float32,
    "code": pl.String,
    "z": pl.Float32,
    "flag": pl.Boolean,
    "entropy": pl.Float32,
    "mutual_information": pl.Float32,
    "local_mean": pl.Float32,
    "local_std": pl.Float32,
    "distance": pl.Float32,
    "fold": pl.String,
}


def score_tile(
    points: str | Path,
    halo: str | Path,
    edges: str | Path,
    model_dir: str | Path,
    gnn_dir: str | Path,
    out_path: str | Path,
    device: str | None = None,
) -> None:
    """Score a tile's points.

    Parameters
    ----------
    points, halo, edges : path-like
        The tile's artefacts.
    model_dir, gnn_dir : path-like
        Folders of this detector and of the graph network in one model version.
    out_path : path-like
        Score table: point_id, score (½ where z is `sigma`), code (`NO_REFERENCE` where the version
        knows nothing to compare with, else null), z, flag (z above `sigma`), entropy and
        mutual_information (nats), local_mean and local_std of the neighbours' entropies, distance (to
        the last of them, in the latent space), fold (the model that scored it).
    device : str, optional
        ``"auto"``, ``"cpu"`` or ``"gpu"``; that of the network's training if not given.

    Raises
    ------
    InputError
        If a model is not trained, its files were changed, or the edges do not serve as many hops as
        the network has layers.
    """
    model = LocalEntropyModel(model_dir, gnn_dir, device)
    frame, core = tile_frame(points, halo, ["point_id"])
    if model.untrained is not None:
        print(f"local_entropy: no scores: {model.untrained}", flush=True)
        table = frame[:core].with_columns(score=pl.lit(float("nan")), code=pl.lit(NO_REFERENCE))
        absent = {name: kind for name, kind in SCHEMA.items() if name not in table.columns}
        table = table.with_columns(pl.lit(None, kind).alias(name) for name, kind in absent.items())
        write_parquet(table.select(pl.col(n).cast(kind) for n, kind in SCHEMA.items()), out_path)
        return
    graph, fold = model.gnn.graph(points, halo, edges)
    point_id = frame["point_id"].to_numpy()
    columns = {name: np.zeros(core, np.float32) for name in _MEASURED}
    progress = Progress("local_entropy: asking", core, "points")
    for number in np.unique(fold):
        passes, reference = model.passes(int(number)), model.reference(int(number))
        rows = np.flatnonzero(fold == number)
        step = BLOCKS_AT_ONCE * model.gnn.settings.inference_block
        for start in range(0, rows.size, step):
            some = rows[start : start + step]
            seen = passes.measure(graph, some, point_id)
            found = reference.compare(seen.latent, seen.entropy, model.settings)
            values = (
                found.z,
                seen.entropy,
                seen.mutual_information,
                found.mean,
                found.std,
                found.distance,
            )
            for name, value in zip(_MEASURED, values, strict=True):
                columns[name][some] = value
            progress.advance(some.size)
    letters = [model.gnn.folds.name(number) for number in range(model.gnn.folds.count)]
    write_parquet(
        _table(point_id[:core], columns, [letters[f] for f in fold], model.settings.sigma),
        out_path,
    )


_MEASURED = ("z", "entropy", "mutual_information", "local_mean", "local_std", "distance")


def _table(
    point_id: npt.NDArray[np.uint64],
    columns: dict[str, npt.NDArray[np.float32]],
    fold: list[str],
    sigma: float,
) -> pl.DataFrame:
    z = columns["z"]
    return pl.DataFrame(
        {
            "point_id": point_id,
            "score": score_of_z(z, sigma),
            "code": pl.Series([None] * z.size, dtype=pl.String),
            "flag": z > sigma,
            "fold": pl.Series(fold, dtype=pl.String),
            **columns,
        }
    ).select(*SCHEMA)
