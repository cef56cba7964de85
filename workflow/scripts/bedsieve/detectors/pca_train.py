"""Training of the physics PCA: components a grid, borrowed where points are few, then frozen.

In: points tables of the tiles to train on. Out: model.json and, last, manifest.json. A grid's
components come from its own points; with too few of them, from its own and its neighbours'; where
that is too few as well there is no model, and scoring uses the pooled one. The constants of the
version are taken over all training rows once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bedsieve.detectors.manifest import hashes, package_versions, write_manifest
from bedsieve.detectors.pca import FEATURES, GridModel, PointsFile, fit_grid
from bedsieve.detectors.pca_model import MODEL_FILE, PCAConfig, PCAModel, save_model
from bedsieve.errors import InputError
from bedsieve.files import sha256_of
from bedsieve.progress import Progress
from bedsieve.tile_names import tile_index, tile_name

Floats32 = npt.NDArray[np.float32]


def train_pca(
    points_paths: Sequence[str | Path],
    out_dir: str | Path,
    *,
    version: str,
    config: PCAConfig | None = None,
) -> Path:
    """Train one model a tile and the pooled one, freeze them, and write the manifest last.

    Nothing in it is random: samples are evenly spaced along each tile's space curve.

    Parameters
    ----------
    points_paths : sequence of path-like
        ``results/tiles/{tile}/points.parquet``; the folder names the tile. Their order is
        irrelevant.
    out_dir : path-like
        ``results/models/{version}/pca``.
    version : str
        Model version.
    config : PCAConfig, optional
        Constants.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    InputError
        If the tiles together hold too little to fit even the pooled model.
    """
    config = config or PCAConfig()
    out_dir = Path(out_dir)
    paths = {Path(path).parent.name: Path(path) for path in points_paths}
    model = _fit([(tile, paths[tile]) for tile in sorted(paths)], config)
    save_model(model, out_dir / MODEL_FILE)
    _report(model, list(paths))
    manifest = out_dir / "manifest.json"
    write_manifest(
        manifest,
        detector="pca",
        version=version,
        config=asdict(config),
        inputs=hashes(paths[tile] for tile in sorted(paths)),
        files={MODEL_FILE: sha256_of(out_dir / MODEL_FILE)},
        packages=package_versions(["numba", "numpy", "polars"]),
        seed=None,
    )
    return manifest


def _fit(paths: Sequence[tuple[str, Path]], config: PCAConfig) -> PCAModel:
    rows = sum(PointsFile(path).rows for _, path in paths)
    tail = int(np.ceil((1 - config.verified_quantile) * rows)) + 1
    progress = Progress("physics PCA", rows)
    grids: dict[str, tuple[GridModel, str]] = {}
    samples: dict[str, Floats32] = {}
    wanting: dict[str, Floats32] = {}
    scores = _Tail(tail)
    for tile, path in paths:
        X = PointsFile(path).features()
        stride = max(1, -(-X.shape[0] // config.sample_per_grid))
        samples[tile] = X[::stride].copy()
        fitted = _fit_rows(X, config)
        if fitted is None:
            wanting[tile] = X
        else:
            grids[tile] = (fitted[0], "own")
            scores.add(fitted[0].robust_z(fitted[1]))
            progress.advance(X.shape[0])
    every = np.concatenate(list(samples.values())) if samples else np.empty((0, len(FEATURES)))
    pooled = fit_grid(every, config.variance_kept, config.least_present)
    if pooled is None:
        where = paths[0][1] if paths else Path("the tiles to train on")
        remedy = "Train on tiles that hold points with at least two features that vary"
        raise InputError(where, f"{len(every)} points are too few for any component", remedy)
    for tile, X in wanting.items():
        around = [samples[name] for name in adjacent_tiles(tile) if name in samples]
        fitted = _fit_rows(np.concatenate([X, *around]), config)
        if fitted is not None:
            grids[tile] = (fitted[0], "neighbours")
        used = fitted[0] if fitted is not None else pooled[0]
        scores.add(used.robust_z(used.errors(X)))
        progress.advance(X.shape[0])
    # At least one robust z between the two, so that a version of almost no points can't divide by 0.
    high = max(scores.quantile(config.upper_quantile), scores.low + 1.0)
    return PCAModel(
        grids, pooled[0], scores.low, high, scores.quantile(config.verified_quantile), config.laws
    )


def _fit_rows(X: Floats32, config: PCAConfig) -> tuple[GridModel, Floats32] | None:
    if X.shape[0] < config.min_points:
        return None
    return fit_grid(X, config.variance_kept, config.least_present)


class _Tail:
    """Least value and exact upper quantiles over many arrays, keeping only the largest values."""

    def __init__(self, keep: int) -> None:
        self.keep, self.count, self.low = keep, 0, float("inf")
        self._largest = np.empty(0, np.float32)

    def add(self, values: Floats32) -> None:
        finite = values[np.isfinite(values)]
        if finite.size == 0:
            return
        self.count += finite.size
        self.low = min(self.low, float(finite.min()))
        if finite.size > self.keep:
            finite = np.partition(finite, finite.size - self.keep)[-self.keep :]
        joined = np.concatenate([self._largest, finite])
        self._largest = np.sort(joined)[-self.keep :]

    def quantile(self, q: float) -> float:
        """The value that a share 1 − q of all values reaches."""
        rank = min(max(1, int((1 - q) * self.count)), self._largest.size)
        return float(self._largest[-rank])


def adjacent_tiles(tile: str) -> list[str]:
    """Names of the eight tiles around ``x{ix}_y{iy}``."""
    ix, iy = tile_index(tile)
    around = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if (dx, dy) != (0, 0)]
    return [tile_name(ix + dx, iy + dy) for dx, dy in around]


def _report(model: PCAModel, tiles: Sequence[str]) -> None:
    """Say which grids borrow, and which features are left out where."""
    sources = [model.of_tile(tile)[1] for tile in tiles]
    print(
        f"physics PCA: {sources.count('own')} grids of their own points, "
        f"{sources.count('neighbours')} borrow from their neighbours, "
        f"{sources.count('pooled')} use the pooled model",
        file=sys.stderr,
    )
    used = [set(model.of_tile(tile)[0].columns.tolist()) for tile in tiles]
    for index, name in enumerate(FEATURES):
        absent = sum(index not in columns for columns in used)
        if absent:
            print(f"physics PCA: {name} is left out in {absent} grids", file=sys.stderr)
