"""Every kernel that runs in parts gives the same bytes on one thread as in the smallest parts on several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from bedsieve import kernels
from bedsieve.detectors.along_track import along_track
from bedsieve.detectors.gae_neighbours import surroundings
from bedsieve.detectors.gae_strata import stratum_of
from bedsieve.detectors.order_statistics import median
from bedsieve.detectors.segments_chain import posterior
from bedsieve.detectors.segments_kriging import expected_from_other_lines
from bedsieve.detectors.segments_nodes import make_nodes
from bedsieve.detectors.segments_steps import track_steps
from bedsieve.evaluation.bootstrap_kernels import ranking_figures
from bedsieve.graph.edges import edge_features
from bedsieve.graph.knn import nearest
from bedsieve.simulate.scale import track_points

N = 3_000
_RNG = np.random.default_rng(0)
EAST, NORTH = _RNG.uniform(0, 6_000, (2, N))
LINE = np.sort(_RNG.integers(0, 12, N))
THICKNESS = 1_500 + 0.05 * EAST + _RNG.normal(0, 30, N)
FIRST = np.append(np.flatnonzero(np.diff(LINE, prepend=-1)), N).astype(np.int64)
IDS = np.arange(N, dtype=np.uint64)


def _neighbours() -> tuple[Any, ...]:
    return tuple(nearest(EAST, NORTH, IDS, k=6, line=LINE, min_tracks=3))


def _chain() -> tuple[Any, ...]:
    step, scale, gap = track_steps(THICKNESS, EAST, NORTH, FIRST)
    sigma, lines = np.full(N, 40.0), np.ones(N, np.int64)
    residual = np.where(np.arange(N) % 7 == 0, 90.0, 3.0)
    equal, p_equal = np.zeros(N, bool), np.full(N, 0.01)
    return posterior(residual, sigma, lines, step, scale, gap, equal, p_equal, FIRST)


def _surroundings() -> tuple[Any, ...]:
    points = pl.DataFrame({"east": EAST, "north": NORTH, "ice_thickness": THICKNESS})
    return tuple(surroundings(points, _neighbours()[0], N))


def _figures() -> Any:
    rng = np.random.default_rng(1)
    kind = np.where(rng.random(N) < 0.1, 0, -1).astype(np.int8)
    weight = rng.integers(0, 3, (5, 12)).astype(float)
    counts = np.stack([np.bincount(LINE, kind >= 0, 12)] * 2, 1)
    return ranking_figures(THICKNESS, kind, LINE.astype(np.int32), weight, weight @ counts)


CASES: dict[str, Callable[[], Any]] = {
    "along_track": lambda: tuple(along_track(THICKNESS, LINE).values()),
    "chain": _chain,
    "edges": lambda: edge_features(EAST, NORTH, THICKNESS, _neighbours()[0]),
    "figures": _figures,
    "kriging": lambda: expected_from_other_lines(
        EAST, NORTH, make_nodes(EAST, NORTH, THICKNESS, LINE)
    ),
    "median": lambda: median(np.tile(THICKNESS, 200).astype(np.float32), 1_500.0),
    "neighbours": _neighbours,
    "simulate": lambda: tuple(track_points(4_000, seed=2).values()),
    "strata": lambda: stratum_of(np.stack([EAST, NORTH], 1), np.array([[0.0, 0.0], [4e3, 4e3]])),
    "surroundings": _surroundings,
}


@pytest.mark.parametrize("case", CASES)
def test_parts_and_threads_change_no_byte(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(kernels, "get_num_threads", lambda: asked.append(1) or 1)
    whole = CASES[case]()
    monkeypatch.setattr(kernels, "get_num_threads", lambda: 3)
    monkeypatch.setattr(kernels, "_PARTS", 1_000)
    in_parts = CASES[case]()
    assert asked  # a case that runs no kernel in parts tests nothing
    for one, other in zip(np.atleast_1d(whole), np.atleast_1d(in_parts), strict=True):
        np.testing.assert_array_equal(one, other)
