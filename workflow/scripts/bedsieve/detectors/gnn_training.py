"""Training of one fold of the graph network, with checkpoints that a killed run takes up again.

In: training data, the fold and a checkpoint file. Out: the best epoch's running mean of the weights,
its temperature and the loss curves. Everything random is drawn anew at each epoch from (seed, fold,
epoch), so a run that was killed and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bedsieve.detectors.gnn_calibration import find_temperature
from bedsieve.detectors.gnn_data import CONTEXT, TrainingData
from bedsieve.detectors.gnn_model import build_network
from bedsieve.detectors.gnn_settings import GnnSettings, torch_device
from bedsieve.detectors.nets.deterministic import deterministic
from bedsieve.detectors.nets.freed_memory import keep_freed_memory
from bedsieve.detectors.nets.inference import autocast
from bedsieve.detectors.nets.losses import (
    INLIER,
    OUTLIER,
    UNLABELLED,
    Weights,
    semi_supervised_loss,
)
from bedsieve.detectors.nets.sampling import Block, NeighbourSampler, batches
from bedsieve.evaluation.metrics import Ranking, area_under_roc
from bedsieve.files import replacing
from bedsieve.progress import Progress

_VALIDATION_KEY = 0
OnEpoch = Callable[[Mapping[str, Any]], None]
"""Called after each epoch with its row of the loss curves."""


@dataclass(frozen=True)
class FoldResult:
    """A trained fold.

    Parameters
    ----------
    weights : dict of str to tensor
        Running mean of the weights at the best epoch.
    curves : list of dict
        One row an epoch: losses of training and validation.
    calibration : dict
        Temperature and the losses before and after it.
    """

    weights: dict[str, Tensor]
    curves: list[dict[str, Any]]
    calibration: dict[str, Any]


def train_fold(
    data: TrainingData,
    settings: GnnSettings,
    fold: int,
    seed: int,
    checkpoint: str | Path,
    on_epoch: OnEpoch | None = None,
) -> FoldResult:
    """Train the model that scores region ``data.folds.scored_by(fold)``, without seeing that region.

    Parameters
    ----------
    data : TrainingData
    settings : GnnSettings
    fold : int
    seed : int
    checkpoint : path-like
        Written after each epoch; taken up if it belongs to the same data, settings and seed.
    on_epoch : callable, optional
        See `OnEpoch`; may raise to stop.

    Notes
    -----
    Neighbours in the region that is left out count as empty slots, so that not even a feature of it
    is seen. Study B, seed 000, section 3.2; design methods.md section 4.
    """
    run = _Run(data, settings, fold, seed)
    with deterministic(run.device.type), keep_freed_memory():
        run.resume(Path(checkpoint))
        progress = Progress(
            f"Training fold {run.letter}", settings.epochs * run.train.size, "seeds"
        )
        progress.advance(run.epoch * run.train.size)
        while not run.finished:
            run.one_epoch(progress)
            run.save(Path(checkpoint))
            if on_epoch is not None:
                on_epoch(run.curves[-1])
        return run.result()


class _Run:
    """State of a fold's training between two epochs."""

    def __init__(self, data: TrainingData, settings: GnnSettings, fold: int, seed: int) -> None:
        self.letter = data.folds.name(fold)
        settings = settings.of_fold(self.letter)
        self.settings, self.fold, self.seed = settings, fold, seed
        self.device = torch.device(torch_device(settings.device))
        self.precision = settings.resolve_precision(self.device.type)
        seen = data.region != data.folds.scored_by(fold)
        self.sampler = NeighbourSampler(data.graph, seen)
        usable = seen & (data.group != CONTEXT)
        self.train = np.flatnonzero(usable & ~data.validation)
        self.held = np.flatnonzero(usable & data.validation)
        self.group = torch.from_numpy(data.group)
        torch.manual_seed(self._torch_seed(-1))
        self.net = build_network(settings).to(self.device)
        self.average = copy.deepcopy(self.net).eval()
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, settings.epochs)
        self.weights = Weights(
            settings.outlier_weight,
            settings.inlier_weight,
            settings.unlabelled_weight,
            settings.prior,
        )
        self.epoch, self.step, self.best, self.best_epoch = 0, 0, float("inf"), 0
        self.best_weights = copy.deepcopy(self.average.state_dict())
        self.curves: list[dict[str, Any]] = []
        # Where training runs does not matter to a resume; what it is told does.
        told = {k: v for k, v in settings.to_mapping().items() if k != "inference_block"}
        self.identity = {"settings": repr(told), "seed": seed, "fold": fold, "data": data.digest()}

    @property
    def finished(self) -> bool:
        waited = self.epoch - self.best_epoch
        return (
            self.epoch >= self.settings.epochs
            or (self.epoch > 0 and waited >= self.settings.patience)
            or self._steps_left == 0
        )

    @property
    def _steps_left(self) -> int | None:
        most = self.settings.steps
        return None if most is None else most - self.step

    def _torch_seed(self, epoch: int) -> int:
        words = np.random.SeedSequence([self.seed, self.fold, epoch + 1]).generate_state(
            2, np.uint32
        )
        return int(words[0]) << 31 | int(words[1]) >> 1

    def one_epoch(self, progress: Progress) -> None:
        """Train on every seed once, or until the steps are used up; then validate."""
        rng = np.random.default_rng([self.seed, self.fold, self.epoch])
        torch.manual_seed(self._torch_seed(self.epoch))
        rate = self.optimizer.param_groups[0]["lr"]
        sums, seen = np.zeros(3), 0
        parts = batches(self.train, self.settings.batch, rng, self.settings.runs)
        for rows in parts[: self._steps_left]:
            sums += rows.size * self._step(rows, key=int(rng.integers(2**62)))
            seen += rows.size
            progress.advance(rows.size)
        self.schedule.step()
        self.epoch += 1
        outlier, inlier, auc = self._validate()
        gained = outlier + inlier < self.best - self.settings.min_delta
        if gained:
            self.best, self.best_epoch = outlier + inlier, self.epoch
            self.best_weights = copy.deepcopy(self.average.state_dict())
        losses = dict(zip(("outlier", "inlier", "unlabelled"), sums / max(seen, 1), strict=True))
        self.curves.append(
            {
                "fold": self.letter,
                "epoch": self.epoch,
                "learning_rate": rate,
                "train": float(sum(losses.values())),
                **{f"train_{name}": float(value) for name, value in losses.items()},
                "validation": outlier + inlier,
                "validation_outlier": outlier,
                "validation_inlier": inlier,
                "validation_auc": auc,
                "best": int(gained),
            }
        )

    def _step(self, rows: npt.NDArray[np.int64], key: int) -> npt.NDArray[np.float64]:
        self.net.train()
        block = self._block(rows, key)
        x = self.sampler.features(block, self.device)
        with autocast(self.device, self.precision):
            logit = self.net(x, block)
        parts = semi_supervised_loss(logit, self.group[rows].to(self.device), self.weights)
        self.optimizer.zero_grad(set_to_none=True)
        parts.total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        self.step += 1
        # Young weights are forgotten sooner, else short runs would keep their random start (ours).
        keep = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, new in zip(self.average.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(new, 1 - keep)
        return np.array([float(part.detach()) for part in parts])

    def _block(self, rows: npt.NDArray[np.int64], key: int) -> Block:
        return self.sampler.block(rows, self.settings.fanout, key, self.settings.gated)

    def _validation_logits(self) -> Tensor:
        """Logits of the labels held back, with the same draws of neighbours each time."""
        found = []
        with torch.inference_mode(), autocast(self.device, self.precision):
            for start in range(0, self.held.size, self.settings.batch):
                rows = self.held[start : start + self.settings.batch]
                block = self._block(rows, _VALIDATION_KEY)
                found.append(self.average(self.sampler.features(block, self.device), block).cpu())
        return torch.cat(found)

    def _validate(self) -> tuple[float, float, float]:
        """Loss on the outliers and inliers held back, and the area under their ROC curve."""
        logit, group = self._validation_logits().double(), self.group[self.held]
        parts = semi_supervised_loss(logit, group, self.weights)
        auc = area_under_roc(Ranking(logit.numpy(), (group == OUTLIER).numpy()))
        return float(parts.outlier), float(parts.inlier), auc

    def result(self) -> FoldResult:
        """The best epoch's weights, calibrated on the labels held back."""
        self.average.load_state_dict(self.best_weights)
        calibration = find_temperature(
            self._validation_logits().double(), self.group[self.held], self.weights
        )
        counts = {
            name: int((self.group[self.train] == group).sum())
            for name, group in (
                ("outliers", OUTLIER),
                ("inliers", INLIER),
                ("unlabelled", UNLABELLED),
            )
        }
        calibration |= {"best_epoch": self.best_epoch, "epochs": self.epoch, "trained_on": counts}
        weights = {k: v.cpu().contiguous() for k, v in self.best_weights.items()}
        return FoldResult(weights, self.curves, calibration)

    def save(self, path: Path) -> None:
        """Write all that the next epoch needs."""
        state = {
            "identity": self.identity,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "best_weights": self.best_weights,
            "counters": [self.epoch, self.step, self.best, self.best_epoch],
            "curves": self.curves,
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
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.best_weights, self.curves = state["best_weights"], state["curves"]
        self.epoch, self.step, self.best, self.best_epoch = state["counters"]
        print(f"Training fold {self.letter}: resumed after epoch {self.epoch}.", flush=True)
