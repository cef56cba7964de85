"""A model version of the graph network: every fold trained, and all that scoring needs written down.

In: tiles with edges and pseudo-labels. Out: weights, scales, regions, temperatures and loss curves, the
manifest last. Two regions by default, each to be scored by the model that never saw it (study B, seed 000,
sections 3.1 to 3.3). All of it is frozen with the version, so a point's score never depends on which other
tiles exist. Where there are too few labels to learn from, the version says so and scores nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bedsieve.detectors.gnn_data import Tile, TooFewLabelsError, TrainingData, gather
from bedsieve.detectors.gnn_model import DETECTOR, UNTRAINED
from bedsieve.detectors.gnn_settings import GnnSettings
from bedsieve.detectors.manifest import hashes, package_versions, write_manifest
from bedsieve.errors import BedsieveError
from bedsieve.files import replacing, write_json, write_parquet, write_text

CURVES = (
    "fold",
    "epoch",
    "learning_rate",
    "train",
    "train_outlier",
    "train_inlier",
    "train_unlabelled",
    "validation",
    "validation_outlier",
    "validation_inlier",
    "validation_auc",
    "best",
)
"""Columns of curves.tsv, one row an epoch of a fold."""

_PACKAGES = ("torch", "numpy", "numba", "polars", "scikit-learn", "scipy", "safetensors")


def train_gnn(
    tiles: Sequence[Tile],
    out_dir: str | Path,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    version: str = "v1",
    on_epoch: Any = None,
) -> dict[str, Any]:
    """Train every fold and write a model version.

    Parameters
    ----------
    tiles : sequence of mapping
        Each with paths ``points``, ``halo``, ``edges``, ``labels``. Edges must reach as many hops as
        the network has layers.
    out_dir : path-like
        Gets fold_A.safetensors, fold_B.safetensors, …, scaler.json, folds.json, calibration.json,
        curves.tsv, seeds.parquet and, last, manifest.json; in the place of all but the curves and the
        manifest untrained.json, where there are too few labels. Checkpoints stay in ``checkpoints/``
        until the end, and a killed training goes on from them.
    settings : mapping, optional
        What differs from `GnnSettings`.
    seed : int
    version : str
        Name of the model version.
    on_epoch : callable, optional
        See `bedsieve.detectors.gnn_training.OnEpoch`.

    Returns
    -------
    dict
        The calibration of each fold, by its letter; empty if nothing could be learnt.

    Raises
    ------
    BedsieveError
        If the version is trained already.
    InputError
        If the edges serve fewer hops than the network has layers.
    """
    out_dir = Path(out_dir)
    if (out_dir / "manifest.json").exists():
        raise BedsieveError(
            f"{out_dir}: this model version is trained already, and a version never changes. Choose "
            "another models.version to train again."
        )
    chosen = GnnSettings.from_mapping(settings or {})
    calibration: dict[str, Any] = {}
    curves: list[dict[str, Any]] = []
    try:
        data = gather(tiles, chosen, seed)
    except TooFewLabelsError as lack:
        print(f"gnn: not trained: {lack} Version {version} scores no point with gnn.", flush=True)
        write_json({"why": str(lack)}, out_dir / UNTRAINED)
        files = [UNTRAINED]
    else:
        files = _write_data(data, out_dir)
        for fold in range(data.folds.count):
            letter = data.folds.name(fold)
            result = _train_fold(data, chosen, fold, seed, out_dir, on_epoch)
            calibration[letter], files = result.calibration, [*files, _weights_of(letter)]
            curves += result.curves
        write_json(calibration, out_dir / "calibration.json")
        files.append("calibration.json")
    write_text(_as_tsv(curves), out_dir / "curves.tsv")
    inputs = [tile[kind] for tile in tiles for kind in ("points", "halo", "edges", "labels")]
    write_manifest(
        out_dir / "manifest.json",
        detector=DETECTOR,
        version=version,
        config=chosen.to_mapping(),
        inputs=hashes(inputs),
        files=_digests(out_dir, [*files, "curves.tsv"]),
        packages=package_versions(_PACKAGES),
        seed=seed,
    )
    for letter in calibration:
        _checkpoint_of(out_dir, letter).unlink(missing_ok=True)
    return calibration


def _write_data(data: TrainingData, out_dir: Path) -> list[str]:
    write_json(data.scaler.to_mapping(), out_dir / "scaler.json")
    write_json(data.folds.to_mapping(), out_dir / "folds.json")
    write_parquet(data.seeds_table(), out_dir / "seeds.parquet")
    return ["scaler.json", "folds.json", "seeds.parquet"]


def _train_fold(
    data: TrainingData, settings: GnnSettings, fold: int, seed: int, out_dir: Path, on_epoch: Any
) -> Any:
    from safetensors.torch import save

    from bedsieve.detectors.gnn_training import train_fold

    letter = data.folds.name(fold)
    checkpoint = _checkpoint_of(out_dir, letter)
    result = train_fold(data, settings, fold, seed, checkpoint, on_epoch)
    with replacing(out_dir / _weights_of(letter)) as part:
        part.write_bytes(save(result.weights))
    return result


def _weights_of(letter: str) -> str:
    return f"fold_{letter}.safetensors"


def _checkpoint_of(out_dir: Path, letter: str) -> Path:
    return out_dir / "checkpoints" / f"fold_{letter}.pt"


def _digests(folder: Path, names: Sequence[str]) -> dict[str, str]:
    found = hashes(folder / name for name in names)
    return {name: found[str(folder / name)] for name in names}


def _as_tsv(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["\t".join(CURVES)]
    lines += ["\t".join(str(row[name]) for name in CURVES) for row in rows]
    return "\n".join(lines) + "\n"
