"""A model version of local entropy: for each fold the known points, their latent vectors and entropies.

In: tiles and a trained graph network. Out: a file a fold, the labels held back as the network sees them (for
the calibration plot), and the manifest last. Nothing is fitted: training points that the network gets right
are asked with dropout and written down. Which points are taken follows from their ids alone, so tiles do
not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.gnn_folds import hashed
from bedsieve.detectors.gnn_model import GnnModel
from bedsieve.detectors.gnn_score import probability
from bedsieve.detectors.local_entropy_model import DETECTOR, UNTRAINED, reference_name
from bedsieve.detectors.local_entropy_passes import BLOCKS_AT_ONCE, FoldPasses, Measured
from bedsieve.detectors.local_entropy_reference import Reference
from bedsieve.detectors.local_entropy_settings import LocalEntropySettings
from bedsieve.detectors.manifest import hashes, package_versions, refuse_trained, write_manifest
from bedsieve.detectors.tile_graph import tile_frame
from bedsieve.files import sha256_of, write_json, write_parquet
from bedsieve.progress import Progress

Tile = Mapping[str, str | Path]

CALIBRATION = {
    "fold": pl.String,
    "label": pl.Int8,
    "probability": pl.Float32,
    "mean_probability": pl.Float32,
    "entropy": pl.Float32,
    "mutual_information": pl.Float32,
    "z": pl.Float32,
}
"""calibration.parquet, a row a label held back: probability of being bad with dropout off and over the passes."""

_PACKAGES = ("torch", "numpy", "numba", "polars", "scikit-learn", "safetensors")
_SALT = 37


def train_local_entropy(
    tiles: Sequence[Tile],
    gnn_dir: str | Path,
    out_dir: str | Path,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    version: str = "v1",
    device: str | None = None,
) -> dict[str, int]:
    """Write a model version.

    Parameters
    ----------
    tiles : sequence of mapping
        Each with paths ``points``, ``halo``, ``edges``; those that the network was trained on.
    gnn_dir : path-like
        The trained graph network.
    out_dir : path-like
        Gets reference_A.safetensors, …, calibration.parquet and, last, manifest.json; in the place of
        the references untrained.json, where there is nothing to compare with.
    settings : mapping, optional
        What differs from `LocalEntropySettings`.
    seed : int
        Of the masks and of the choice of points.
    version : str
    device : str, optional
        ``"auto"``, ``"cpu"`` or ``"gpu"``.

    Returns
    -------
    dict
        Known points of each fold, by its letter; empty if there is nothing to compare with.

    Raises
    ------
    BedsieveError
        If the version is trained already.
    ConfigError
        If the network was trained without dropout.
    """
    out_dir = Path(out_dir)
    refuse_trained(out_dir)
    chosen = LocalEntropySettings.from_mapping(settings or {})
    tiles = sorted(tiles, key=lambda tile: str(tile["points"]))
    gnn = GnnModel(gnn_dir, device)
    found = _References(gnn, chosen, seed)
    why = gnn.untrained or found.gather(tiles)
    files = ["calibration.parquet"]
    if why is not None:
        print(f"local_entropy: nothing to compare with: {why}", flush=True)
        write_json({"why": why}, out_dir / UNTRAINED)
        files.append(UNTRAINED)
    else:
        for letter, reference in found.references.items():
            reference.save(out_dir / reference_name(letter))
            files.append(reference_name(letter))
    write_parquet(found.calibration(), out_dir / "calibration.parquet")
    inputs = [tile[kind] for tile in tiles for kind in ("points", "halo", "edges")]
    write_manifest(
        out_dir / "manifest.json",
        detector=DETECTOR,
        version=version,
        config=chosen.to_mapping(),
        inputs=hashes([Path(gnn_dir, "manifest.json"), *inputs]),
        files={name: sha256_of(out_dir / name) for name in files},
        packages=package_versions(_PACKAGES),
        seed=seed,
    )
    return {letter: len(one.entropy) for letter, one in found.references.items()}


class _References:
    """The known points and the labels held back, fold by fold, gathered over tiles."""

    def __init__(self, gnn: GnnModel, settings: LocalEntropySettings, seed: int) -> None:
        self.gnn, self.settings, self.seed = gnn, settings, seed
        self.references: dict[str, Reference] = {}
        self._tables: list[pl.DataFrame] = []

    def gather(self, tiles: Sequence[Tile]) -> str | None:
        """Find them; returns why there are none, if so."""
        seeds = pl.read_parquet(self.gnn.folder / "seeds.parquet").filter(pl.col("group") >= 0)
        for fold in range(self.gnn.folds.count):
            letter = self.gnn.folds.name(fold)
            unseen = self.gnn.folds.name(self.gnn.folds.scored_by(fold))
            asked = _chosen(seeds.filter(pl.col("region") != unseen), self.settings, self.seed)
            passes = FoldPasses(self.gnn, fold, self.settings, self.seed)
            known, measured = _over_tiles(self.gnn, passes, tiles, asked, letter)
            label = known["group"].to_numpy()
            train = (known["use"] == "train").to_numpy()
            correct = train & ((measured.logit > 0) == (label == 1))
            if correct.sum() <= self.settings.neighbours:
                self.references = {}
                return (
                    f"model {letter} gets {correct.sum()} of {train.sum()} training points right, "
                    f"too few to have {self.settings.neighbours} neighbours."
                )
            reference = Reference.of(
                known["point_id"].to_numpy()[correct],
                measured.latent[correct],
                measured.entropy[correct].astype(np.float32),
                self.settings,
            )
            self.references[letter] = reference
            self._hold(fold, label, measured, ~train)
        return None

    def _hold(
        self, fold: int, label: npt.NDArray[np.int8], seen: Measured, held: npt.NDArray[np.bool_]
    ) -> None:
        letter = self.gnn.folds.name(fold)
        compared = self.references[letter].compare(
            seen.latent[held], seen.entropy[held], self.settings
        )
        temperature = np.full(int(held.sum()), self.gnn.temperature[fold])
        self._tables.append(
            pl.DataFrame(
                {
                    "fold": [letter] * int(held.sum()),
                    "label": label[held],
                    "probability": probability(seen.logit[held], temperature),
                    "mean_probability": seen.probability[held],
                    "entropy": seen.entropy[held],
                    "mutual_information": seen.mutual_information[held],
                    "z": compared.z,
                }
            ).select(pl.col(name).cast(kind) for name, kind in CALIBRATION.items())
        )

    def calibration(self) -> pl.DataFrame:
        """The labels held back, as `CALIBRATION` has them."""
        return pl.concat([pl.DataFrame(schema=CALIBRATION), *self._tables])


def _chosen(seeds: pl.DataFrame, settings: LocalEntropySettings, seed: int) -> pl.DataFrame:
    """At most `reference` training points and as many held back, drawn by their ids."""
    draw = pl.Series("draw", hashed(seeds["point_id"].to_numpy(), seed * 64 + _SALT))
    drawn = seeds.with_columns(draw).sort("draw", "point_id")
    parts = [
        drawn.filter(pl.col("use") == use).head(settings.reference)
        for use in ("train", "validation")
    ]
    return pl.concat(parts).select("point_id", "group", "use")


def _over_tiles(
    gnn: GnnModel,
    passes: FoldPasses,
    tiles: Sequence[Tile],
    asked: pl.DataFrame,
    letter: str,
) -> tuple[pl.DataFrame, Measured]:
    """What a model says of the points asked for, tile by tile."""
    progress = Progress(f"local_entropy: asking model {letter}", asked.height, "points")
    frames, parts = [], []
    for tile in tiles:
        frame, core = tile_frame(tile["points"], tile["halo"], ["point_id"])
        own = frame[:core].with_row_index("row").join(asked, on="point_id").sort("row")
        if own.height == 0:
            continue
        graph, _ = gnn.graph(tile["points"], tile["halo"], tile["edges"])
        point_id = frame["point_id"].to_numpy()
        step = BLOCKS_AT_ONCE * gnn.settings.inference_block
        for start in range(0, own.height, step):
            some = own.slice(start, step)
            frames.append(some.drop("row"))
            parts.append(passes.measure(graph, some["row"].to_numpy().astype(np.int64), point_id))
            progress.advance(some.height)
    names = ("latent", "logit", "probability", "entropy", "mutual_information")
    if not frames:
        empty = np.empty((0, gnn.settings.latent), np.float32)
        none = np.empty(0)
        return asked.head(0), Measured(empty, none.astype(np.float32), none, none, none)
    return pl.concat(frames), Measured(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in names)
    )
