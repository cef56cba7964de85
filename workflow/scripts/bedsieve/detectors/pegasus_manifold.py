"""The manifolds that Pegasus works on: those of the physics PCA and of the graph autoencoder, seen alike.

In: a trained `pca` or `gae` and the artefacts of a tile. Out: for each point what the manifold is told apart
by (a row of numbers), and from that its latent coordinates and its error. The off-manifold error is that
detector's own: robust z of the reconstruction for PCA, |H − rebuilt H| in metres for the autoencoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]
Tile = Mapping[str, str | Path]

POOLED = "pooled"
"""Key of the manifold that is not one tile's own."""


class Manifold(Protocol):
    """What Pegasus asks of a manifold. A tile has one by its key; several tiles may share one."""

    def key_of(self, tile: str) -> str:
        """The key of a tile's manifold."""

    def read(self, tile: Tile) -> tuple[npt.NDArray[np.uint64], Rows]:
        """point_id (n,) of a tile's points, and the rows (n, columns) that the rest is made of."""

    def axes(self, key: str, rows: Rows) -> Floats:
        """Axes of the latent space, from a sample of rows."""

    def latent(self, key: str, axes: Floats, rows: Rows) -> Floats:
        """Latent coordinates (n, dimensions), finite."""

    def error(self, key: str, rows: Rows) -> Floats:
        """Off-manifold error (n,); NaN where the manifold can't tell."""


class PcaManifold:
    """Planes of the physics PCA, one for each tile that has components of its own.

    Parameters
    ----------
    model_dir : path-like
        ``results/models/{version}/pca``.

    Raises
    ------
    InputError
        If it is not trained, or was changed since.
    """

    def __init__(self, model_dir: str | Path) -> None:
        from bedsieve.detectors.pca_model import load_model

        self._model = load_model(model_dir)

    def key_of(self, tile: str) -> str:
        """The tile itself if it has components, else `POOLED`."""
        return tile if tile in self._model.grids else POOLED

    def read(self, tile: Tile) -> tuple[npt.NDArray[np.uint64], Rows]:
        """Rows are the features of `pca.feature_matrix`."""
        from bedsieve.detectors.pca import PointsFile

        ids = pl.read_parquet(tile["points"], columns=["point_id"])["point_id"].to_numpy()
        return ids, PointsFile(tile["points"]).features()

    def axes(self, key: str, rows: Rows) -> Floats:
        """Principal axes of the rows within the plane."""
        from bedsieve.detectors.pca_latent import latent_axes

        return latent_axes(self._grid(key), rows)

    def latent(self, key: str, axes: Floats, rows: Rows) -> Floats:
        """Coordinates within the plane, in standard deviations of features."""
        from bedsieve.detectors.pca_latent import latent_coordinates

        return latent_coordinates(self._grid(key), axes, rows)

    def error(self, key: str, rows: Rows) -> Floats:
        """Robust z of the reconstruction error."""
        grid = self._grid(key)
        z: Floats = grid.robust_z(grid.errors(rows)).astype(np.float64)
        return z

    def _grid(self, key: str) -> Any:
        return self._model.pooled if key == POOLED else self._model.grids[key][0]


class GaeManifold:
    """The latent space of the graph autoencoder, one for all tiles; worked out on processors.

    Parameters
    ----------
    model_dir : path-like
        ``results/models/{version}/gae``.

    Raises
    ------
    InputError
        If it is not trained, or was changed since.
    """

    def __init__(self, model_dir: str | Path) -> None:
        from bedsieve.detectors.gae_model import GaeModel

        self._model = GaeModel(model_dir)

    def key_of(self, tile: str) -> str:
        """`POOLED`: there is one network."""
        return POOLED

    def read(self, tile: Tile) -> tuple[npt.NDArray[np.uint64], Rows]:
        """Rows are the latent coordinates and, last, H − rebuilt H (m)."""
        from bedsieve.detectors.gae_model import read_tile, rebuilt

        model = self._model
        nodes = read_tile(tile, model.settings)
        found = rebuilt(model.net, nodes, model.scale, model.settings, "cpu")
        ids = nodes.points["point_id"].to_numpy()[: nodes.core]
        return ids, np.column_stack([found.latent, found.residual])

    def axes(self, key: str, rows: Rows) -> Floats:
        """The network's own."""
        return np.eye(rows.shape[1] - 1)

    def latent(self, key: str, axes: Floats, rows: Rows) -> Floats:
        """Coordinates as the network gives them."""
        coordinates: Floats = rows[:, :-1].astype(np.float64)
        return coordinates

    def error(self, key: str, rows: Rows) -> Floats:
        """Size of the difference from the rebuilt thickness (m)."""
        size: Floats = np.abs(rows[:, -1].astype(np.float64))
        return size


def load_manifold(name: str, model_dir: str | Path) -> Manifold:
    """The manifold of a trained detector, ``"pca"`` or ``"gae"``."""
    return PcaManifold(model_dir) if name == "pca" else GaeManifold(model_dir)
