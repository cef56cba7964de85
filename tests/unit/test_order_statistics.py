"""Median and MAD by counting bits, against numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bedsieve.detectors.order_statistics import median, median_and_mad

_positive = st.floats(0, 2.0**100, width=32) | st.just(float("nan"))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 40), elements=_positive))
def test_median_and_mad_equal_numpy(values: np.ndarray) -> None:
    finite = values[np.isfinite(values)].astype(np.float64)
    middle, mad = median_and_mad(values)
    if finite.size == 0:
        assert np.isnan(middle)
        assert np.isnan(mad)
        return
    assert middle == np.median(finite)
    deviations = np.abs(values[np.isfinite(values)] - np.float32(middle)).astype(np.float64)
    assert mad == np.median(deviations)


def test_median_of_many_equals_numpy() -> None:
    values = np.random.default_rng(3).exponential(size=300_001).astype(np.float32)
    assert median(values) == np.median(values)
    assert median(values[1:]) == np.median(values[1:].astype(np.float64))
    assert median(values - 1, centre=-0.25) == np.median(np.abs(values - 1 + np.float32(0.25)))
