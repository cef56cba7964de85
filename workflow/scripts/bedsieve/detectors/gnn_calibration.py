"""Turning logits into probabilities: one temperature a fold, found on labels that training never used.

In: logits and labels held back. Out: the temperature, and what it gains.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from torch import Tensor

from bedsieve.detectors.nets.losses import INLIER, OUTLIER, Weights, semi_supervised_loss


def find_temperature(logit: Tensor, group: Tensor, weights: Weights) -> dict[str, Any]:
    """Temperature that makes σ(logit / T) fit labels best, by the labelled terms of the loss.

    Parameters
    ----------
    logit : float64 tensor (n,)
    group : int tensor (n,)
    weights : Weights

    Returns
    -------
    dict
        ``temperature``, ``loss_before``, ``loss_after``, ``outliers``, ``inliers``.

    Notes
    -----
    Guo et al. 2017, with the weights that the network was trained with, so that T mends its
    confidence and not the balance of classes. T stays within [1/20, 20] (ours).
    """

    def loss(log_t: float) -> float:
        return float(semi_supervised_loss(logit / np.exp(log_t), group, weights).labelled)

    bound = float(np.log(20))
    found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded")
    return {
        "temperature": float(np.exp(found.x)),
        "loss_before": loss(0.0),
        "loss_after": float(found.fun),
        "outliers": int((group == OUTLIER).sum()),
        "inliers": int((group == INLIER).sum()),
    }
