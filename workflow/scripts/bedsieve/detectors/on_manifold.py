"""Four ways to tell a point that is extreme or isolated on a manifold, behind one function.

In: latent coordinates, shape (n, dimensions). Out: a fitted method with the scores of the points that it was
fitted on and of any others, higher = more anomalous, each in the method's own unit. Seed 001, section 3.3:
"points which are isolated or extreme in the low-D manifold representation".
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bedsieve.errors import ConfigError

Floats = npt.NDArray[np.float64]

NEIGHBOURS = 20
"""Of the local outlier factor: scikit-learn's number, and Breunig et al.'s (2000) middle one."""


@dataclass(frozen=True)
class OnManifold:
    """A fitted method.

    Parameters
    ----------
    training : (n,) float64 array
        Scores of the points that it was fitted on, none counted as its own neighbour.
    score : callable
        Takes (m, dimensions) coordinates and returns (m,) scores of points that are not among those.
    """

    training: Floats
    score: Callable[[Floats], Floats]


def fit_on_manifold(name: str, X: Floats, *, share: float, seed: int) -> OnManifold:
    """Fit a method.

    Parameters
    ----------
    name : str
        One of `ON_MANIFOLD`.
    X : (n, dimensions) float64 array
        Latent coordinates, finite, n > 1.
    share : float
        Share of the points to expect as anomalies; only the one-class SVM uses it, as its ν.
    seed : int
        Of the isolation forest and of the elliptic envelope's first subsets.

    Raises
    ------
    ConfigError
        If there is no such method.
    """
    if name not in ON_MANIFOLD:
        raise ConfigError(f"There is no method '{name}'. Known: {', '.join(ON_MANIFOLD)}.")
    return ON_MANIFOLD[name](X, share, seed)


def _isolation_forest(X: Floats, share: float, seed: int) -> OnManifold:
    from sklearn.ensemble import IsolationForest

    return _by_samples(IsolationForest(random_state=seed).fit(X), X)


def _local_outlier_factor(X: Floats, share: float, seed: int) -> OnManifold:
    from sklearn.neighbors import LocalOutlierFactor

    neighbours = min(NEIGHBOURS, len(X) - 1)
    fitted = LocalOutlierFactor(n_neighbors=neighbours, novelty=True).fit(X)
    return OnManifold(-fitted.negative_outlier_factor_, lambda Z: -fitted.score_samples(Z))


def _elliptic_envelope(X: Floats, share: float, seed: int) -> OnManifold:
    from sklearn.covariance import EllipticEnvelope

    with warnings.catch_warnings():
        # In many dimensions a subset's covariance is singular; its pseudo-inverse is meant then.
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        warnings.filterwarnings("ignore", "The covariance matrix", category=UserWarning)
        fitted = EllipticEnvelope(random_state=seed).fit(X)
    return OnManifold(fitted.dist_.astype(np.float64), lambda Z: np.asarray(fitted.mahalanobis(Z)))


def _one_class_svm(X: Floats, share: float, seed: int) -> OnManifold:
    from sklearn.svm import OneClassSVM

    return _by_samples(OneClassSVM(nu=share).fit(X), X)


def _by_samples(fitted: Any, X: Floats) -> OnManifold:
    return OnManifold(-fitted.score_samples(X), lambda Z: -fitted.score_samples(Z))


ON_MANIFOLD: dict[str, Callable[[Floats, float, int], OnManifold]] = {
    "isolation_forest": _isolation_forest,
    "lof": _local_outlier_factor,
    "elliptic_envelope": _elliptic_envelope,
    "ocsvm": _one_class_svm,
}
"""The four of seed 001, by name."""
