"""Scores of clean rows, and their norms, from what the network found at one noise level.

In: the network's output, which numbers a row has, and the level's λ and σ. Out: the score of each place, or
its squared norm a row. On the CPU the norm is one compiled pass: torch goes over memory a dozen times for
columns of a few categories each, which cost as much as the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from numba import njit
from torch import Tensor

from bedsieve.detectors.gnsm_noise import exp_concrete_score
from bedsieve.detectors.nets.kernel_threads import as_arrays
from bedsieve.detectors.nets.vector_math import ONE, power


def row_score(
    found: Tensor, present: Tensor, sizes: Sequence[int], temperature: Tensor, sigma: Tensor
) -> Tensor:
    """Score of clean rows.

    Parameters
    ----------
    found : tensor (n, places)
        ε of the categories and the noise in the numbers, as the network has them.
    present : tensor (n, numbers)
        1 where a number is known.
    sizes : sequence of int
        Categories of each column.
    temperature, sigma : tensor ()
        λ and σ of the level.

    Returns
    -------
    tensor (n, places)
        0 for a number that is missing.

    Notes
    -----
    Seed 002, equation 15; for numbers −noise/σ (Song and Ermon 2019).
    """
    of_categories, of_numbers = torch.split(found, [sum(sizes), present.shape[1]], 1)
    of_numbers = -of_numbers / sigma * present
    return torch.cat([exp_concrete_score(of_categories, temperature, sizes), of_numbers], 1)


def squared_norms(
    found: Tensor, present: Tensor, sizes: Sequence[int], temperature: Tensor, sigma: Tensor
) -> Tensor:
    """‖`row_score`‖² of each row.

    Parameters
    ----------
    found, present, sizes, temperature, sigma
        As in `row_score`; on the CPU, where one thread does it, `found` is overwritten.

    Returns
    -------
    float64 tensor (n,)
    """
    if found.device.type != "cpu":
        return row_score(found, present, sizes, temperature, sigma).double().square().sum(1)
    out = torch.empty(len(found), dtype=torch.float64)
    ends = np.array(list(accumulate(sizes)), np.int64)
    rows, known = as_arrays(found, present)
    _squared_norms(rows, known, ends, np.float32(temperature), np.float32(sigma), out.numpy())
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _squared_norms(found, present, ends, temperature, sigma, out):  # type: ignore[no-untyped-def]
    for i in range(found.shape[0]):
        row, total, first = found[i], 0.0, 0
        for last in ends:
            block = row[first:last]
            highest, mass = block.max(), np.float32(0)
            for k in range(block.size):
                block[k] = power(block[k] - highest)
                mass += block[k]
            factor = np.float32(block.size) / mass
            for k in range(block.size):
                each = temperature * (block[k] * factor - ONE)
                total += each * each
            first = last
        for k in range(present.shape[1]):
            each = row[first + k] / sigma * present[i, k]
            total += each * each
        out[i] = total
