"""What a version of the physics PCA consists of, and its file.

In: components and error scales a grid and pooled, the constants of the version, the limits of the
laws. Out: model.json, every number with all its bits, and the model read back after a check against
its manifest. A point's score depends on its grid's components and on the version's constants, never
on what else is scored in the same run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bedsieve.detectors.manifest import read_manifest
from bedsieve.detectors.pca import FEATURES, GridModel
from bedsieve.detectors.physics_laws import LawLimits
from bedsieve.files import write_json

Floats32 = npt.NDArray[np.float32]

MODEL_FILE = "model.json"


@dataclass(frozen=True)
class PCAConfig:
    """Constants of the physics PCA. Those without a source are ours.

    Parameters
    ----------
    variance_kept : float
        Share of the variance that the retained components hold (Study B).
    min_points : int
        A grid with fewer borrows: 5,000 is three crossings of a 500 km grid at one point per 300 m,
        the least from which eight correlated features are worth a covariance.
    least_present : float
        A feature that a smaller share of a grid's rows has is left out of its model.
    sample_per_grid : int
        Rows a grid lends to its neighbours and to the pooled model, so that none dominates it.
    upper_quantile : float
        Robust z that scores 1, as a quantile over all training rows: with the maximum, which one
        absurd value sets, all others would score 0. Study B verified 0.07 %.
    verified_quantile : float
        Robust z from which an error is high. Wider than the 0.07 % verified, since a law must be
        broken too.
    laws : LawLimits
        See there.
    """

    variance_kept: float = 0.95
    min_points: int = 5000
    least_present: float = 0.5
    sample_per_grid: int = 50_000
    upper_quantile: float = 0.999
    verified_quantile: float = 0.99
    laws: LawLimits = field(default_factory=LawLimits)


@dataclass(frozen=True)
class PCAModel:
    """Everything that scoring needs, as frozen in a version.

    Parameters
    ----------
    grids : mapping of str to (GridModel, str)
        By tile name: the components, and whose points they are of (``own`` or ``neighbours``).
    pooled : GridModel
        For tiles without a model.
    z_low, z_high : float
        Robust z that scores 0 and 1.
    z_verified : float
        Robust z from which a reconstruction error counts as high.
    laws : LawLimits
        Limits of the physics laws.
    """

    grids: Mapping[str, tuple[GridModel, str]]
    pooled: GridModel
    z_low: float
    z_high: float
    z_verified: float
    laws: LawLimits

    def of_tile(self, tile: str) -> tuple[GridModel, str]:
        """The components for a tile, and their source: own, neighbours or pooled."""
        return self.grids.get(tile, (self.pooled, "pooled"))

    def unit_score(self, z: Floats32) -> Floats32:
        """Min–max of the robust z by the version's constants, clipped beyond; NaN stays NaN."""
        share: Floats32 = (z - np.float32(self.z_low)) / np.float32(self.z_high - self.z_low)
        return np.clip(share, np.float32(0), np.float32(1))


def save_model(model: PCAModel, path: str | Path) -> None:
    """Write a model as JSON; numbers keep every bit."""
    document = {
        "features": list(FEATURES),
        "grids": {
            tile: {"source": source} | _grid_to_json(grid)
            for tile, (grid, source) in model.grids.items()
        },
        "pooled": _grid_to_json(model.pooled),
        "z_low": model.z_low,
        "z_high": model.z_high,
        "z_verified": model.z_verified,
        "laws": asdict(model.laws),
    }
    write_json(document, path)


def load_model(model_dir: str | Path) -> PCAModel:
    """Read a model after checking it against its manifest.

    Raises
    ------
    InputError
        If the manifest is missing or the weights are not those that it describes.
    """
    read_manifest(Path(model_dir) / "manifest.json", detector="pca")
    document = json.loads((Path(model_dir) / MODEL_FILE).read_text(encoding="utf-8"))
    laws: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in document["laws"].items()
    }
    return PCAModel(
        {t: (_grid_from_json(g), str(g["source"])) for t, g in document["grids"].items()},
        _grid_from_json(document["pooled"]),
        document["z_low"],
        document["z_high"],
        document["z_verified"],
        LawLimits(**laws),
    )


def _grid_to_json(grid: GridModel) -> dict[str, Any]:
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in asdict(grid).items()
    }


def _grid_from_json(document: Mapping[str, Any]) -> GridModel:
    return GridModel(
        np.array(document["columns"], np.int64),
        np.array(document["centre"]),
        np.array(document["scale"]),
        np.array(document["discarded"]).reshape(len(document["columns"]), -1),
        document["median"],
        document["mad"],
        document["rows"],
    )
