"""Categorical score matching as a model of a table: fitted to inliers, scores any rows, kept in files.

In: a table of inliers to learn from and one held out; later any table with the same columns. Out: how
unlikely each row is, higher = more anomalous. The network's score of a row is measured at every noise level
(MSMA, Mahmood et al. 2021), and a Gaussian mixture says how usual those numbers are (seed 002).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save as arrays_as_bytes
from safetensors.torch import load_file as load_weights
from safetensors.torch import save as weights_as_bytes
from torch import Tensor, nn

from bedsieve.detectors.gnsm_coding import Coded, Coding
from bedsieve.detectors.gnsm_mixture import Mixture, choose_mixture
from bedsieve.detectors.gnsm_noise import block_log_softmax, log_one_hot
from bedsieve.detectors.gnsm_norms import row_score, squared_norms
from bedsieve.detectors.gnsm_settings import GnsmSettings
from bedsieve.detectors.gnsm_training import Noise, OnCheck, Rows, Weights, train_network
from bedsieve.detectors.nets.score_network import NetworkAtLevels, ScoreNetwork
from bedsieve.errors import BedsieveError
from bedsieve.files import replacing, write_json

NETWORK, MIXTURE, CODING = "network.safetensors", "mixture.safetensors", "coding.json"
_CHUNK = 2048  # rows whose hidden layers stay near the processor
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gnsm:
    """A fitted model.

    Parameters
    ----------
    coding : Coding
    settings : GnsmSettings
    weights : dict of str to tensor
        Averaged weights of the network.
    mixture : Mixture
    """

    coding: Coding
    settings: GnsmSettings
    weights: Weights
    mixture: Mixture

    def negative_log_likelihood(self, table: pl.DataFrame, device: str = "cpu") -> Floats:
        """Anomaly score of each row, shape (n,); NaN for a row with a category never seen.

        Parameters
        ----------
        table : DataFrame
            With the columns of `coding`.
        device : str
            ``"cpu"`` or ``"cuda"``.
        """
        coded = self.coding.encode(table)
        norms = score_norms(self.weights, coded, self.coding.sizes, self.settings, device)
        found = self.mixture.negative_log_likelihood(norms)
        return np.where(coded.known, found, np.nan)

    def parts(self, table: pl.DataFrame, device: str = "cpu") -> tuple[list[str], Floats]:
        """Each column's part of a row's squared score at the least noise.

        Returns
        -------
        list of str
            Categorical and numeric columns.
        float64 ndarray (n, columns)
        """
        names = [*self.coding.categories, *self.coding.gaps, *self.coding.numbers]
        sizes = [*self.coding.sizes, *(1 for _ in self.coding.numbers)]
        owner = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)).to(device)
        found = []
        noise = Noise.of(self.settings, device)
        for _, rows, net, entered in _entered(
            self.weights, self.coding.encode(table), self.coding.sizes, self.settings, noise
        ):
            score = row_score(net.at(0, entered), rows.present, self.coding.sizes, *noise.at(0))
            squares = score.double().square()
            part = squares.new_zeros(len(squares), len(sizes))
            found.append(part.index_add_(1, owner, squares).cpu().numpy())
        return names, np.concatenate(found)

    def save(self, folder: str | Path) -> list[str]:
        """Write network, mixture and coding; returns the files' names. Settings go into a manifest."""
        folder = Path(folder)
        contents = {
            NETWORK: weights_as_bytes(self.weights),
            MIXTURE: arrays_as_bytes(self.mixture.to_arrays()),
        }
        for name, content in contents.items():
            with replacing(folder / name) as part:
                part.write_bytes(content)
        write_json(self.coding.to_mapping(), folder / CODING)
        return [NETWORK, MIXTURE, CODING]

    @classmethod
    def load(cls, folder: str | Path, settings: Mapping[str, Any]) -> Gnsm:
        """Read what `save` wrote, with the settings that it was fitted with."""
        folder = Path(folder)
        document = json.loads((folder / CODING).read_text(encoding="utf-8"))
        return cls(
            Coding.from_mapping(document),
            GnsmSettings.from_mapping(settings),
            load_weights(folder / NETWORK),
            Mixture.from_arrays(load_arrays(folder / MIXTURE)),
        )


