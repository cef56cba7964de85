"""The loss of study B: weighted cross-entropy on labels, and a floor-at-zero term on unlabelled points.

In: logits and a group for each (1 outlier, 0 inlier, -1 unlabelled). Out: its three parts. Unlabelled
points are mostly good, so they pull towards "inlier", but less by what the share π of outliers among
them would add, and never below zero (seed 000, "Training loss"; non-negative in the sense of Kiryo et
al. 2017).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

OUTLIER, INLIER, UNLABELLED = 1, 0, -1
# Below it torch takes the logarithm; its own limit (20) is off by 2e-9, which the difference shows.
EXACT = 40.0


class Weights(NamedTuple):
    """Weights of the parts and the share π of outliers among unlabelled points (study B's values)."""

    outlier: float = 3.92
    inlier: float = 0.996
    unlabelled: float = 1.0
    prior: float = 0.0021


class LossParts(NamedTuple):
    """Weighted parts; a group that is absent adds 0."""

    outlier: Tensor
    inlier: Tensor
    unlabelled: Tensor

    @property
    def total(self) -> Tensor:
        """What training minimises."""
        return self.outlier + self.inlier + self.unlabelled

    @property
    def labelled(self) -> Tensor:
        """What early stopping watches."""
        return self.outlier + self.inlier


def semi_supervised_loss(logit: Tensor, group: Tensor, weights: Weights) -> LossParts:
    """w_out⟨l⁺⟩_out, w_in⟨l⁻⟩_in and w_unl max(0, ⟨l⁻⟩_unl − π⟨l⁻⟩_out).

    Parameters
    ----------
    logit : tensor (n,)
        Positive means outlier.
    group : int tensor (n,)
        `OUTLIER`, `INLIER` or `UNLABELLED`.
    weights : Weights

    Returns
    -------
    LossParts
        l⁺ = ln(1 + e^−logit), l⁻ = ln(1 + e^logit), ⟨·⟩ the mean over the group's points.
    """
    as_outlier, as_inlier = (softplus(sign * logit, threshold=EXACT) for sign in (-1, 1))
    out, inn, unlabelled = (group == g for g in (OUTLIER, INLIER, UNLABELLED))
    excess = _mean(as_inlier, unlabelled) - weights.prior * _mean(as_inlier, out)
    return LossParts(
        weights.outlier * _mean(as_outlier, out),
        weights.inlier * _mean(as_inlier, inn),
        weights.unlabelled * torch.clamp(excess, min=0.0),
    )


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
