"""A frozen version of Pegasus: sample, scales and tail shares, and the files that hold them.

In: what training found, or a model's folder. Out: model.json and sample.parquet, or the evidence of any rows.
On-manifold methods are not stored but fitted again, with the same seed, on the stored sample: that is the same
model, in a form that every program reads and no pickle can hide in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.manifest import read_manifest
from bedsieve.detectors.on_manifold import OnManifold, fit_on_manifold
from bedsieve.detectors.pegasus_settings import PegasusSettings
from bedsieve.detectors.tail_shares import TailShares
from bedsieve.errors import InputError
from bedsieve.files import sha256_of, write_json, write_parquet

DETECTOR = "pegasus"
MODEL, SAMPLE = "model.json", "sample.parquet"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """The on-manifold methods of one manifold.

    Parameters
    ----------
    axes : (p, k) float64 array
        Of the latent space.
    sample : (m, k) float64 array
        Latent coordinates that the methods are fitted on.
    scale : dict of str to (float, float)
        Median and 1.4826 MAD of each method's scores, so that scores of several manifolds compare.
    """

    axes: Floats
    sample: Floats
    scale: dict[str, tuple[float, float]]

    def fitted(self, settings: PegasusSettings, seed: int) -> dict[str, OnManifold]:
        """Each method, fitted on the sample."""
        return {
            name: fit_on_manifold(name, self.sample, share=settings.budget, seed=seed)
            for name in settings.methods
        }


class Evidence(NamedTuple):
    """Evidence of points in [0, 1], ½ where the budget is reached; NaN where it can't be judged.

    Attributes
    ----------
    off : (n,) float64 array
    on : (n,) float64 array
        The largest over the methods.
    method : (n,) int64 array
        Index into the settings' methods of the one that gave it.
    """

    off: Floats
    on: Floats
    method: npt.NDArray[np.int64]


@dataclass(frozen=True)
class PegasusModel:
    """Everything that scoring needs.

    Parameters
    ----------
    settings : PegasusSettings
    seed : int
    places : mapping of str to Place
        By the manifold's key.
    off : TailShares
        Of the reconstruction error.
    on : mapping of str to TailShares
        Of each method's scaled score.
    """

    settings: PegasusSettings
    seed: int
    places: Mapping[str, Place]
    off: TailShares
    on: Mapping[str, TailShares]

    def evidence(
        self, error: Floats, latent: Floats, place: Place, fitted: Mapping[str, OnManifold]
    ) -> Evidence:
        """Evidence of points from their error (n,) and latent coordinates (n, k)."""
        found = []
        for name in self.settings.methods:
            middle, spread = place.scale[name]
            z = (fitted[name].score(latent) - middle) / spread
            found.append(self.on[name].evidence(z, self.settings.budget))
        on = np.column_stack(found)
        off = self.off.evidence(error, self.settings.budget)
        return Evidence(off, on.max(axis=1), on.argmax(axis=1))


def save_model(model: PegasusModel, folder: Path) -> dict[str, str]:
    """Write the model's files; their SHA-256 by name."""
    document = {
        "places": {
            key: {
                "axes": place.axes.tolist(),
                "scale": {k: list(v) for k, v in place.scale.items()},
            }
            for key, place in model.places.items()
        },
        "off": model.off.to_mapping(),
        "on": {name: table.to_mapping() for name, table in model.on.items()},
    }
    write_json(document, folder / MODEL)
    tables = [
        pl.DataFrame({"place": [key] * len(place.sample), "latent": place.sample.tolist()})
        for key, place in model.places.items()
    ]
    write_parquet(pl.concat(tables), folder / SAMPLE)
    return {name: sha256_of(folder / name) for name in (MODEL, SAMPLE)}


def load_model(model_dir: str | Path, manifold: str | Path) -> PegasusModel:
    """Read a model after checking it, and the manifold that it was trained on, against its manifest.

    Parameters
    ----------
    model_dir : path-like
        ``results/models/{version}/pegasus``.
    manifold : path-like
        Folder of the manifold's model.

    Raises
    ------
    InputError
        If the model is not trained, was changed since, or stands on another manifold.
    """
    folder = Path(model_dir)
    manifest = read_manifest(folder / "manifest.json", DETECTOR)
    beneath = Path(manifold) / "manifest.json"
    if sha256_of(beneath) not in manifest["inputs"].values():
        problem = "is not the manifold that pegasus was trained on"
        raise InputError(beneath, problem, "Choose another models.version to train both again")
    document = json.loads((folder / MODEL).read_text(encoding="utf-8"))
    sample = pl.read_parquet(folder / SAMPLE)
    places = {
        key: _place(value, sample.filter(place=key)) for key, value in document["places"].items()
    }
    return PegasusModel(
        PegasusSettings.from_mapping(manifest["config"]),
        manifest["seed"],
        places,
        TailShares.from_mapping(document["off"]),
        {name: TailShares.from_mapping(table) for name, table in document["on"].items()},
    )


def _place(document: Mapping[str, Any], sample: pl.DataFrame) -> Place:
    axes = np.array(document["axes"], np.float64)
    latent = np.array(sample["latent"].to_list(), np.float64)
    return Place(axes, latent, {name: (m, s) for name, (m, s) in document["scale"].items()})