def fit_gnsm(
    train: pl.DataFrame,
    validation: pl.DataFrame,
    coding: Coding,
    settings: GnsmSettings,
    seed: int,
    *,
    device: str = "cpu",
    on_check: OnCheck | None = None,
) -> tuple[Gnsm, list[dict[str, float]]]:
    """Train the network and fit the mixture.

    Parameters
    ----------
    train, validation : DataFrame
        Inliers to learn from, and inliers held out.
    coding : Coding
        Of both.
    settings : GnsmSettings
    seed : int
    device : str
        ``"cpu"`` or ``"cuda"``.
    on_check : callable, optional
        See `bedsieve.detectors.gnsm_training.OnCheck`.

    Returns
    -------
    Gnsm
    list of dict
        Losses at each check.

    Raises
    ------
    BedsieveError
        If there is no row to learn from, or none held out.
    """
    if train.is_empty() or validation.is_empty():
        raise BedsieveError(
            f"gnsm: {train.height} rows to learn from and {validation.height} held out are too few."
        )
    parts = coding.encode(train), coding.encode(validation)
    trained = train_network(*parts, coding.sizes, settings, seed, device=device, on_check=on_check)
    model = with_mixture(trained.weights, *parts, coding, settings, seed, device)
    return model, trained.curve


def with_mixture(
    weights: Weights,
    train: Coded,
    validation: Coded,
    coding: Coding,
    settings: GnsmSettings,
    seed: int,
    device: str = "cpu",
) -> Gnsm:
    """A model from a network's weights: the mixture is fitted to the norms of its inliers."""
    rng = np.random.default_rng([seed, 5])
    learnt, held_out = (
        score_norms(
            weights, _sample(part, settings.mixture_rows, rng), coding.sizes, settings, device
        )
        for part in (train, validation)
    )
    mixture = choose_mixture(learnt, held_out, settings.components, seed)
    return Gnsm(coding, settings, weights, mixture)


def _sample(coded: Coded, most: int, rng: np.random.Generator) -> Coded:
    """At most so many rows, drawn at random."""
    rows = len(coded.category)
    if rows <= most:
        return coded
    return coded.rows(np.sort(rng.choice(rows, most, replace=False)))


def score_norms(
    weights: Weights,
    coded: Coded,
    sizes: tuple[int, ...],
    settings: GnsmSettings,
    device: str = "cpu",
) -> Floats:
    """‖s(x, λ)‖² of each clean row at each noise level, shape (n, levels); ‖s‖ where `norm` is plain.

    Rows that are alike are worked out once: a table of categories repeats itself.
    """
    kinds, place = _distinct(coded)
    norms = np.zeros((len(kinds.category), settings.levels))
    noise = Noise.of(settings, device)
    for start, rows, net, entered in _entered(weights, kinds, sizes, settings, noise):
        for level in range(settings.levels):
            at_level = (rows.present, sizes, *noise.at(level))
            found = squared_norms(net.at(level, entered), *at_level)
            norms[start : start + len(found), level] = found.cpu().numpy()
    return (norms if settings.norm == "squared" else np.sqrt(norms))[place]


def _entered(
    weights: Weights, coded: Coded, sizes: tuple[int, ...], settings: GnsmSettings, noise: Noise
) -> Iterator[tuple[int, Rows, NetworkAtLevels, tuple[Tensor, Tensor]]]:
    """Chunks of clean rows: place of the first, the rows, the network, and their state in it (`enter`)."""
    device = noise.sigma.device
    net = NetworkAtLevels(_network(weights, settings).to(device), noise.temperature)
    for start in range(0, len(coded.category), _CHUNK):
        rows = Rows.of(coded.rows(slice(start, start + _CHUNK)), device)
        x = torch.cat([log_one_hot(rows.category, sizes), rows.number], 1)
        entered = net.enter(x)
        if settings.denoise:
            score = row_score(net.at(0, entered), rows.present, sizes, *noise.at(0))
            entered = net.enter(one_step(x, score, sizes))
        yield start, rows, net, entered


def one_step(x: Tensor, score: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Move x along the score, each column of categories and all numbers together by 1; categories stay
    logarithms of shares (the released code of seed 002)."""
    places = [*sizes, x.shape[1] - sum(sizes)]
    along = [nn.functional.normalize(part, dim=1) for part in torch.split(score, places, 1)]
    moved, numbers = torch.split(x + torch.cat(along, 1), [sum(sizes), places[-1]], 1)
    return torch.cat([block_log_softmax(moved, sizes), numbers], 1)


def _distinct(coded: Coded) -> tuple[Coded, npt.NDArray[np.int64]]:
    """Rows without repeats, and where each row is among them."""
    if coded.number.shape[1]:  # numbers hardly repeat
        return coded, np.arange(len(coded.category))
    _, first, place = np.unique(coded.category, axis=0, return_index=True, return_inverse=True)
    return coded.rows(first), place.reshape(-1)


def _network(weights: Weights, settings: GnsmSettings) -> ScoreNetwork:
    places = weights["head.bias"].numel()
    net = ScoreNetwork(places, settings.width, settings.layers, settings.embedding)
    net.load_state_dict(weights)
    return net.eval()
