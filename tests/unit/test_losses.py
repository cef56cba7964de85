"""The semi-supervised loss against numpy."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bedsieve.detectors.nets.losses import Weights, semi_supervised_loss


def _numpy_loss(logit: np.ndarray, group: np.ndarray, w: Weights) -> tuple[float, float, float]:
    plus, minus = np.log1p(np.exp(-logit)), np.log1p(np.exp(logit))

    def mean(values: np.ndarray, g: int) -> float:
        return float(values[group == g].mean()) if (group == g).any() else 0.0

    excess = mean(minus, -1) - w.prior * mean(minus, 1)
    return w.outlier * mean(plus, 1), w.inlier * mean(minus, 0), w.unlabelled * max(0.0, excess)


# The unlabelled term subtracts means of up to 30: what remains is exact to their rounding.
ROUNDING = 1e-12


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-30, 30), st.sampled_from([1, 0, -1])), min_size=1, max_size=40),
    st.floats(0, 1),
)
@example(
    [(0.0, 1), (0.0, -1), (2.0, -1), (3.0, 1), (17.0, 1), (30.0, 1), (14.5, -1), (25.5, -1)],
    0.84375,
)
def test_matches_numpy(rows: list[tuple[float, int]], prior: float) -> None:
    logit, group = (np.array(column) for column in zip(*rows, strict=True))
    weights = Weights(prior=prior)
    got = semi_supervised_loss(torch.from_numpy(logit), torch.from_numpy(group), weights)
    assert [float(p) for p in got] == pytest.approx(
        _numpy_loss(logit, group, weights), rel=1e-9, abs=ROUNDING
    )
    assert float(got.total) == pytest.approx(
        sum(_numpy_loss(logit, group, weights)), rel=1e-9, abs=ROUNDING
    )


def test_by_hand_at_logit_zero() -> None:
    parts = semi_supervised_loss(torch.zeros(3), torch.tensor([1, 0, -1]), Weights())
    ln2 = np.log(2)
    assert [float(p) for p in parts] == pytest.approx([3.92 * ln2, 0.996 * ln2, (1 - 0.0021) * ln2])
    assert float(parts.labelled) == pytest.approx(4.916 * ln2)


def test_unlabelled_term_never_goes_below_zero_nor_pulls_there() -> None:
    logit = torch.tensor([4.0, -9.0], requires_grad=True)
    parts = semi_supervised_loss(logit, torch.tensor([1, -1]), Weights(prior=0.5))
    assert parts.unlabelled.item() == 0
    parts.unlabelled.backward()
    assert logit.grad is not None
    assert logit.grad.tolist() == [0.0, 0.0]
