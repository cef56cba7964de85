"""Noise on categories and numbers, and the score of the noisy values: the mathematics of the method.

In: codes of rows and a noise level λ. Out: relaxed categories (samples of the ExpConcrete distribution in
log space), their exact score, and the two losses that teach a network that score (seed 002, sections 2.3,
3.1, 3.2 and appendix A.1; Maddison et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

FLOOR = 1e-5
"""Probability of the categories that a row does not have: a one-hot vector has no logarithm."""


def log_one_hot(category: Tensor, sizes: Sequence[int]) -> Tensor:
    """ln clip(one-hot, 1e-5, 1) of each column, side by side.

    Parameters
    ----------
    category : int64 tensor (n, columns)
    sizes : sequence of int
        Categories of each column.

    Returns
    -------
    float32 tensor (n, sum of sizes)
    """
    each = torch.tensor(list(sizes), dtype=torch.long, device=category.device)
    logits = torch.full((len(category), sum(sizes)), math.log(FLOOR), device=category.device)
    return logits.scatter_(1, category + each.cumsum(0) - each, 0.0)


def gumbel_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise of the shape of `x`."""
    drawn = torch.empty_like(x).exponential_(generator=generator)
    return -drawn.clamp_min(torch.finfo(x.dtype).tiny).log()


def relax(log_alpha: Tensor, gumbel: Tensor, temperature: Tensor, sizes: Sequence[int]) -> Tensor:
    """Samples of ExpConcrete(α, λ): x̃ = (ln α + G)/λ − logsumexp((ln α + G)/λ) in each column's block.

    Parameters
    ----------
    log_alpha, gumbel : tensor (n, sum of sizes)
    temperature : tensor (n, 1)
        λ of each row.
    sizes : sequence of int
    """
    return block_log_softmax((log_alpha + gumbel) / temperature, sizes)


def block_log_softmax(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """ln softmax within each column's block, shape as `x` (n, sum of sizes)."""
    if not sizes:
        return x
    return torch.cat([part.log_softmax(1) for part in torch.split(x, list(sizes), 1)], 1)


def exp_concrete_log_density(x: Tensor, log_alpha: Tensor, temperature: float) -> Tensor:
    """ln p(x) of the ExpConcrete distribution, shape (n,), for x and ln α of shape (n, K).

    Notes
    -----
    ln (K−1)! + (K−1) ln λ + Σ(ln α_k − λ x_k) − K ln Σ exp(ln α_k − λ x_k): seed 002, equation 8.
    """
    k = x.shape[-1]
    inner = log_alpha - temperature * x
    constant = math.lgamma(k) + (k - 1) * math.log(temperature)
    return constant + inner.sum(-1) - k * inner.logsumexp(-1)


def exp_concrete_score(
    epsilon: Tensor, temperature: Tensor | float, sizes: Sequence[int]
) -> Tensor:
    """Gradient of ln p by x: −λ + λ K softmax(ε) in each column's block of K categories.

    Parameters
    ----------
    epsilon : tensor (n, sum of sizes)
        ln α − λ x, or a network's estimate of it.
    temperature : tensor (n, 1) or float
    sizes : sequence of int

    Notes
    -----
    Seed 002, equation 15. The constraint that the exponentials of x sum to 1 is not followed, as there.
    """
    share = block_log_softmax(epsilon, sizes).exp()
    return temperature * (share * block_sizes(sizes, epsilon.device) - 1)


def block_sizes(sizes: Sequence[int], device: torch.device) -> Tensor:
    """K of the block that each place belongs to, shape (sum of sizes,)."""
    each = torch.tensor(list(sizes), dtype=torch.long, device=device)
    return each.repeat_interleave(each).float()


def category_loss(
    predicted: Tensor, target: Tensor, temperature: Tensor, sizes: Sequence[int], kind: str
) -> Tensor:
    """How far the predicted scores of categories are from the true ones, shape (n,).

    Parameters
    ----------
    predicted : tensor (n, sum of sizes)
        ε of the network.
    target : tensor (n, sum of sizes)
        ln α − λ x̃.
    temperature : tensor (n, 1)
    sizes : sequence of int
    kind : str
        ``"kl"``: Σ_d KL(softmax target ‖ softmax ε). ``"squared"``: Σ_d λ² K_d² ‖softmax ε − softmax
        target‖², the squared distance of the scores themselves.

    Notes
    -----
    Seed 002, equations 16 and 17; the second without the factor λ² K², as design methods.md has it.
    """
    wanted, found = block_log_softmax(target, sizes), block_log_softmax(predicted, sizes)
    if kind == "kl":
        return (wanted.exp() * (wanted - found)).sum(1)
    apart = (found.exp() - wanted.exp()) * block_sizes(sizes, predicted.device)
    return (temperature * apart).square().sum(1)


def number_loss(predicted: Tensor, noise: Tensor, present: Tensor) -> Tensor:
    """Σ ½ (predicted noise − noise)² over the numbers that a row has, shape (n,).

    Denoising score matching weighted by σ² (Song and Ermon 2019): the score of a noisy number is −noise/σ.
    """
    return 0.5 * ((predicted - noise).square() * present).sum(1)
