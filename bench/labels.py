"""Verdicts on double hits beside the same rules in numpy and scipy, pair by pair.

Rates are pairs, not points: ours_mps and peer_mps are millions of pairs a second, over runs of pairs from the whole
area. Making the index of the points is not in them; index_mps is its rate (M points/s). The peer judges a sample
of the pairs; where it and ours differ, the benchmark fails.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from bedsieve.graph.crossovers import line_of
from bedsieve.graph.double_hits import double_hits
from bedsieve.labels.support import Rules, SupportIndex, support_index
from bedsieve.labels.verdict import VERDICTS, judge_pairs
from bedsieve.simulate.scale import track_points
from bench.side_by_side import REPEATS, peak_bytes, seconds

SAMPLE = 300
MOST, RUN = 500_000, 1_000


class NumpyLabels:
    """The rules of study B as one would write them with numpy and scipy."""

    def __init__(self, points: dict[str, np.ndarray], line: np.ndarray) -> None:
        from scipy.spatial import cKDTree

        self.xy = np.column_stack([points["east"], points["north"]])
        self.h, self.line = points["ice_thickness"], line
        self.survey, self.ids = points["survey_no"], points["point_id"]
        self.tree = cKDTree(self.xy)
        self.rules = Rules()

    def _too_few(self, support: np.ndarray) -> str | None:
        rules = self.rules
        if np.unique(self.line[support]).size < rules.min_tracks:
            return "too_few_tracks"
        if np.unique(self.survey[support]).size < rules.min_surveys:
            return "too_few_surveys"
        return "too_few_points" if support.size < rules.min_points else None

    def _nearest(self, support: np.ndarray) -> np.ndarray:
        from scipy.spatial import cKDTree

        return support[cKDTree(self.xy[support]).query(self.xy[support], 5)[1][:, 1:]]

    def verdict(self, a: int, b: int) -> str:
        """The verdict on one pair."""
        rules, xy, h = self.rules, self.xy, self.h
        middle = 0.5 * (xy[a] + xy[b])
        support = np.array(self.tree.query_ball_point(middle, rules.support_radius))
        d2 = ((xy[support] - middle) ** 2).sum(axis=1)
        support = support[np.lexsort((self.ids[support], d2))[: rules.cap]]
        support = support[(support != a) & (support != b)]
        if cause := self._too_few(support):
            return cause
        eta = max(rules.eta_floor, rules.eta_share * np.median(h[support]))
        jump = np.abs(h[self._nearest(support)] - h[support][:, None]).max(axis=1)
        calm = support[jump <= rules.max_jump]
        if self._too_few(calm):
            return f"{self._too_few(calm)}_after"
        top, bottom = calm[h[calm].argmax()], calm[h[calm].argmin()]
        slope = 2 * (h[top] - h[bottom]) / np.hypot(*(xy[top] - xy[bottom]))
        near = self._nearest(calm)
        distance = np.sqrt(((xy[near] - xy[calm][:, None]) ** 2).sum(axis=2))
        inside = np.abs(h[near] - h[calm][:, None]) <= slope * distance + 2 * eta
        clean = calm[inside.all(axis=1)]
        if cause := self._too_few(clean):
            return f"{cause}_after"
        if support.size - clean.size > rules.max_removed * support.size:
            return "too_much_removed"
        around, passes = zip(*(self._candidate(c, clean, slope, eta) for c in (a, b)), strict=True)
        if not all(around):
            return "octant_missing_" + ("a" if around[1] else "b" if around[0] else "both")
        if all(passes):
            apart = np.hypot(*(xy[a] - xy[b]))
            return (
                "inlier_inlier" if abs(h[a] - h[b]) <= 2 * slope * apart + 2 * eta else "disagree"
            )
        return ("inlier_outlier" if passes[0] else "outlier_inlier") if any(passes) else "both_fail"

    def _candidate(self, c: int, clean: np.ndarray, slope: float, eta: float) -> tuple[bool, bool]:
        other = clean[self.line[clean] != self.line[c]]
        offset = self.xy[other] - self.xy[c]
        octants = np.floor(np.arctan2(offset[:, 1], offset[:, 0]) % (2 * np.pi) / (np.pi / 4))
        band = slope * np.sqrt((offset**2).sum(axis=1)) + 2 * eta
        return np.unique(octants).size == 8, bool((np.abs(self.h[other] - self.h[c]) <= band).all())


def run(n: int) -> list[dict[str, Any]]:
    """One row for n points, with the share of each verdict."""
    points = track_points(n)
    line = line_of(points["survey_no"], points["track_id"])
    east, north, ids = points["east"], points["north"], points["point_id"]
    thickness, survey = points["ice_thickness"], points["survey_no"]
    a, b = double_hits(east, north, line, ids)

    def indexed() -> tuple[SupportIndex, np.ndarray]:
        return support_index(east, north, thickness, line, survey, ids, Rules())

    index_s = seconds(indexed)[0]
    index, place = indexed()
    order = np.argsort(place[a], kind="stable")
    a, b = spread(a[order]), spread(b[order])

    def ours() -> np.ndarray:
        return judge_pairs(index, Rules(), place[a], place[b]).verdict

    verdict = ours()
    sample = np.random.default_rng(0).choice(a.size, min(SAMPLE, a.size), replace=False)
    peer = NumpyLabels(points, line)
    if any(peer.verdict(a[i], b[i]) != VERDICTS[verdict[i]] for i in sample):
        raise ValueError("numpy and bedsieve judge a pair differently")
    mine = [seconds(ours) for _ in range(REPEATS)]
    theirs = [seconds(lambda: [peer.verdict(a[i], b[i]) for i in sample])[0] for _ in mine]
    rate = a.size / statistics.median(elapsed for elapsed, _ in mine)
    peer_rate = sample.size / statistics.median(theirs)
    return [
        {
            "stage": "labels (M pairs/s)",
            "n": n,
            "pairs": int(order.size),
            "judged": int(a.size),
            "index_mps": n / index_s / 1e6,
            "ours_mps": rate / 1e6,
            "ours_cpu_us_per_pair": 1e6 * statistics.median(cpu for _, cpu in mine) / a.size,
            "peer": "numpy + cKDTree",
            "peer_mps": peer_rate / 1e6,
            "ratio": rate / peer_rate,
            "bytes_per_point": peak_bytes(indexed) / n,
            "verdicts": {name: int((verdict == k).sum()) for k, name in enumerate(VERDICTS)},
        }
    ]


def spread(pairs: np.ndarray) -> np.ndarray:
    """Some `MOST` of many pairs: runs of them in their order, from one end to the other."""
    every = -(-pairs.size // MOST)
    return np.concatenate([pairs[at : at + RUN] for at in range(0, pairs.size, RUN * every)])
