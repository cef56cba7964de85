"""How usual a row's score norms are: a Gaussian mixture of those of inliers, frozen.

In: norms of the score at every noise level of inlier rows, some of them held out. Out: a full-covariance
mixture on standardised norms, its size chosen by the likelihood of the held-out rows and then fitted to
all; and the negative log-likelihood of any row under it (seed 002, section 3.3; Mahmood et al. 2021).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_CHUNK = 65536


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians.

    Parameters
    ----------
    centre, scale : float64 ndarray (levels,)
        Mean and standard deviation that norms are standardised with.
    weight : float64 ndarray (components,)
    mean : float64 ndarray (components, levels)
    precision : float64 ndarray (components, levels, levels)
        Cholesky factor P of each inverse covariance: distance² = ‖(x − mean) P‖².
    """

    centre: Floats
    scale: Floats
    weight: Floats
    mean: Floats
    precision: Floats

    def negative_log_likelihood(self, norms: Floats) -> Floats:
        """Of each row, shape (n,), from its norms (n, levels)."""
        out = np.empty(len(norms))
        for start in range(0, len(norms), _CHUNK):
            out[start : start + _CHUNK] = self._of_chunk(norms[start : start + _CHUNK])
        return out

    def _of_chunk(self, norms: Floats) -> Floats:
        x = (norms - self.centre) / self.scale
        log_density = np.empty((len(x), self.weight.size))
        for k, (weight, mean, factor) in enumerate(
            zip(self.weight, self.mean, self.precision, strict=True)
        ):
            constant = math.log(weight) + np.log(np.diag(factor)).sum()
            constant -= 0.5 * x.shape[1] * math.log(2 * math.pi)
            log_density[:, k] = constant - 0.5 * np.square((x - mean) @ factor).sum(1)
        highest = log_density.max(1)
        sums = np.exp(log_density - highest[:, None]).sum(1)
        return np.asarray(-(highest + np.log(sums)))

    def to_arrays(self) -> dict[str, Floats]:
        """By name, to be stored."""
        return {name: np.ascontiguousarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats]) -> Mixture:
        """From what `to_arrays` gave."""
        return cls(**arrays)


def choose_mixture(
    train: Floats, held_out: Floats, components: Sequence[int], seed: int
) -> Mixture:
    """Fit mixtures to `train`, take the size that suits `held_out` best, and fit it to both.

    Parameters
    ----------
    train, held_out : float64 ndarray (n, levels)
        Norms of inliers.
    components : sequence of int
        Sizes to try; those that exceed the distinct rows of `train` are left out, but for the least.
    seed : int
    """
    both = np.concatenate([train, held_out])
    centre, scale = both.mean(0), both.std(0)
    scale[scale == 0] = 1.0
    train, held_out, both = ((part - centre) / scale for part in (train, held_out, both))
    distinct = len(np.unique(train, axis=0))
    sizes = [size for size in components if size <= distinct] or [min(1, distinct)]
    if len(sizes) > 1:
        fits = {size: _fit(train, size, seed) for size in sizes}
        likelihood = {size: fit.negative_log_likelihood(held_out) for size, fit in fits.items()}
        sizes = sorted(sizes, key=lambda size: float(likelihood[size].mean()))
    chosen = _fit(both, sizes[0], seed)
    return Mixture(centre, scale, chosen.weight, chosen.mean, chosen.precision)


def _fit(x: Floats, components: int, seed: int) -> Mixture:
    """A mixture of standardised rows, told that they are standardised already."""
    from sklearn.mixture import GaussianMixture

    fitted = GaussianMixture(components, max_iter=300, random_state=seed).fit(x)
    nothing, one = np.zeros(x.shape[1]), np.ones(x.shape[1])
    return Mixture(nothing, one, fitted.weights_, fitted.means_, fitted.precisions_cholesky_)
