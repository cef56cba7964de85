"""Training of the graph autoencoder, with checkpoints that a killed run takes up again.

In: training data, settings and a checkpoint file. Out: the weights and the loss of each epoch. What is
random is drawn anew at each epoch from (seed, epoch), so a run that was killed and resumed ends with the
same weights as one that was not. Nothing is held back: 3,113 weights cannot learn millions of nodes by
heart, and the network never sees which points are bad.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bedsieve.detectors.gae_data import TrainingData
from bedsieve.detectors.gae_settings import GaeSettings
from bedsieve.detectors.nets.deterministic import deterministic, one_thread
from bedsieve.detectors.nets.sage_autoencoder import SageAutoencoder, masked_mse
from bedsieve.detectors.nets.sampling import NeighbourSampler, batches
from bedsieve.files import replacing
from bedsieve.progress import Progress

OnEpoch = Callable[[int, float], None]
"""Called after each epoch with its number (from 1) and its mean loss."""


@dataclass(frozen=True)
class Trained:
    """A trained network: its weights, and one row an epoch with its learning rate and loss."""

    weights: dict[str, Tensor]
    curve: list[dict[str, Any]]


def train_network(
    data: TrainingData,
    settings: GaeSettings,
    seed: int,
    checkpoint: str | Path,
    *,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train the network to rebuild clean nodes.

    Parameters
    ----------
    data : TrainingData
    settings : GaeSettings
    seed : int
    checkpoint : path-like
        Written after each epoch; taken up if it belongs to the same data, settings and seed.
    device : str
        ``"cpu"`` or ``"cuda"``.
    on_epoch : callable, optional
        See `OnEpoch`; may raise to stop.
    """
    with deterministic(device), one_thread():
        run = _Run(data, settings, seed, device)
        run.resume(Path(checkpoint))
        progress = Progress("Training gae", settings.epochs * data.seeds.size, "nodes")
        progress.advance(run.epoch * data.seeds.size)
        while run.epoch < settings.epochs:
            run.one_epoch(progress)
            run.save(Path(checkpoint))
            if on_epoch is not None:
                on_epoch(run.epoch, run.curve[-1]["loss"])
    weights = {name: value.cpu().contiguous() for name, value in run.net.state_dict().items()}
    return Trained(weights, run.curve)


class _Run:
    """State of a training between two epochs."""

    def __init__(self, data: TrainingData, settings: GaeSettings, seed: int, device: str) -> None:
        self.data, self.settings, self.seed = data, settings, seed
        self.device = torch.device(device)
        self.sampler = NeighbourSampler(data.graph)
        self.clean = np.zeros(len(data.graph.x), np.bool_)
        self.clean[data.seeds] = data.clean
        torch.manual_seed(seed)
        self.net = SageAutoencoder(data.graph.x.shape[1], settings.widths).to(self.device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=settings.learning_rate)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, settings.epochs)
        self.epoch = 0
        self.curve: list[dict[str, Any]] = []
        # How many points are scored together does not matter to a resume; all else does.
        told = {k: v for k, v in settings.to_mapping().items() if k != "inference_block"}
        self.identity = {"settings": repr(told), "seed": seed, "data": data.digest()}

    def one_epoch(self, progress: Progress) -> None:
        """Train on every node once."""
        rng = np.random.default_rng([self.seed, self.epoch])
        rate = self.optimizer.param_groups[0]["lr"]
        total, counted = 0.0, 0
        self.net.train()
        for rows in batches(self.data.seeds, self.settings.batch, rng, self.settings.runs):
            total += rows.size * self._step(rows)
            counted += rows.size
            progress.advance(rows.size)
        self.schedule.step()
        self.epoch += 1
        self.curve.append({"epoch": self.epoch, "learning_rate": rate, "loss": total / counted})

    def _step(self, rows: npt.NDArray[np.int64]) -> float:
        everyone = (self.settings.neighbours,) * self.settings.hops
        block = self.sampler.block(rows, everyone, key=0, edges=False)
        x = self.sampler.features(block, self.device)
        clean = torch.from_numpy(self.clean[rows]).to(self.device)
        loss = masked_mse(self.net(torch.nan_to_num(x, nan=0.0), block), x[: rows.size], clean)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Write all that the next epoch needs."""
        state = {
            "identity": self.identity,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "curve": self.curve,
        }
        with replacing(path) as part:
            torch.save(state, part)

    def resume(self, path: Path) -> None:
        """Take up a checkpoint of the same training; another's is left aside."""
        if not path.is_file():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["identity"] != self.identity:
            print(f"{path}: belongs to another training; starting anew.", flush=True)
            return
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.curve = state["epoch"], state["curve"]
        print(f"Training gae: resumed after epoch {self.epoch}.", flush=True)
