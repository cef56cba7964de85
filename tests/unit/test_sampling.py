"""Blocks drawn from a graph of fixed degree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.detectors.nets.sampling import Graph, NeighbourSampler, batches
from bedsieve.errors import BedsieveError
from tests.unit.gnn_graphs import line_graph


def _edges_of(graph: Graph, block) -> set[tuple[int, int]]:
    node, slot = np.nonzero(block.neighbour >= 0)
    return set(
        zip(
            block.nodes[node].tolist(),
            block.nodes[block.neighbour[node, slot]].tolist(),
            strict=True,
        )
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_a_block_is_a_part_of_the_graph(seed: int, first: int, second: int) -> None:
    graph = line_graph(120, k=4, seed=seed)
    seeds = np.random.default_rng(seed).permutation(120)[:15]
    block = NeighbourSampler(graph).block(seeds, (first, second), key=seed)
    assert np.array_equal(block.nodes[:15], seeds)
    assert np.unique(block.nodes).size == block.nodes.size == block.bounds[-1]
    for row, node in enumerate(block.nodes[: block.bounds[1]]):
        fanout = first if row < 15 else second
        table = graph.neighbour[node]
        drawn = block.nodes[block.neighbour[row][block.neighbour[row] >= 0]]
        assert drawn.size == np.unique(drawn).size == min(fanout, (table >= 0).sum())
        for place, j in enumerate(drawn):
            s = int(np.flatnonzero(table == j)[0])
            assert block.edge[row, place, 0] == np.float32(graph.log1p_dist[node, s])
            slope = np.float32(graph.log_slope[node, s]) / np.float32(graph.g_scale)
            assert block.edge[row, place, 1] == np.float32(np.clip(slope, -12, 12))
        assert not block.edge[row][drawn.size :].any()


def test_full_fanout_is_the_whole_neighbourhood_in_table_order() -> None:
    graph = line_graph(50)
    block = NeighbourSampler(graph).block(np.array([20]), (9, 9), key=3)
    hop1 = graph.neighbour[20][graph.neighbour[20] >= 0]
    assert block.nodes[1 : block.bounds[1]].tolist() == hop1.tolist()
    expected = {(20, int(j)) for j in hop1}
    expected |= {(int(i), int(j)) for i in hop1 for j in graph.neighbour[i] if j >= 0}
    assert _edges_of(graph, block) == expected


def test_draws_depend_on_key_and_node_only() -> None:
    graph = line_graph(400, empty=0)
    sampler = NeighbourSampler(graph)
    one = sampler.block(np.arange(100), (2, 2), key=7)
    again = sampler.block(np.arange(100), (2, 2), key=7)
    assert np.array_equal(one.nodes, again.nodes)
    assert np.array_equal(one.neighbour, again.neighbour)
    reversed_ = sampler.block(np.arange(100)[::-1], (2, 2), key=7)
    assert _edges_of(graph, one) == _edges_of(graph, reversed_)
    assert _edges_of(graph, one) != _edges_of(graph, sampler.block(np.arange(100), (2, 2), key=8))


def test_edge_features_can_be_left_out() -> None:
    sampler = NeighbourSampler(line_graph(200))
    whole = sampler.block(np.arange(50), (3, 2), key=7)
    bare = sampler.block(np.arange(50), (3, 2), key=7, edges=False)
    assert np.array_equal(bare.nodes, whole.nodes)
    assert np.array_equal(bare.neighbour, whole.neighbour)
    assert bare.edge.shape == (0, 3, 2)


def test_every_neighbour_is_drawn_equally_often() -> None:
    n, k, keys = 40, 8, 2500
    neighbour = np.tile(np.arange(1, k + 1, dtype=np.int32), (n, 1))
    graph = Graph(np.zeros((n, 1), np.float32), neighbour, *np.zeros((2, n, k), np.float16), 1.0)
    sampler = NeighbourSampler(graph)
    count = np.zeros(n)
    for key in range(keys):
        count[sampler.block(np.array([20]), (3,), key).nodes[1:]] += 1
    expected = keys * 3 / k
    # Each count is binomial(2500, 3/8): five standard deviations are 121.
    assert np.abs(count[1 : k + 1] - expected).max() < 121


def test_forbidden_nodes_are_never_met() -> None:
    graph = line_graph(200)
    allowed = np.arange(200) < 100
    block = NeighbourSampler(graph, allowed).block(np.arange(80, 100), (4, 4, 4), key=1)
    assert block.nodes.max() < 100


def test_a_table_that_ends_too_early_is_refused_and_the_sampler_stays_usable() -> None:
    graph = line_graph(100, empty=0)
    short = Graph(
        graph.x, graph.neighbour[:50], graph.log1p_dist[:50], graph.log_slope[:50], graph.g_scale
    )
    sampler = NeighbourSampler(short)
    with pytest.raises(BedsieveError, match=r"graph\.hops = 3"):
        sampler.block(np.arange(40, 50), (4, 4, 4), key=0)
    assert sampler.block(np.arange(10), (4, 4), key=0).bounds[0] == 10


def test_a_seed_twice_is_refused() -> None:
    with pytest.raises(BedsieveError, match="twice"):
        NeighbourSampler(line_graph(10)).block(np.array([1, 1]), (2,), key=0)


@pytest.mark.parametrize("runs", [None, 4])
def test_batches_hold_each_seed_once(runs: int | None) -> None:
    seeds = np.arange(1000) * 3
    parts = batches(seeds, 128, np.random.default_rng(0), runs)
    assert np.array_equal(np.sort(np.concatenate(parts)), seeds)
    assert max(part.size for part in parts) <= 128
    other = batches(seeds, 128, np.random.default_rng(1), runs)
    assert not np.array_equal(parts[0], other[0])
    if runs:
        jumps = (np.diff(parts[0]) != 3).sum()
        assert jumps <= runs - 1
