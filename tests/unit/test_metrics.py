"""Metrics against scikit-learn and hand-worked cases; bootstrap over tracks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.evaluation.metrics import (
    Ranking,
    TrackBootstrap,
    area_under_roc,
    average_precision,
    event_hits,
    event_recall,
    flag_budget,
    precision,
    precision_at_budget,
    recall,
)


def _case(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with many ties, truth, integer weights with zeros."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.2
    score = np.round(rng.normal(size=n) + truth, 1)
    return score, truth, rng.integers(0, 4, n).astype(float)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_ranking_figures_equal_scikit_learn(seed: int, weighted: bool) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    score, truth, weight = _case(seed)
    given_weight = weight if weighted else None
    ranking = Ranking(score, truth)
    assert average_precision(ranking, given_weight) == pytest.approx(
        average_precision_score(truth, score, sample_weight=given_weight), abs=1e-12
    )
    assert area_under_roc(ranking, given_weight) == pytest.approx(
        roc_auc_score(truth, score, sample_weight=given_weight), abs=1e-12
    )


@pytest.mark.parametrize("seed", range(3))
def test_flag_figures_equal_scikit_learn(seed: int) -> None:
    from sklearn.metrics import precision_score, recall_score

    score, truth, weight = _case(seed)
    flag = score > 0.8
    assert recall(flag, truth) == pytest.approx(recall_score(truth, flag))
    assert precision(flag, truth, weight) == pytest.approx(
        precision_score(truth, flag, sample_weight=weight)
    )


def test_weights_are_copies_of_points() -> None:
    score, truth, weight = _case(11)
    copies = np.repeat(np.arange(score.size), weight.astype(int))
    ranking, longer = Ranking(score, truth), Ranking(score[copies], truth[copies])
    for figure in (average_precision, area_under_roc, precision_at_budget):
        assert figure(ranking, weight) == pytest.approx(figure(longer), abs=1e-12)


def test_precision_at_budget_by_hand() -> None:
    truth = np.array([1, 0, 1, 0, 0, 1], bool)
    ranking = Ranking(np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1]), truth)
    assert precision_at_budget(ranking) == pytest.approx(2 / 3)
    assert precision_at_budget(ranking, share=1 / 6) == 1.0
    # Three of four equal scores are flagged, half of them bad.
    tied = Ranking(np.full(4, 0.5), np.array([1, 1, 0, 0], bool))
    assert precision_at_budget(tied, share=0.75) == pytest.approx(0.5)


def test_a_point_without_score_ranks_last() -> None:
    truth = np.array([True, False, False])
    assert average_precision(Ranking(np.array([np.nan, 0.1, 0.2]), truth)) == pytest.approx(1 / 3)
    assert not flag_budget(np.array([np.nan, 0.1, 0.2]), 3)[0]


def test_figures_without_a_meaning_are_nan() -> None:
    good = Ranking(np.array([0.1, 0.2]), np.zeros(2, bool))
    assert np.isnan(average_precision(good))
    assert np.isnan(area_under_roc(good))
    assert np.isnan(precision_at_budget(good))
    assert np.isnan(recall(np.ones(2, bool), np.zeros(2, bool)))
    assert np.isnan(precision(np.zeros(2, bool), np.ones(2, bool)))
    empty = Ranking(np.empty(0), np.empty(0, bool))
    assert np.isnan(average_precision(empty))
    assert np.isnan(area_under_roc(empty))


def test_events_are_hit_by_half_of_their_points() -> None:
    event = np.array([4, 4, -1, 9, 9, 9, 4, 4, 7])
    flag = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0], bool)
    hits = event_hits(flag, event)
    assert dict(zip(hits.event.tolist(), hits.hit.tolist(), strict=True)) == {
        4: True,
        7: False,
        9: False,
    }
    assert hits.point.tolist() == [0, 8, 3]
    assert event_recall(hits) == pytest.approx(1 / 3)
    weight = np.zeros(9)
    weight[[0, 3]] = [3, 1]
    assert event_recall(hits, weight) == pytest.approx(3 / 4)
    assert np.isnan(event_recall(event_hits(flag, np.full(9, -1))))


@pytest.mark.parametrize(("budget", "expected"), [(0, 0), (1, 1), (2, 1), (3, 3), (4, 4), (9, 4)])
def test_a_budget_is_never_exceeded(budget: int, expected: int) -> None:
    flag = flag_budget(np.array([0.2, 0.9, 0.5, 0.5]), budget)
    assert flag.sum() == expected
    assert budget == 0 or flag[1]


def test_tracks_are_drawn_whole() -> None:
    track = np.array([7, 7, 7, 2, 2, 5])
    seen = []
    TrackBootstrap(track, 50, seed=1).values(lambda weight: seen.append(weight) or 0.0)
    weights = np.array(seen)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, 0] + weights[:, 3] + weights[:, 5] == 3).all()
    assert len(np.unique(weights, axis=0)) > 5


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    track = np.repeat(np.arange(60), 20)
    held = 0
    for seed in range(60):
        # Whole tracks are flagged or not: points would give intervals that are far too narrow.
        flag = np.repeat(rng.random(60) < 0.4, 20)
        truth = np.ones(1200, bool)
        figure = TrackBootstrap(track, 150, seed).interval(
            lambda weight, f=flag, t=truth: recall(f, t, weight)
        )
        held += figure.low <= 0.4 <= figure.high
    assert 50 <= held <= 60
