"""How good scores are against a truth: figures with intervals over tracks.

In: a score a point (NaN: the detector gave none, ranked last, so that abstaining earns nothing), the
truth, the track and, for events, the event of each point. Out: each figure with a bootstrap interval.
Points of a track are not independent, so tracks are drawn, not points: a replicate gives every track
a multiplicity, which weights its points, and no point is ever copied or sorted again. Agrees with
scikit-learn's weighted metrics, ties included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HIT_SHARE = 0.5
"""An event is hit when at least this share of its points is flagged."""


@dataclass(frozen=True)
class Figure:
    """A figure and its bootstrap interval; NaN where it is not defined, as recall without bad points."""

    value: float
    low: float
    high: float


class Ranking:
    """Points in falling order of score, ready for many weightings of their tracks.

    Parameters
    ----------
    score : (n,) float array
        Higher is more anomalous; NaN ranks below every number.
    truth : (n,) bool array
        Whether the point is bad.
    """

    def __init__(self, score: npt.NDArray[Any], truth: npt.NDArray[Any]) -> None:
        values = np.where(np.isnan(score), -np.inf, np.asarray(score, np.float64))
        self.order = np.argsort(-values, kind="stable")
        falling = values[self.order]
        self.bad = np.asarray(truth, bool)[self.order]
        # Points with equal scores can only be flagged together.
        self.ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))[: falling.size]

    def counts(self, weight: Floats | None = None) -> tuple[Floats, Floats]:
        """Weight of the bad and of all points down to the end of each group of equal scores."""
        sorted_weight = np.ones(self.order.size) if weight is None else weight[self.order]
        hits = np.cumsum(sorted_weight * self.bad)[self.ends]
        return hits, np.cumsum(sorted_weight)[self.ends]


def _ratio(part: float | np.floating[Any], whole: float | np.floating[Any]) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def average_precision(ranking: Ranking, weight: Floats | None = None) -> float:
    """Mean precision over the bad points, as each is reached (no interpolation)."""
    hits, flagged = ranking.counts(weight)
    if hits.size == 0 or hits[-1] <= 0:
        return float("nan")
    precision = hits / np.where(flagged > 0, flagged, 1.0)
    return float(np.sum(np.diff(hits, prepend=0.0) * precision) / hits[-1])


def area_under_roc(ranking: Ranking, weight: Floats | None = None) -> float:
    """Chance that a bad point scores above a good one; a tie counts half."""
    hits, flagged = ranking.counts(weight)
    if hits.size == 0:
        return float("nan")
    false = flagged - hits
    step = np.diff(false, prepend=0.0)
    reached = hits - np.diff(hits, prepend=0.0) / 2
    return _ratio(np.sum(step * reached), hits[-1] * false[-1])


def precision_at_budget(
    ranking: Ranking, weight: Floats | None = None, *, share: float | None = None
) -> float:
    """Precision when as many points are flagged as there are bad ones, or a share of all.

    A budget that ends within equal scores takes their mean precision, which is what a random choice
    among them gives.
    """
    hits, flagged = ranking.counts(weight)
    if hits.size == 0:
        return float("nan")
    budget = hits[-1] if share is None else share * flagged[-1]
    return _ratio(np.interp(budget, np.append(0.0, flagged), np.append(0.0, hits)), budget)


def recall(flag: Bools, truth: Bools, weight: Floats | None = None) -> float:
    """Share of the bad points that is flagged."""
    weight = np.ones(len(flag)) if weight is None else weight
    return _ratio(np.sum(weight * (flag & truth)), np.sum(weight * truth))


def precision(flag: Bools, truth: Bools, weight: Floats | None = None) -> float:
    """Share of the flagged points that is bad."""
    weight = np.ones(len(flag)) if weight is None else weight
    return _ratio(np.sum(weight * (flag & truth)), np.sum(weight * flag))


@dataclass(frozen=True)
class EventHits:
    """Events, whether each is hit, and the track each lies on.

    Parameters
    ----------
    event : (m,) int64 array
        Number of each event.
    hit : (m,) bool array
        Whether at least half of its points are flagged.
    point : (m,) int64 array
        One point of each event: its track is the event's.
    """

    event: Ints
    hit: Bools
    point: Ints


def event_hits(flag: Bools, event: npt.NDArray[np.integer[Any]]) -> EventHits:
    """Which events are hit.

    Parameters
    ----------
    flag : (n,) bool array
        Flagged points.
    event : (n,) int array
        Number of the event that a point belongs to; negative for none.
    """
    inside = np.flatnonzero(event >= 0)
    names, first, which = np.unique(event[inside], return_index=True, return_inverse=True)
    points = np.bincount(which, minlength=names.size)
    flagged = np.bincount(which, weights=flag[inside].astype(float), minlength=names.size)
    return EventHits(names.astype(np.int64), flagged >= HIT_SHARE * points, inside[first])


def event_recall(hits: EventHits, weight: Floats | None = None) -> float:
    """Share of the events that is hit; `weight` is by point, as for the other figures."""
    own = np.ones(hits.event.size) if weight is None else weight[hits.point]
    return _ratio(np.sum(own * hits.hit), np.sum(own))


def flag_budget(score: npt.NDArray[Any], budget: int) -> Bools:
    """Flag the highest scores, at most `budget` points, equal scores together or not at all."""
    values = np.where(np.isnan(score), -np.inf, np.asarray(score, np.float64))
    if budget >= values.size:
        return np.isfinite(values)
    bar = np.partition(values, values.size - budget - 1)[values.size - budget - 1]
    return np.asarray(values > bar)


class TrackBootstrap:
    """Replicates of a data set by drawing its tracks with replacement.

    Parameters
    ----------
    track : (n,) int array
        Track of each point, unique over surveys.
    replicates : int
        200 give a 95 % interval to a few per cent of its width.
    seed : int
        Of the draws; the same for all figures, so that differences between detectors are paired.
    """

    def __init__(
        self, track: npt.NDArray[np.integer[Any]], replicates: int = 200, seed: int = 0
    ) -> None:
        names, self._which = np.unique(track, return_inverse=True)
        tracks = names.size
        rng = np.random.default_rng(seed)
        self._multiplicity = (
            rng.multinomial(tracks, np.full(tracks, 1 / tracks), size=replicates)
            if tracks
            else np.zeros((replicates, 0), np.int64)
        )

    def values(self, figure: Callable[[Floats | None], float]) -> Floats:
        """The figure on every replicate; `figure` takes the weight of each point."""
        return np.array([figure(row.astype(float)[self._which]) for row in self._multiplicity])

    def interval(self, figure: Callable[[Floats | None], float], level: float = 0.95) -> Figure:
        """The figure on the data and its percentile interval, over replicates that define it."""
        drawn = self.values(figure)
        drawn = drawn[np.isfinite(drawn)]
        value = figure(None)
        if drawn.size == 0:
            return Figure(value, float("nan"), float("nan"))
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return Figure(value, float(low), float(high))
