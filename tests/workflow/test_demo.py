"""The demo at its full size, run once: what is promised of its labels."""

from __future__ import annotations

import pytest

from bedsieve.evaluation.label_truth import of_run, summary
from tests.workflow.conftest import Project


@pytest.mark.slow
def test_pseudo_labels_are_right_in_both_regions(project: Project) -> None:
    project.run("results/demo/products/labels.tsv")
    shares = summary(of_run(project.path("results/demo"))).rows_by_key("region", named=True)
    assert set(shares) == {"all", "A", "B"}
    for region in "AB":
        (found,) = shares[region]
        assert found["inliers"] >= 2_000
        assert found["outliers"] >= 100
        assert found["bad_share_of_inliers"] <= found["bad_share"] / 5
        assert found["outlier_precision"] >= 0.8
