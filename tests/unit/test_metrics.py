"""Metrics against scikit-learn and hand-worked cases; bootstrap over tracks; calibrated thresholds."""

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
    evaluate,
    event_hits,
    event_recall,
    flag_budget,
    paired_difference,
    precision,
    precision_at_budget,
    recall,
)
from bedsieve.evaluation.threshold import fdr_threshold


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


def test_evaluate_gives_every_figure_and_is_repeatable() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(3000) < 0.05
    score = rng.random(3000) + 0.8 * truth
    track = np.arange(3000) // 50
    event = np.where(truth, np.arange(3000) // 10, -1)
    figures = evaluate(score, truth, track, event, replicates=50, seed=2)
    assert set(figures) == {
        "average_precision",
        "auc",
        "precision_at_budget",
        "recall",
        "precision",
        "event_recall",
    }
    for figure in figures.values():
        assert 0 <= figure.low <= figure.value <= figure.high <= 1
        assert figure.low < figure.high
    assert figures == evaluate(score, truth, track, event, replicates=50, seed=2)
    assert figures["recall"].value == figures["precision"].value


def test_paired_differences_are_narrower_than_their_parts() -> None:
    rng = np.random.default_rng(6)
    truth = rng.random(4000) < 0.05
    track = np.arange(4000) // 100
    score = rng.random(4000) + truth * np.repeat(rng.random(40), 100)
    worse = score + 0.05 * rng.normal(size=4000)
    difference = paired_difference(score, worse, truth, track, replicates=100)
    alone = evaluate(score, truth, track, replicates=100)["average_precision"]
    assert difference.high - difference.low < (alone.high - alone.low) / 2
    same = paired_difference(score, score, truth, track, replicates=20)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_a_threshold_by_hand() -> None:
    # One good point more is assumed: at 0.3 two of eight would be false, (1 + 1)/(6 + 2).
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05])
    truth = np.array([1, 1, 1, 1, 1, 0, 1, 0, 0, 0], bool)
    got = fdr_threshold(score, truth, 0.25)
    assert got.value == 0.3
    assert got.fdr == pytest.approx(0.25)
    assert got.recall == 1.0
    assert got.flagged == 7
    # 1/6 at 0.5, where five bad are flagged.
    assert fdr_threshold(score, truth, 0.2).value == 0.5
    assert fdr_threshold(score, truth, 0.1).value == np.inf


def test_a_rarer_prior_raises_the_threshold() -> None:
    rng = np.random.default_rng(7)
    truth = rng.random(20_000) < 0.06
    score = rng.normal(size=20_000) + 3 * truth
    plain = fdr_threshold(score, truth, 0.2)
    rare = fdr_threshold(score, truth, 0.2, prior=0.005)
    assert rare.value > plain.value
    # On a population of that rarity the promise is kept.
    population = rng.random(200_000) < 0.005
    fresh = rng.normal(size=200_000) + 3 * population
    false = 1 - precision(fresh >= rare.value, population)
    assert false == pytest.approx(0.2, abs=0.06)
    assert 1 - precision(fresh >= plain.value, population) > 0.4


def test_no_threshold_where_nothing_can_be_promised() -> None:
    nothing = fdr_threshold(np.array([0.1, np.nan]), np.array([False, True]), 0.2)
    assert nothing.value == np.inf
    assert nothing.flagged == 0
    assert fdr_threshold(np.array([0.3]), np.array([True]), 0.2).value == np.inf
    with pytest.raises(ValueError, match="level"):
        fdr_threshold(np.zeros(2), np.array([True, False]), 1.5)
    with pytest.raises(ValueError, match="prior"):
        fdr_threshold(np.zeros(2), np.array([True, False]), 0.5, prior=0.0)
