"""The graph network as a detector: train a model version, score tiles with it.

In: tiles with edges and pseudo-labels; later any tile with edges. Out: a model version's files, and a
score table. Two regions, each scored by the model that never saw it (study B, seed 000, sections 3.1 to
3.3). Scales, regions and temperatures are frozen with the version: a point's score never depends on
which other tiles exist.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.gnn_data import Tile, gather
from bedsieve.detectors.gnn_folds import Folds
from bedsieve.detectors.gnn_settings import GnnSettings
from bedsieve.detectors.manifest import hashes, package_versions, read_manifest, write_manifest
from bedsieve.detectors.node_features import COLUMNS, Scaler, raw_features
from bedsieve.detectors.tile_graph import tile_edges, tile_frame
from bedsieve.errors import BedsieveError
from bedsieve.files import replacing, write_json, write_parquet, write_text

DETECTOR = "gnn"
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
        curves.tsv, seeds.parquet and, last, manifest.json. Checkpoints stay in ``checkpoints/`` until
        then, and a killed training goes on from them.
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
        The calibration of each fold, by its letter.

    Raises
    ------
    BedsieveError
        If the version is trained already, or there are too few labels.
    """
    from safetensors.torch import save

    from bedsieve.detectors.gnn_training import train_fold

    out_dir = Path(out_dir)
    if (out_dir / "manifest.json").exists():
        raise BedsieveError(
            f"{out_dir}: this model version is trained already, and a version never changes. Choose "
            "another models.version to train again."
        )
    chosen = GnnSettings.from_mapping(settings or {})
    data = gather(tiles, chosen, seed)
    files = ["scaler.json", "folds.json", "seeds.parquet"]
    write_json(data.scaler.to_mapping(), out_dir / "scaler.json")
    write_json(data.folds.to_mapping(), out_dir / "folds.json")
    write_parquet(data.seeds_table(), out_dir / "seeds.parquet")
    calibration: dict[str, Any] = {}
    curves: list[dict[str, Any]] = []
    checkpoints = []
    for fold in range(data.folds.count):
        letter = data.folds.name(fold)
        checkpoints.append(out_dir / "checkpoints" / f"fold_{letter}.pt")
        result = train_fold(data, chosen, fold, seed, checkpoints[-1], on_epoch)
        files.append(f"fold_{letter}.safetensors")
        with replacing(out_dir / files[-1]) as part:
            part.write_bytes(save(result.weights))
        calibration[letter] = result.calibration
        curves += result.curves
    write_json(calibration, out_dir / "calibration.json")
    write_text(_as_tsv(curves), out_dir / "curves.tsv")
    files += ["calibration.json", "curves.tsv"]
    inputs = [tile[kind] for tile in tiles for kind in ("points", "halo", "edges", "labels")]
    write_manifest(
        out_dir / "manifest.json",
        detector=DETECTOR,
        version=version,
        config=chosen.to_mapping(),
        inputs=hashes(inputs),
        files=_digests(out_dir, files),
        packages=package_versions(_PACKAGES),
        seed=seed,
    )
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    return calibration


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
        Score table: point_id, score (calibrated probability), code (always null), logit (before
        calibration), fold (the model that scored it).
    device : str, optional
        Overrides the version's setting.

    Raises
    ------
    InputError
        If the model is not trained, its files were changed, or the edges do not serve as many hops
        as the network has layers.
    """
    model = GnnModel(model_dir)
    logit, fold = model.logits(points, halo, edges, device)
    letters = np.array([model.folds.name(f) for f in range(model.folds.count)])
    temperature = np.array([model.temperature[letter] for letter in letters])
    point_id = pl.read_parquet(points, columns=["point_id"])["point_id"]
    with np.errstate(over="ignore"):
        probability = 1 / (1 + np.exp(-logit.astype(np.float64) / temperature[fold]))
    table = pl.DataFrame(
        {
            "point_id": point_id,
            "score": probability.astype(np.float32),
            "code": pl.Series([None] * len(logit), dtype=pl.String),
            "logit": logit,
            "fold": pl.Series(letters[fold].tolist(), dtype=pl.String),
        }
    )
    write_parquet(table, out_path)


class GnnModel:
    """A trained model version, checked against its manifest.

    Parameters
    ----------
    model_dir : path-like
    """

    def __init__(self, model_dir: str | Path) -> None:
        self.folder = Path(model_dir)
        manifest = read_manifest(self.folder / "manifest.json", DETECTOR)
        self.settings = GnnSettings.from_mapping(manifest["config"])
        self.scaler = Scaler.from_mapping(self._json("scaler.json"))
        self.folds = Folds.from_mapping(self._json("folds.json"))
        calibration = self._json("calibration.json")
        self.temperature = {k: float(v["temperature"]) for k, v in calibration.items()}

    def _json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def network(self, fold: int) -> Any:
        """The `GatedSage` of a fold, with its weights."""
        from safetensors.torch import load_file

        from bedsieve.detectors.gnn_training import build_network

        net = build_network(self.settings)
        net.load_state_dict(load_file(self.folder / f"fold_{self.folds.name(fold)}.safetensors"))
        return net.eval()

    def graph(self, points: str | Path, halo: str | Path, edges: str | Path) -> tuple[Any, Any]:
        """The tile's `Graph` with scaled features, and the model that scores each core point."""
        from bedsieve.detectors.nets.sampling import Graph

        frame, core = tile_frame(points, halo, ("survey_no", "east", "north", *COLUMNS))
        fold = self.folds.scorer_of(self.folds.region_of(frame[:core]))
        x = self.scaler.apply(raw_features(frame))
        table = tile_edges(edges, frame.height, core, len(self.settings.widths))
        arrays = (table.neighbour, table.log1p_dist, table.log_slope)
        return Graph(x, *arrays, self.scaler.g_scale), fold

    def logits(
        self, points: str | Path, halo: str | Path, edges: str | Path, device: str | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Logit of each core point and the fold that gave it."""
        from bedsieve.detectors.nets.inference import infer

        chosen = device or self.settings.resolve_device()
        print(f"gnn: scoring on {chosen}.", flush=True)
        graph, fold = self.graph(points, halo, edges)
        logit = np.empty(fold.size, np.float32)
        for number in np.unique(fold):
            rows = np.flatnonzero(fold == number)
            logit[rows], _ = infer(
                self.network(int(number)),
                graph,
                rows,
                block=self.settings.inference_block,
                device=chosen,
                precision=self.settings.resolve_precision(chosen),
            )
        return logit, fold


def _digests(folder: Path, names: Sequence[str]) -> dict[str, str]:
    found = hashes(folder / name for name in names)
    return {name: found[str(folder / name)] for name in names}


def _as_tsv(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["\t".join(rows[0])]
    lines += ["\t".join(str(value) for value in row.values()) for row in rows]
    return "\n".join(lines) + "\n"
