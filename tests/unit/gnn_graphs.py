"""Small made graphs for the tests of the graph network."""

import numpy as np

from bedsieve.detectors.nets.sampling import Graph


def line_graph(n: int, k: int = 4, seed: int = 0, empty: float = 0.2, inputs: int = 14) -> Graph:
    """Nodes along a line, each with k drawn neighbours at most k places away, some slots empty."""
    rng = np.random.default_rng(seed)
    steps = np.concatenate([np.arange(-k, 0), np.arange(1, k + 1)])
    chosen = np.stack([rng.permutation(steps)[:k] for _ in range(n)])
    neighbour = np.arange(n)[:, None] + chosen
    missing = (neighbour < 0) | (neighbour >= n) | (rng.random((n, k)) < empty)
    neighbour = np.where(missing, -1, neighbour).astype(np.int32)
    distance = rng.uniform(2, 8, (n, k))
    slope = rng.normal(0, 0.06, (n, k))
    distance[missing] = slope[missing] = 0
    x = rng.normal(size=(n, inputs)).astype(np.float32)
    return Graph(x, neighbour, distance.astype(np.float16), slope.astype(np.float16), 0.0586)
