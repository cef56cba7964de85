"""What the graph network says of points with dropout on and off: the raw material of local entropy.

In: a model version of the graph network, a tile's graph and rows of it. Out: each row's place in the latent
space (dropout off), and probabilities, entropy and mutual information over passes (dropout on).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bedsieve.detectors.gnn_model import GnnModel
from bedsieve.detectors.local_entropy import Doubles, PassMean
from bedsieve.errors import ConfigError

if TYPE_CHECKING:
    from bedsieve.detectors.local_entropy_settings import LocalEntropySettings
    from bedsieve.detectors.nets.gated_sage import GatedSage
    from bedsieve.detectors.nets.hashed_dropout import HashedDropout
    from bedsieve.detectors.nets.sampling import Graph

BLOCKS_AT_ONCE = 8
"""So that several threads have work; a model's answers to them fit in 200 MB."""


@dataclass(frozen=True)
class Measured:
    """Points as one model sees them.

    Parameters
    ----------
    latent : float32 ndarray (n, width)
        Jumping-knowledge state, dropout off.
    logit : float32 ndarray (n,)
        Dropout off, before calibration.
    probability : float64 ndarray (n,)
        p̄ of being bad, over the passes.
    entropy, mutual_information : float64 ndarray (n,)
        In nats.
    """

    latent: npt.NDArray[np.float32]
    logit: npt.NDArray[np.float32]
    probability: Doubles
    entropy: Doubles
    mutual_information: Doubles


class FoldPasses:
    """One model of a version of the graph network, to be asked many times.

    Parameters
    ----------
    model : GnnModel
        Trained.
    fold : int
    settings : LocalEntropySettings
        How many passes, and their precision.
    seed : int
        Of the masks.

    Raises
    ------
    ConfigError
        If the network was trained without dropout.
    """

    def __init__(
        self, model: GnnModel, fold: int, settings: LocalEntropySettings, seed: int
    ) -> None:
        from bedsieve.detectors.nets.hashed_dropout import HashedDropout

        rate = model.settings.of_fold(model.folds.name(fold)).dropout
        if rate == 0:
            raise ConfigError(
                "local_entropy asks the graph network with dropout on, but detectors.gnn.dropout of "
                "this model version is 0. Train another version with dropout, or leave local_entropy "
                "out of the ensemble's members."
            )
        self.model, self.settings = model, settings
        self._net: GatedSage = model.network(fold)
        self._dropout: HashedDropout = HashedDropout(rate, seed)
        self._temperature = float(model.temperature[fold])

    def measure(
        self, graph: Graph, rows: npt.NDArray[np.integer], point_id: npt.NDArray[np.uint64]
    ) -> Measured:
        """Ask the model about some rows; at most `BLOCKS_AT_ONCE` times `inference_block` keep memory bounded.

        Parameters
        ----------
        graph : Graph
        rows : int ndarray (n,)
        point_id : uint64 ndarray (nodes,)
            Of every node of the graph.
        """
        from bedsieve.detectors.nets.inference import infer
        from bedsieve.detectors.nets.monte_carlo import infer_passes

        block = self.model.settings.inference_block
        device = self.model.device
        precision = self.model.settings.resolve_precision(device)
        logit, latent = infer(
            self._net,
            graph,
            rows,
            block=block,
            device=device,
            precision=precision,
            embedding=True,
        )
        logits = infer_passes(
            self._net,
            graph,
            rows,
            point_id,
            self._dropout,
            passes=self.settings.passes,
            block=block,
            device=device,
            precision=precision if self.settings.precision == "auto" else self.settings.precision,
        )
        mean = PassMean()
        for number in range(self.settings.passes):
            mean.add(_both(logits[:, number] / self._temperature))
        return Measured(
            latent, logit, mean.probability[:, 1], mean.entropy, mean.mutual_information
        )


def _both(logit: npt.NDArray[np.floating]) -> Doubles:
    """Probabilities of good and bad, (n, 2); each from its own exponential, so that neither is cut to 0."""
    signed = np.stack([-logit, logit], 1).astype(np.float64)
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-signed)))
