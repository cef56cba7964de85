"""A trained version of the graph network, read back and checked.

In: a model version's folder, and a tile with edges. Out: the version's networks, its frozen rules, and the
logit of each point by the model that never saw its region.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bedsieve.detectors.gnn_folds import Folds
from bedsieve.detectors.gnn_settings import GnnSettings, torch_device
from bedsieve.detectors.manifest import read_manifest
from bedsieve.detectors.node_features import COLUMNS, INPUTS, Scaler, raw_features
from bedsieve.detectors.tile_graph import tile_edges, tile_frame

if TYPE_CHECKING:
    from bedsieve.detectors.nets.gated_sage import GatedSage
    from bedsieve.detectors.nets.sampling import Graph

DETECTOR = "gnn"
UNTRAINED = "untrained.json"
"""Stands in a version's folder in the place of weights where there were too few labels; says why."""


def build_network(settings: GnnSettings) -> GatedSage:
    """The network that settings describe, with random weights."""
    from bedsieve.detectors.nets.gated_sage import GatedSage

    return GatedSage(
        INPUTS, settings.widths, settings.latent, settings.head, settings.dropout, settings.gated
    )


class GnnModel:
    """A trained model version, checked against its manifest.

    Parameters
    ----------
    model_dir : path-like
    device : str, optional
        ``"auto"``, ``"cpu"`` or ``"gpu"``; that of training if not given.

    Attributes
    ----------
    untrained : str or None
        Why the version has no network, if it has none.
    temperature : ndarray (models,)
        Of each model, for the calibration of its logits.

    Raises
    ------
    InputError
        If the model is not trained, or its files were changed since.
    """

    def __init__(self, model_dir: str | Path, device: str | None = None) -> None:
        self.folder = Path(model_dir)
        manifest = read_manifest(self.folder / "manifest.json", DETECTOR)
        self.settings = GnnSettings.from_mapping(manifest["config"])
        self.untrained: str | None = None
        if UNTRAINED in manifest["files"]:
            self.untrained = str(self._json(UNTRAINED)["why"])
            return
        self.device = torch_device(device or self.settings.device)
        self.scaler = Scaler.from_mapping(self._json("scaler.json"))
        self.folds = Folds.from_mapping(self._json("folds.json"))
        calibration = self._json("calibration.json")
        letters = map(self.folds.name, range(self.folds.count))
        self.temperature = np.array([float(calibration[x]["temperature"]) for x in letters])

    def _json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def network(self, fold: int) -> GatedSage:
        """The network of a fold, with its weights."""
        from safetensors.torch import load_file

        net = build_network(self.settings)
        net.load_state_dict(load_file(self.folder / f"fold_{self.folds.name(fold)}.safetensors"))
        return net.eval()

    def graph(
        self, points: str | Path, halo: str | Path, edges: str | Path
    ) -> tuple[Graph, npt.NDArray[np.int64]]:
        """The tile's graph with scaled features, and the model that scores each core point."""
        from bedsieve.detectors.nets.sampling import Graph

        frame, core = tile_frame(points, halo, ("survey_no", "east", "north", *COLUMNS))
        fold = self.folds.scorer_of(self.folds.region_of(frame[:core]))
        x = self.scaler.apply(raw_features(frame))
        table = tile_edges(edges, frame.height, core, len(self.settings.widths))
        arrays = (table.neighbour, table.log1p_dist, table.log_slope)
        return Graph(x, *arrays, self.scaler.g_scale), fold

    def logits(
        self, graph: Graph, rows: npt.NDArray[np.integer], fold: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Logit of each of `rows`, by the model that `fold` names for it, with all neighbours."""
        from bedsieve.detectors.nets.inference import infer

        logit = np.empty(rows.size, np.float32)
        for number in np.unique(fold):
            chosen = np.flatnonzero(fold == number)
            logit[chosen], _ = infer(
                self.network(int(number)),
                graph,
                rows[chosen],
                block=self.settings.inference_block,
                device=self.device,
                precision=self.settings.resolve_precision(self.device),
            )
        return logit
