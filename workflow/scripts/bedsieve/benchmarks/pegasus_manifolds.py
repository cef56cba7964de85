"""The four manifolds of "Finding Pegasus": digits to latent coordinates and reconstruction errors.

In: MNIST, a seed. Out: all 6,742 ones of the training images with 120 sevens and 120 eights drawn by the
seed (seed 001, G.1), and a PCA or an autoencoder of them. The source gives the autoencoder one hidden layer
in each half; its widths, activations and training are Géron's (2023, chapter 17: 100, ReLU, Nadam, 20
epochs, batches of 32) for 30 dimensions, and the same with 512 for 245, where a hidden layer of 100 would be
the narrower one (ours).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from bedsieve.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float64]

BULK, ANOMALIES = 1, (7, 8)
EACH = 120
HIDDEN = {30: 100, 245: 512}
EPOCHS, BATCH, RATE = 20, 32, 1e-3


class Digits(NamedTuple):
    """Images (n, 784) in [0, 1] and what digit each shows, shape (n,)."""

    images: Floats
    digit: npt.NDArray[np.int64]


class Manifold(NamedTuple):
    """Latent coordinates (n, dimensions), squared error of each image, share of variance held (PCA)."""

    latent: Floats
    error: Floats
    variance: float | None


def draw_digits(path: Path, seed: int) -> Digits:
    """All ones, and `EACH` images of each anomalous digit.

    Raises
    ------
    InputError
        If the file does not hold the training images of MNIST, or too few of an anomalous digit.
    """
    remedy = "Put the file of keras.datasets.mnist there"
    if not path.is_file():
        raise InputError(path, "is missing", remedy)
    with np.load(path, allow_pickle=False) as stored:
        if not {"x_train", "y_train"} <= set(stored.files):
            raise InputError(path, "has no x_train and y_train", remedy)
        images, digit = stored["x_train"], stored["y_train"]
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(digit == BULK)]
    for anomaly in ANOMALIES:
        found = np.flatnonzero(digit == anomaly)
        if found.size < EACH:
            raise InputError(path, f"shows {found.size} times a {anomaly}, not {EACH}", remedy)
        rows.append(rng.choice(found, EACH, replace=False))
    chosen = np.sort(np.concatenate(rows))
    flat = images[chosen].reshape(chosen.size, -1).astype(np.float64) / 255
    return Digits(flat, digit[chosen].astype(np.int64))


def manifold(case: str, images: Floats, seed: int) -> Manifold:
    """The manifold of a case, ``pca-`` or ``ae-`` with the number of dimensions."""
    kind, dimensions = case.split("-")
    build = {"pca": _pca, "ae": _autoencoder}[kind]
    return build(images, int(dimensions), seed)


def _pca(images: Floats, dimensions: int, seed: int) -> Manifold:
    from sklearn.decomposition import PCA

    model = PCA(dimensions, svd_solver="full")
    latent = model.fit_transform(images)
    error = ((images - model.inverse_transform(latent)) ** 2).mean(axis=1)
    return Manifold(latent, error, float(model.explained_variance_ratio_.sum()))


def _autoencoder(images: Floats, dimensions: int, seed: int) -> Manifold:
    import torch

    from bedsieve.detectors.nets.deterministic import one_thread

    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _trained(torch.from_numpy(images.astype(np.float32)), dimensions)


def _trained(x: Tensor, dimensions: int) -> Manifold:
    """Train an autoencoder on images; where they lie in it, and their errors."""
    import torch
    from torch import nn

    hidden, width = HIDDEN[dimensions], x.shape[1]
    encoder = nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, dimensions), nn.ReLU()
    )
    decoder = nn.Sequential(nn.Linear(dimensions, hidden), nn.ReLU(), nn.Linear(hidden, width))
    optimizer = torch.optim.NAdam([*encoder.parameters(), *decoder.parameters()], lr=RATE)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(x)), BATCH):
            loss = nn.functional.mse_loss(decoder(encoder(x[rows])), x[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.inference_mode():
        latent = encoder(x)
        error = (decoder(latent) - x).square().mean(dim=1)
    return Manifold(latent.numpy().astype(np.float64), error.numpy().astype(np.float64), None)
