"""Training of the score network on coded rows.

In: coded rows to train on and rows held out, settings and a seed. Out: averaged weights of the check at
which the held-out rows had the least loss, and the curve of losses. On the CPU one thread works, so that
sums are taken in one order and a seed gives the same weights on any machine of its kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from bedsieve.detectors.gnsm_coding import Coded
from bedsieve.detectors.gnsm_noise import (
    category_loss,
    gumbel_like,
    log_one_hot,
    number_loss,
    relax,
)
from bedsieve.detectors.gnsm_settings import GnsmSettings
from bedsieve.detectors.nets.deterministic import one_thread
from bedsieve.detectors.nets.score_network import ScoreNetwork
from bedsieve.progress import Progress

_CHECKED_ROWS = 4096  # held-out rows that a check looks at (ours)
Weights = dict[str, Tensor]
OnCheck = Callable[[int, Weights], None]
"""Called at each check with the steps done and the best averaged weights so far."""


class Trained(NamedTuple):
    """Weights, and one row a check: step, learning_rate, loss, validation_loss."""

    weights: Weights
    curve: list[dict[str, float]]


class Noise(NamedTuple):
    """The noise levels: λ and σ, shape (levels,), from the least noise to the greatest."""

    temperature: Tensor
    sigma: Tensor

    def at(self, level: int) -> tuple[Tensor, Tensor]:
        """λ and σ of one of the levels."""
        return self.temperature[level], self.sigma[level]

    @classmethod
    def of(cls, settings: GnsmSettings, device: str | torch.device = "cpu") -> Noise:
        """Two geometric sequences, paired level by level."""
        spans = (settings.temperature, settings.sigma)
        return cls(*(_geometric(span[0], span[1], settings.levels).to(device) for span in spans))


def _geometric(first: float, last: float, count: int) -> Tensor:
    logs = torch.linspace(math.log(first), math.log(last), count, dtype=torch.float64)
    return logs.exp().float()


class Rows(NamedTuple):
    """Coded rows as tensors: category codes, numbers, and which of the numbers are known."""

    category: Tensor
    number: Tensor
    present: Tensor

    @classmethod
    def of(cls, coded: Coded, device: str | torch.device = "cpu") -> Rows:
        """The rows of a coded table, known or not."""
        arrays = (coded.category, coded.number, coded.present)
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def take(self, index: Tensor) -> Rows:
        """Some of the rows."""
        return Rows(*(column[index] for column in self))


def denoising_loss(
    net: ScoreNetwork,
    rows: Rows,
    noise: Noise,
    sizes: Sequence[int],
    kind: str,
    generator: torch.Generator,
) -> Tensor:
    """Mean loss over rows, each with a noise level and noise of its own, drawn from `generator`."""
    count, device = len(rows.category), rows.category.device
    level = torch.randint(len(noise.sigma), (count,), generator=generator, device=device)
    temperature, sigma = noise.temperature[level, None], noise.sigma[level, None]
    clean = log_one_hot(rows.category, sizes)
    relaxed = relax(clean, gumbel_like(clean, generator), temperature, sizes)
    drawn = torch.empty_like(rows.number).normal_(generator=generator)
    noisy = (rows.number + sigma * drawn) * rows.present
    found = net(torch.cat([relaxed, noisy], 1), noise.temperature, level)
    split = clean.shape[1]
    loss = number_loss(found[:, split:], drawn, rows.present)
    if sizes:
        target = clean - temperature * relaxed
        loss = loss + category_loss(found[:, :split], target, temperature, sizes, kind)
    return loss.mean()


def train_network(
    train: Coded,
    validation: Coded,
    sizes: Sequence[int],
    settings: GnsmSettings,
    seed: int,
    *,
    device: str = "cpu",
    on_check: OnCheck | None = None,
) -> Trained:
    """Train the network.

    Parameters
    ----------
    train, validation : Coded
        Rows to learn from, and rows held out that choose among the checks.
    sizes : sequence of int
        `Coding.sizes`.
    settings : GnsmSettings
    seed : int
    device : str
        ``"cpu"`` or ``"cuda"``.
    on_check : callable, optional
        See `OnCheck`; may raise to stop.
    """
    with _repeatable(seed):
        run = _Run(Rows.of(train, device), Rows.of(validation, device), sizes, settings, seed)
        progress = Progress("gnsm: training", settings.steps, "steps")
        checks = {round(settings.steps * n / settings.checks) for n in range(1, settings.checks)}
        for step in range(1, settings.steps + 1):
            run.step()
            progress.advance(1)
            if step in checks or step == settings.steps:
                run.check(step)
                if on_check is not None:
                    on_check(step, run.best)
    return Trained(run.best, run.curve)


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """One thread and a seed of its own, the caller's state kept."""
    with one_thread(), torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


class _Run:
    """State of a training between two steps."""

    def __init__(
        self,
        train: Rows,
        validation: Rows,
        sizes: Sequence[int],
        settings: GnsmSettings,
        seed: int,
    ) -> None:
        self.train, self.sizes, self.settings, self.seed = train, tuple(sizes), settings, seed
        self.validation = Rows(*(column[:_CHECKED_ROWS] for column in validation))
        self.device = train.category.device
        self.noise = Noise.of(settings, self.device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        places = sum(sizes) + train.number.shape[1]
        shape = (settings.width, settings.layers, settings.embedding)
        self.net = ScoreNetwork(places, *shape).to(self.device)
        self.averaged = ScoreNetwork(places, *shape).to(self.device)
        self.averaged.load_state_dict(self.net.state_dict())
        # Gathered once: a walk through the modules at each step cost a tenth of it.
        self.weights = [tuple(net.parameters()) for net in (self.net, self.averaged)]
        for weight in self.weights[1]:
            weight.requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.weights[0],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimizer, settings.steps, eta_min=settings.last_learning_rate
        )
        self.done, self.total, self.counted = 0, 0.0, 0
        self.least = math.inf
        self.best: Weights = {}
        self.curve: list[dict[str, float]] = []

    def step(self) -> None:
        """One step on rows drawn with replacement."""
        count = len(self.train.category)
        drawn = torch.randint(
            count, (self.settings.batch,), generator=self.generator, device=self.device
        )
        loss = self._loss(self.net, self.train.take(drawn), self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.weights[0], self.settings.gradient_clip)
        self.optimizer.step()
        self.schedule.step()
        self.done += 1
        self._average()
        self.total, self.counted = self.total + float(loss.detach()), self.counted + 1

    def _average(self) -> None:
        """Move the averaged weights on; at first faster, so that the start is soon forgotten."""
        decay = min(self.settings.ema, (1 + self.done) / (10 + self.done))
        current, averaged = self.weights
        with torch.no_grad():
            torch._foreach_lerp_(averaged, current, 1 - decay)

    def check(self, step: int) -> None:
        """Look at the held-out rows, always with the same noise, and keep the best weights."""
        again = torch.Generator(self.device).manual_seed(self.seed + 1)
        with torch.inference_mode():
            held_out = float(self._loss(self.averaged, self.validation, again))
        if held_out < self.least or not self.best:
            self.least = held_out
            state = self.averaged.state_dict()
            self.best = {name: value.detach().cpu().clone() for name, value in state.items()}
        row = {
            "step": float(step),
            "learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            "loss": self.total / max(self.counted, 1),
            "validation_loss": held_out,
        }
        self.curve.append(row)
        self.total, self.counted = 0.0, 0

    def _loss(self, net: ScoreNetwork, rows: Rows, generator: torch.Generator) -> Tensor:
        return denoising_loss(net, rows, self.noise, self.sizes, self.settings.loss, generator)
