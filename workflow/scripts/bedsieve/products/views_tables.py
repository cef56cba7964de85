"""The views of the scores as tables.

In: the counts of `views_count`. Out: confusion with the pseudo-labels by region, counts above thresholds, logit
histograms, flagged shares by variable, differences from the reference grid.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.products.bins import ABOVE, BANDS, LABELS, LOGIT, LOGIT_BINS, difference_at
from bedsieve.products.views_count import Views

Counts = NDArray[np.int64]

REGIONS = ("A", "B")
LOGIT_STEP = 20
"""Bins of the counts that make one of the table and the plots: a fifth of a logit."""


def confusion(views: Views) -> pl.DataFrame:
    """Scores against the pseudo-labels, region by region.

    Returns
    -------
    DataFrame
        detector, region, threshold, true_positive, false_negative, false_positive, true_negative, recall,
        false_positive_rate, precision (null where not defined), auc (of the region, the same for every
        threshold). Points without a score are counted as not found.
    """
    rows = []
    for d, detector in enumerate(views.detectors):
        for r in range(len(views.centres)):
            inlier, outlier = views.logits[d, r, :2]
            labelled = outlier.sum(), inlier.sum()
            area = auc(inlier, outlier)
            for t, threshold in enumerate(ABOVE):
                found, false = views.above[d, r, 1, t], views.above[d, r, 0, t]
                rows.append(
                    {
                        "detector": detector,
                        "region": REGIONS[r],
                        "threshold": threshold,
                        "true_positive": int(found),
                        "false_negative": int(labelled[0] - found),
                        "false_positive": int(false),
                        "true_negative": int(labelled[1] - false),
                        "recall": _ratio(found, labelled[0]),
                        "false_positive_rate": _ratio(false, labelled[1]),
                        "precision": _ratio(found, found + false),
                        "auc": area,
                    }
                )
    return pl.DataFrame(rows, schema=_CONFUSION)


_CONFUSION = {
    "detector": pl.String,
    "region": pl.String,
    "threshold": pl.Float64,
    **dict.fromkeys(
        ("true_positive", "false_negative", "false_positive", "true_negative"), pl.Int64
    ),
    **dict.fromkeys(("recall", "false_positive_rate", "precision", "auc"), pl.Float64),
}


def roc(inlier: Counts, outlier: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False- and true-positive rate at every threshold, from none flagged to all; shape (bins + 1,)."""
    rates = [
        np.concatenate([[0.0], np.cumsum(counts[::-1]) / max(int(counts.sum()), 1)])
        for counts in (inlier, outlier)
    ]
    return rates[0], rates[1]


def auc(inlier: Counts, outlier: Counts) -> float | None:
    """Area under the ROC, equal bins counting half; None without labels of both kinds."""
    if inlier.sum() == 0 or outlier.sum() == 0:
        return None
    return float(np.trapezoid(*roc(inlier, outlier)[::-1]))


def counts_above(views: Views) -> pl.DataFrame:
    """Points that score at least 0.5, 0.7 and 0.9.

    Returns
    -------
    DataFrame
        detector, region (A, B or all), at_least, points, share (of the points that the detector scored).
    """
    rows = []
    for d, detector in enumerate(views.detectors):
        for r, region in enumerate((*REGIONS[: max(len(views.centres), 1)], "all")):
            part = slice(None) if region == "all" else slice(r, r + 1)
            scored = int(views.logits[d, part].sum())
            for t, threshold in enumerate(ABOVE):
                points = int(views.above[d, part, :, t].sum())
                rows.append((detector, region, threshold, points, _ratio(points, scored)))
    names = ["detector", "region", "at_least", "points", "share"]
    return pl.DataFrame(rows, schema=names, orient="row")


def logit_histograms(views: Views) -> pl.DataFrame:
    """Points by logit of their score; detector, region, label, logit (lower edge), points; no empty rows."""
    steps = LOGIT_BINS // LOGIT_STEP
    coarse = views.logits.reshape(*views.logits.shape[:3], steps, LOGIT_STEP).sum(axis=-1)
    d, r, label, place = np.nonzero(coarse)
    return pl.DataFrame(
        {
            "detector": np.array(views.detectors)[d],
            "region": np.array(REGIONS)[r],
            "label": np.array(LABELS)[label],
            "logit": place * (2 * LOGIT / steps) - LOGIT,
            "points": coarse[d, r, label, place],
        }
    )


def rates(views: Views) -> pl.DataFrame:
    """Flagged share by bin of each variable.

    Returns
    -------
    DataFrame
        variable, from, to (null at the open ends), points, flagged, share_flagged, labelled, outlier_labels,
        share_outlier.
    """
    rows = []
    for name, counts in views.rates.items():
        ends = [None, *views.edges[name].tolist(), None]
        for k, (points, flagged, labelled, outliers) in enumerate(counts.tolist()):
            shares = _ratio(flagged, points), _ratio(outliers, labelled)
            rows.append(
                (
                    name,
                    ends[k],
                    ends[k + 1],
                    points,
                    flagged,
                    shares[0],
                    labelled,
                    outliers,
                    shares[1],
                )
            )
    return pl.DataFrame(rows, schema=_RATES, orient="row")


_RATES = {
    "variable": pl.String,
    "from": pl.Float64,
    "to": pl.Float64,
    "points": pl.Int64,
    "flagged": pl.Int64,
    "share_flagged": pl.Float64,
    "labelled": pl.Int64,
    "outlier_labels": pl.Int64,
    "share_outlier": pl.Float64,
}


def reference(views: Views) -> pl.DataFrame:
    """Difference from the reference grid by band of score.

    Returns
    -------
    DataFrame
        detector, from, to (of the score), points, median, p90 (m, of the size of the difference).
    """
    rows = []
    for d, detector in enumerate(views.detectors):
        for b in range(len(BANDS) - 1):
            counts = views.differences[d, b]
            middle, high = (_quantile(counts, level) for level in (0.5, 0.9))
            rows.append((detector, BANDS[b], BANDS[b + 1], int(counts.sum()), middle, high))
    schema = {"detector": pl.String, "from": pl.Float64, "to": pl.Float64, "points": pl.Int64}
    return pl.DataFrame(
        rows, schema=schema | {"median": pl.Float64, "p90": pl.Float64}, orient="row"
    )


def _quantile(counts: Counts, level: float) -> float | None:
    total = int(counts.sum())
    if total == 0:
        return None
    return difference_at(int(np.searchsorted(np.cumsum(counts), level * total)))


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
