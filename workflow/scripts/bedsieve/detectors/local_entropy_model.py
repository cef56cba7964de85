"""A frozen model version of local entropy, read back and checked against the graph network that it asks.

In: the version's folder and that of the graph network. Out: for each fold the network to ask and the known
points to compare with.
"""

from __future__ import annotations

import json
from pathlib import Path

from bedsieve.detectors.gnn_model import GnnModel
from bedsieve.detectors.local_entropy_passes import FoldPasses
from bedsieve.detectors.local_entropy_reference import Reference
from bedsieve.detectors.local_entropy_settings import LocalEntropySettings
from bedsieve.detectors.manifest import read_manifest
from bedsieve.errors import InputError
from bedsieve.files import sha256_of

DETECTOR = "local_entropy"
UNTRAINED = "untrained.json"
"""Stands in the folder in the place of the known points where there are none; says why."""


class LocalEntropyModel:
    """A model version, checked against its manifest.

    Parameters
    ----------
    model_dir, gnn_dir : path-like
        Folders of this detector and of the graph network in one model version.
    device : str, optional
        ``"auto"``, ``"cpu"`` or ``"gpu"``; that of the network's training if not given.

    Attributes
    ----------
    untrained : str or None
        Why the version knows no points, if it knows none.

    Raises
    ------
    InputError
        If the model is not trained, its files were changed, or the network is another one than it was
        made with.
    """

    def __init__(
        self, model_dir: str | Path, gnn_dir: str | Path, device: str | None = None
    ) -> None:
        self.folder = Path(model_dir)
        manifest = read_manifest(self.folder / "manifest.json", DETECTOR)
        self.settings = LocalEntropySettings.from_mapping(manifest["config"])
        self.seed = int(manifest["seed"])
        network = Path(gnn_dir, "manifest.json")
        if sha256_of(network) not in manifest["inputs"].values():
            raise InputError(
                network,
                "is not the graph network that local_entropy was made with",
                "Restore it from a backup, or train both in another models.version",
            )
        self.gnn = GnnModel(gnn_dir, device)
        self.untrained: str | None = None
        if UNTRAINED in manifest["files"]:
            self.untrained = str(json.loads((self.folder / UNTRAINED).read_text())["why"])

    def reference(self, fold: int) -> Reference:
        """The known points of a fold's model."""
        return Reference.load(self.folder / reference_name(self.gnn.folds.name(fold)))

    def passes(self, fold: int) -> FoldPasses:
        """A fold's network, to be asked with dropout."""
        return FoldPasses(self.gnn, fold, self.settings, self.seed)


def reference_name(letter: str) -> str:
    """File of a fold's known points."""
    return f"reference_{letter}.safetensors"
