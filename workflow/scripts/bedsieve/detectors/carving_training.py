"""Training of one fold's encoder.

In: seeds and the fold. Out: the encoder and its loss curve. One thread: the network is small, and sums
are then taken in one order whatever the machine offers, so that a seed gives the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from bedsieve.detectors.carving_data import Seeds
from bedsieve.detectors.carving_encoder import Encoder
from bedsieve.detectors.carving_settings import CarvingSettings
from bedsieve.detectors.nets.carving import CentreLoss, CentreNet
from bedsieve.detectors.nets.deterministic import one_thread
from bedsieve.progress import Progress


def train_encoder(
    seeds: Seeds, settings: CarvingSettings, fold: int
) -> tuple[Encoder, list[dict[str, Any]]]:
    """Train the encoder that scores region ``folds.scored_by(fold)`` without a seed of that region.

    Parameters
    ----------
    seeds : Seeds
    settings : CarvingSettings
    fold : int

    Returns
    -------
    Encoder
    list of dict
        One row an epoch: fold, epoch, learning_rate, loss.
    """
    rows = np.flatnonzero(seeds.region != seeds.folds.scored_by(fold))
    x = torch.from_numpy(seeds.x[rows])
    label = torch.from_numpy(seeds.outlier[rows].astype(np.float32))
    outliers = float(label.sum())
    loss_of = CentreLoss(
        (rows.size - outliers) / outliers,
        settings.centre_weight,
        settings.repulsion_weight,
        settings.repulsion_radius,
    )
    letter = seeds.folds.name(fold)
    progress = Progress(f"carving: training fold {letter}", settings.epochs * rows.size, "seeds")
    curve = []
    with _repeatable(settings.seed, fold):
        net = CentreNet(seeds.x.shape[1], settings.widths, settings.dropout)
        optimizer = torch.optim.AdamW(
            net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        for epoch in range(settings.epochs):
            rate = _cosine(settings.learning_rate, epoch, settings.epochs)
            optimizer.param_groups[0]["lr"] = rate
            total = 0.0
            for batch in torch.split(torch.randperm(rows.size), settings.batch):
                z, logit = net(x[batch])
                loss = loss_of(z, logit, label[batch], net.centres)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                total += float(loss.detach()) * len(batch)
                progress.advance(len(batch))
            curve.append(
                {
                    "fold": letter,
                    "epoch": epoch + 1,
                    "learning_rate": rate,
                    "loss": total / rows.size,
                }
            )
    weights = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    return Encoder(weights), curve


def _cosine(rate: float, epoch: int, epochs: int) -> float:
    return 0.5 * rate * (1 + math.cos(math.pi * epoch / epochs))


@contextmanager
def _repeatable(seed: int, fold: int) -> Iterator[None]:
    """One thread and a seed of its own, the caller's state kept."""
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([seed, fold]).generate_state(1)[0]))
        yield
