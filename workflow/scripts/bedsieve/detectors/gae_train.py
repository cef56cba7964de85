"""Training of a model version's graph autoencoder, from tiles to frozen files.

In: tiles with edges. Out: weights, scales, strata and the constants of the score, and last the manifest.
No label is used, so there are no folds to keep apart: as in study B, the network trains on a part of the
points that it scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from bedsieve.detectors.gae_data import TrainingData, gather
from bedsieve.detectors.gae_model import (
    DETECTOR,
    NETWORK,
    SCALER,
    SCORE,
    Tile,
    read_tile,
    residuals,
)
from bedsieve.detectors.gae_scale import ScoreScale, fit_score_scale
from bedsieve.detectors.gae_settings import GaeSettings
from bedsieve.detectors.gae_training import OnEpoch, Trained, train_network
from bedsieve.detectors.gnn_settings import torch_device
from bedsieve.detectors.manifest import hashes, package_versions, refuse_trained, write_manifest
from bedsieve.detectors.nets.sage_autoencoder import SageAutoencoder
from bedsieve.files import replacing, sha256_of, write_json, write_parquet, write_rows
from bedsieve.progress import Progress

_PACKAGES = ("torch", "numpy", "numba", "polars", "safetensors")


def train_gae(
    tiles: Sequence[Tile],
    out_dir: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    version: str = "v1",
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    scratch: str | Path | None = None,
) -> Path:
    """Train the network, fix the constants of the score over all points, and write the version.

    Parameters
    ----------
    tiles : sequence of mapping
        Each with paths ``points``, ``halo`` and ``edges``. Edges must reach as many hops as the network
        has layers.
    out_dir : path-like
        ``results/models/{version}/gae``. Gets network.safetensors, scaler.json, strata.json, score.json,
        curves.tsv, nodes.parquet and, last, manifest.json. A checkpoint stays in ``checkpoints/`` until
        then, and a killed training goes on from it.
    settings : mapping, optional
        What differs from `GaeSettings`.
    seed : int
    version : str
        Model version.
    device : str
        ``"cpu"``, ``"gpu"`` or ``"auto"``.
    on_epoch : callable, optional
        See `bedsieve.detectors.gae_training.OnEpoch`.
    scratch : path-like, optional
        Folder for the graph's arrays while it is trained, about 60 bytes a node; beside the checkpoint if not given.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    BedsieveError
        If the version is trained already, or no point has a neighbour.
    InputError
        If the edges of a tile serve too few hops or neighbours.
    """
    out_dir = Path(out_dir)
    manifest = out_dir / "manifest.json"
    refuse_trained(out_dir)
    chosen, where = GaeSettings.from_mapping(settings or {}), torch_device(device)
    print(f"gae: training on {where}.", flush=True)
    data = gather(tiles, chosen, seed, scratch or out_dir / "checkpoints")
    checkpoint = out_dir / "checkpoints" / "gae.pt"
    trained = train_network(data, chosen, seed, checkpoint, device=where, on_epoch=on_epoch)
    score = _score_scale(tiles, trained, data, chosen, where)
    files = _write(out_dir, trained, data, score, chosen)
    write_manifest(
        manifest,
        detector=DETECTOR,
        version=version,
        config=chosen.to_mapping(),
        inputs=hashes(tile[kind] for tile in tiles for kind in ("points", "halo", "edges")),
        files={name: sha256_of(out_dir / name) for name in files},
        packages=package_versions(_PACKAGES),
        seed=seed,
    )
    checkpoint.unlink()
    return manifest


def _score_scale(
    tiles: Sequence[Tile], trained: Trained, data: TrainingData, settings: GaeSettings, device: str
) -> ScoreScale:
    """Constants of the score, over all points of all tiles."""
    net = SageAutoencoder(len(settings.features), settings.widths)
    net.load_state_dict(trained.weights)
    progress = Progress("gae: fixing the scale of scores", len(tiles), "tiles")
    found = []
    for tile in tiles:
        nodes = read_tile(tile, settings)
        around = nodes.surroundings()
        error = np.abs(residuals(net, nodes, data.scale, settings, device))
        columns = (error, around.distance, around.gradient)
        found.append([column.astype(np.float32) for column in columns])
        progress.advance(1)
    return fit_score_scale(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _write(
    out_dir: Path, trained: Trained, data: TrainingData, score: ScoreScale, settings: GaeSettings
) -> list[str]:
    """Write the files of the version; their names."""
    with replacing(out_dir / NETWORK) as part:
        part.write_bytes(save(trained.weights))
    write_json(data.scale.to_mapping(), out_dir / SCALER)
    write_json(score.to_mapping(), out_dir / SCORE)
    strata = {
        "features": list(settings.strata_features or settings.features),
        "centres": data.centres.tolist(),
        "clean_within_m": data.limit,
    }
    write_json(strata, out_dir / "strata.json")
    write_rows(trained.curve, out_dir / "curves.tsv")
    write_parquet(data.nodes, out_dir / "nodes.parquet")
    return [NETWORK, SCALER, SCORE, "strata.json", "curves.tsv", "nodes.parquet"]
