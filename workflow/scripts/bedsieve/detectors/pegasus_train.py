"""Training of Pegasus: a sample of each manifold, the methods' scales, and the frozen tail shares.

In: tiles and a trained manifold. Out: model.json, sample.parquet and, last, manifest.json. Who is in a sample
depends on point ids and the seed alone. The methods are fitted on one half of it; scales and tail shares come
from the other, which they never saw, as the points that are scored later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bedsieve.detectors.gnn_folds import hashed
from bedsieve.detectors.manifest import hashes, package_versions, refuse_trained, write_manifest
from bedsieve.detectors.order_statistics import NORMAL_CONSISTENCY
from bedsieve.detectors.pegasus_manifold import POOLED, Floats, Manifold, Rows, Tile, load_manifold
from bedsieve.detectors.pegasus_model import DETECTOR, PegasusModel, Place, save_model
from bedsieve.detectors.pegasus_settings import PegasusSettings
from bedsieve.detectors.tail_shares import TailShares, fit_tail_shares
from bedsieve.errors import BedsieveError
from bedsieve.progress import Progress

_SALT = 31
_LEAST = 60
"""Fewest points to fit on and as many to scale by: three times the neighbours that LOF looks at (ours)."""
_PACKAGES = ("numpy", "numba", "polars", "scikit-learn", "scipy")


@dataclass
class _Sample:
    """Rows of one manifold with the smallest draws, and how many points it stands for."""

    keep: int
    points: int = 0
    draws: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    rows: Rows | None = None

    def add(self, draws: npt.NDArray[np.uint64], rows: Rows) -> None:
        known = rows if self.rows is None else np.concatenate([self.rows, rows])
        draws = np.concatenate([self.draws, draws])
        order = np.argsort(draws, kind="stable")[: self.keep]
        self.draws, self.rows = draws[order], known[order]


@dataclass
class _Reference:
    """Values that tail shares are taken from, over all manifolds."""

    values: list[Floats] = field(default_factory=list)
    weights: list[Floats] = field(default_factory=list)

    def add(self, values: Floats, points: int) -> None:
        values = values[np.isfinite(values)]
        if values.size:
            self.values.append(values)
            self.weights.append(np.full(values.size, max(points, 1) / values.size))


def train_pegasus(
    tiles: Sequence[Tile],
    manifold_dir: str | Path,
    out_dir: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    version: str = "v1",
) -> Path:
    """Train a version and write its manifest last.

    Parameters
    ----------
    tiles : sequence of mapping
        Each with the paths that `MANIFOLD_FILES` names; the folder of ``points`` is the tile's name.
    manifold_dir : path-like
        ``results/models/{version}/{manifold}``.
    out_dir : path-like
        ``results/models/{version}/pegasus``.
    settings : mapping, optional
        What differs from `PegasusSettings`.
    seed : int
        Who is sampled, and the methods' own draws.
    version : str
        Model version.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    BedsieveError
        If the version is trained already, or the tiles hold too few points.
    InputError
        If the manifold is not trained, or its tiles can't be read.
    """
    out_dir = Path(out_dir)
    manifest = out_dir / "manifest.json"
    refuse_trained(out_dir)
    chosen = PegasusSettings.from_mapping(settings or {})
    manifold = load_manifold(chosen.manifold, manifold_dir)
    model = _fit(_samples(tiles, manifold, chosen, seed), manifold, chosen, seed)
    beneath = Path(manifold_dir) / "manifest.json"
    write_manifest(
        manifest,
        detector=DETECTOR,
        version=version,
        config=chosen.to_mapping(),
        files=save_model(model, out_dir),
        inputs=hashes([beneath, *(path for tile in tiles for path in tile.values())]),
        packages=package_versions(_PACKAGES),
        seed=seed,
    )
    return manifest


def _samples(
    tiles: Sequence[Tile], manifold: Manifold, settings: PegasusSettings, seed: int
) -> dict[str, _Sample]:
    """A sample of each tile's manifold, and of all tiles together."""
    samples = {POOLED: _Sample(2 * settings.sample)}
    progress = Progress("pegasus: sampling", len(tiles), "tiles")
    for tile in sorted(tiles, key=lambda tile: str(tile["points"])):
        ids, rows = manifold.read(tile)
        draws = hashed(ids, seed * 64 + _SALT)
        key = manifold.key_of(Path(tile["points"]).parent.name)
        own = samples.setdefault(key, _Sample(2 * settings.sample))
        own.points += len(ids)
        for sample in {id(s): s for s in (own, samples[POOLED])}.values():
            sample.add(draws, rows)
        progress.advance(1)
    return samples


def _fit(
    samples: Mapping[str, _Sample], manifold: Manifold, settings: PegasusSettings, seed: int
) -> PegasusModel:
    places: dict[str, Place] = {}
    off, on = _Reference(), {name: _Reference() for name in settings.methods}
    progress = Progress("pegasus: fitting", len(samples), "manifolds")
    for key, sample in sorted(samples.items()):
        rows = sample.rows
        if rows is None or len(rows) < 2 * _LEAST:
            # Points of such a tile are judged by the pooled manifold.
            continue
        half = len(rows) // 2
        axes = manifold.axes(key, rows[:half])
        bare = Place(axes, manifold.latent(key, axes, rows[:half]), {})
        rest = manifold.latent(key, axes, rows[half:])
        scale = {}
        for name, method in bare.fitted(settings, seed).items():
            scores = method.score(rest)
            scale[name] = _scale(scores)
            on[name].add((scores - scale[name][0]) / scale[name][1], sample.points)
        places[key] = Place(axes, bare.sample, scale)
        off.add(manifold.error(key, rows[half:]), sample.points)
        progress.advance(1)
    if POOLED not in places:
        raise BedsieveError(
            f"pegasus: the tiles to train on hold fewer than {2 * _LEAST} points. Leave pegasus out of "
            "the ensemble's members, or train on more tiles."
        )
    tables = {name: _shares(reference) for name, reference in on.items()}
    return PegasusModel(settings, seed, places, _shares(off), tables)


def _scale(scores: Floats) -> tuple[float, float]:
    middle = float(np.median(scores))
    spread = float(NORMAL_CONSISTENCY * np.median(np.abs(scores - middle)))
    return middle, spread if spread > 0 else 1.0


def _shares(reference: _Reference) -> TailShares:
    return fit_tail_shares(np.concatenate(reference.values), np.concatenate(reference.weights))
