"""A model version of the graph network: every fold trained, and all that scoring needs written down.

In: tiles with edges and pseudo-labels. Out: weights, scales, regions, temperatures and loss curves, the
manifest last. Two regions by default, each to be scored by the model that never saw it (study B, seed 000,
sections 3.1 to 3.3). All of it is frozen with the version, so a point's score never depends on which other
tiles exist. Where there are too few labels to learn from, the version says so and scores nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedsieve.detectors.gnn_data import Tile, TooFewLabelsError, TrainingData, gather
from bedsieve.detectors.gnn_folds import fold_letters
from bedsieve.detectors.gnn_model import DETECTOR, UNTRAINED
from bedsieve.detectors.gnn_settings import GnnSettings
from bedsieve.detectors.manifest import hashes, package_versions, refuse_trained, write_manifest
from bedsieve.files import replacing, write_json, write_parquet, write_text

if TYPE_CHECKING:
    from bedsieve.detectors.gnn_training import FoldResult

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
    scratch: str | Path | None = None,
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
    scratch : path-like, optional
        Folder for the graph's arrays while it is trained, about 190 bytes a node; beside the checkpoints if not given.

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
    from bedsieve.detectors.gnn_training import train_fold

    out_dir = Path(out_dir)
    refuse_trained(out_dir)
    chosen = GnnSettings.from_mapping(settings or {})
    try:
        data = gather(tiles, chosen, seed, scratch or _checkpoints(out_dir))
    except TooFewLabelsError as lack:
        print(f"gnn: not trained: {lack} Version {version} scores no point with gnn.", flush=True)
        write_json({"why": str(lack)}, out_dir / UNTRAINED)
        write_text(_as_tsv([]), out_dir / "curves.tsv")
        _write_manifest(out_dir, [UNTRAINED], tiles, chosen, seed, version)
        return {}
    results = [
        train_fold(data, chosen, fold, seed, checkpoint_of(out_dir, letter), on_epoch)
        for fold, letter in enumerate(fold_letters(data.folds.count))
    ]
    return freeze(data, results, tiles, out_dir, chosen, seed, version)


def freeze(
    data: TrainingData,
    results: Sequence[FoldResult],
    tiles: Sequence[Tile],
    out_dir: str | Path,
    settings: GnnSettings,
    seed: int,
    version: str,
) -> dict[str, Any]:
    """Write a model version of trained folds, the manifest last, and remove their checkpoints.

    Parameters
    ----------
    data : TrainingData
        What the folds were trained on.
    results : sequence of FoldResult
        One a fold.
    tiles, out_dir, settings, seed, version
        As for `train_gnn`.

    Returns
    -------
    dict
        The calibration of each fold, by its letter.
    """
    from safetensors.torch import save

    out_dir = Path(out_dir)
    write_json(data.scaler.to_mapping(), out_dir / "scaler.json")
    write_json(data.folds.to_mapping(), out_dir / "folds.json")
    write_parquet(data.seeds_table(), out_dir / "seeds.parquet")
    folds = dict(zip(fold_letters(data.folds.count), results, strict=True))
    weights = {letter: f"fold_{letter}.safetensors" for letter in folds}
    for letter, result in folds.items():
        with replacing(out_dir / weights[letter]) as part:
            part.write_bytes(save(result.weights))
    calibration = {letter: result.calibration for letter, result in folds.items()}
    write_json(calibration, out_dir / "calibration.json")
    write_text(
        _as_tsv([row for result in results for row in result.curves]), out_dir / "curves.tsv"
    )
    files = ["scaler.json", "folds.json", "seeds.parquet", *weights.values(), "calibration.json"]
    _write_manifest(out_dir, files, tiles, settings, seed, version)
    for letter in folds:
        checkpoint_of(out_dir, letter).unlink(missing_ok=True)
    return calibration


def checkpoint_of(out_dir: str | Path, letter: str) -> Path:
    """Where the training of a fold leaves what it has reached."""
    return _checkpoints(Path(out_dir)) / f"fold_{letter}.pt"


def _checkpoints(out_dir: Path) -> Path:
    return out_dir / "checkpoints"


def _write_manifest(
    out_dir: Path,
    files: Sequence[str],
    tiles: Sequence[Tile],
    settings: GnnSettings,
    seed: int,
    version: str,
) -> None:
    inputs = [tile[kind] for tile in tiles for kind in ("points", "halo", "edges", "labels")]
    found = hashes(out_dir / name for name in (*files, "curves.tsv"))
    write_manifest(
        out_dir / "manifest.json",
        detector=DETECTOR,
        version=version,
        config=settings.to_mapping(),
        inputs=hashes(inputs),
        files={name: found[str(out_dir / name)] for name in (*files, "curves.tsv")},
        packages=package_versions(_PACKAGES),
        seed=seed,
    )


def _as_tsv(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["\t".join(CURVES)]
    lines += ["\t".join(str(row[name]) for name in CURVES) for row in rows]
    return "\n".join(lines) + "\n"
