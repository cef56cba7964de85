"""Local entropy on digits: a small network with dropout learns nine of them and is shown the tenth.

In: MNIST as arrays, a seed. Out: what two networks, alike but for their seed, say of the same test images.
The network is LeNet-5 with dropout before its last two layers, as in seed 003, spectrally normalised
if asked; its convolutions are worked out once for all passes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bedsieve.benchmarks.local_entropy import Judged
from bedsieve.detectors.local_entropy import Doubles, PassMean
from bedsieve.detectors.local_entropy_reference import Reference
from bedsieve.detectors.local_entropy_settings import LocalEntropySettings
from bedsieve.errors import InputError

TRAIN, TEST, UNSEEN = 12_000, 5_000, 500
_EPOCHS, _BATCH, _RATE, _DROPOUT = 6, 128, 1e-3, 0.5
_SETTINGS = LocalEntropySettings()
_TWIN = 1_000_003  # added to the seed of the second network


@dataclass(frozen=True)
class Digits:
    """Images in [0, 1] and labels 0…8 of the known digits; -1 for the unseen one."""

    train: Tensor
    train_label: Tensor
    test: Tensor
    test_label: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Told:
    """What a network says of images: hidden state and logits (dropout off), entropies over passes."""

    hidden: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    entropy: Doubles
    mutual_information: Doubles


class LeNet(nn.Module):
    """LeNet-5 with dropout before the last two layers.

    Parameters
    ----------
    spectral : bool
        Whether each layer's largest singular value is held at 1.
    """

    def __init__(self, spectral: bool) -> None:
        super().__init__()
        wrap: Any = nn.utils.parametrizations.spectral_norm if spectral else _as_is
        self.convolutions = nn.Sequential(
            wrap(nn.Conv2d(1, 6, 5, padding=2)), nn.ReLU(), nn.MaxPool2d(2),
            wrap(nn.Conv2d(6, 16, 5)), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            wrap(nn.Linear(400, 120)), nn.ReLU(),
        )  # fmt: skip
        self.hidden = nn.Sequential(nn.Dropout(_DROPOUT), wrap(nn.Linear(120, 84)), nn.ReLU())
        self.out = nn.Sequential(nn.Dropout(_DROPOUT), wrap(nn.Linear(84, 9)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 9) of images (n, 1, 28, 28)."""
        logits: Tensor = self.out(self.hidden(self.convolutions(x)))
        return logits


def judged_digits(path: Path, seed: int, spectral: bool) -> tuple[Judged, Judged]:
    """What two networks say of 5,000 known digits and 500 of the unseen one.

    Parameters
    ----------
    path : Path
        mnist.npz with x_train, y_train, x_test, y_test.
    seed : int
        Its last figure is the digit that is left out.
    spectral : bool

    Raises
    ------
    InputError
        If the file is not there.
    """
    if not path.is_file():
        raise InputError(path, "is not there", "Fetch MNIST first; see docs/benchmarks.md")
    digits = drawn(path, seed)
    one, two = (_judged(digits, number, spectral) for number in (seed, seed + _TWIN))
    return one, two


def drawn(path: Path, seed: int) -> Digits:
    """Images for one seed: training from MNIST's training set, the rest from its test set."""
    rng, unseen = np.random.default_rng([seed, 3]), seed % 10
    with np.load(path) as stored:
        images = {use: stored[f"x_{use}"] for use in ("train", "test")}
        labels = {use: stored[f"y_{use}"].astype(np.int64) for use in ("train", "test")}
    known = {use: np.flatnonzero(label != unseen) for use, label in labels.items()}
    train = rng.choice(known["train"], TRAIN, replace=False)
    test = np.concatenate(
        [
            rng.choice(known["test"], TEST, replace=False),
            rng.choice(np.flatnonzero(labels["test"] == unseen), UNSEEN, replace=False),
        ]
    )
    number = np.arange(10) - (np.arange(10) > unseen)
    number[unseen] = -1
    return Digits(
        _images(images["train"][train]),
        torch.from_numpy(number[labels["train"][train]]),
        _images(images["test"][test]),
        number[labels["test"][test]],
    )


def _images(pixels: npt.NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 255).unsqueeze(1)


def _judged(digits: Digits, seed: int, spectral: bool) -> Judged:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = _trained(LeNet(spectral), digits)
        with torch.no_grad():
            known, asked = _told(net, digits.train), _told(net, digits.test)
    correct = known.logits.argmax(1) == digits.train_label.numpy()
    ids, around = np.arange(correct.sum(), dtype=np.uint64), known.entropy[correct]
    z = {}
    for name, space in (("local", "hidden"), ("local in logits", "logits")):
        latent = getattr(known, space)[correct]
        reference = Reference.of(ids, latent, around.astype(np.float32), _SETTINGS)
        for variant, settings in ((name, _SETTINGS), (f"{name}, sparse", _sparse())):
            z[variant] = reference.compare(getattr(asked, space), asked.entropy, settings).z
    unseen = digits.test_label < 0
    rankings = {"entropy": asked.entropy, "mutual information": asked.mutual_information}
    return Judged(z, rankings, unseen, unseen)


def _sparse() -> LocalEntropySettings:
    return replace(_SETTINGS, shrink=True)


def _trained(net: LeNet, digits: Digits) -> LeNet:
    optimizer = torch.optim.Adam(net.parameters(), lr=_RATE)
    for _ in range(_EPOCHS):
        for rows in torch.split(torch.randperm(len(digits.train)), _BATCH):
            loss = nn.functional.cross_entropy(net(digits.train[rows]), digits.train_label[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return net.eval()


def _told(net: LeNet, images: Tensor) -> Told:
    net.eval()
    before = torch.cat([net.convolutions(part) for part in torch.split(images, 1000)])
    hidden = net.hidden(before)
    logits = net.out(hidden)
    # The convolutions stay as they are: dropout comes after them, and a spectral norm must not move.
    for layer in (*net.hidden, *net.out):
        if isinstance(layer, nn.Dropout):
            layer.train()
    mean = PassMean()
    for _ in range(_SETTINGS.passes):
        mean.add(net.out(net.hidden(before)).double().softmax(1).numpy())
    net.eval()
    return Told(hidden.numpy(), logits.numpy(), mean.entropy, mean.mutual_information)


def _as_is(layer: Any) -> Any:
    return layer
