"""Passes with dropout on a CPU: layer by layer, in one go, and that in half the bits, by turns in one process.

``python -m bench.dropout`` asks a network of study B's sizes about points in the order of space, as `local_entropy`
does. Layer by layer is what a GPU is given (`logits_by_layers`): a pass at a time, products and masks by torch, the gated mean
and the end of a layer by kernels of ours. Half the bits are for processors that multiply them in hardware:
``ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16`` and ``AVX512_CORE`` show what those without AMX, or without any such instruction, make of them.
"""

from __future__ import annotations

import statistics
import sys
from functools import partial
from unittest import mock

import numpy as np
import torch

from bedsieve.detectors.nets import monte_carlo
from bedsieve.detectors.nets.gated_sage import GatedSage
from bedsieve.detectors.nets.hashed_dropout import HashedDropout
from bedsieve.detectors.nets.monte_carlo import infer_passes, logits_by_layers
from bench.gnn import made_graph
from bench.side_by_side import seconds

POINTS, ASKED, PASSES, ROUNDS = 100_000, 16_384, 50, 3


def main() -> int:
    """Print medians of processor time a point and pass, and how far logits differ."""
    torch.manual_seed(0)
    net, graph = GatedSage().eval(), made_graph(POINTS)
    ids = np.arange(POINTS, dtype=np.uint64)
    ask = partial(
        infer_passes, net, graph, np.arange(ASKED), ids, HashedDropout(0.111, 0), passes=PASSES
    )
    found: dict[str, np.ndarray] = {}

    def layer_by_layer() -> None:
        with mock.patch.object(
            monte_carlo, "logits_on_cpu", lambda *asked: logits_by_layers(*asked[:6])
        ):
            found["layers"] = ask()

    def ours(precision: str) -> None:
        found[precision] = ask(precision=precision)

    ways = {
        "layers": layer_by_layer,
        "float32": partial(ours, "float32"),
        "bfloat16": partial(ours, "bfloat16"),
    }
    for way in ways.values():
        way()
    times = [[seconds(way)[1] for way in ways.values()] for _ in range(ROUNDS)]
    spread = found["layers"].std(1).mean()
    for number, name in enumerate(ways):
        each = [a[number] for a in times]
        ratio = statistics.median(a[0] / a[number] for a in times)
        apart = np.abs(found[name] - found["layers"])
        print(
            f"{name}: {1e6 * statistics.median(each) / ASKED / PASSES:.1f} µs of processor time a point and "
            f"pass, {ratio:.2f} times as fast as layer by layer; logits differ by {apart.mean() / spread:.1e} of their "
            f"standard deviation over passes, at most {apart.max() / spread:.1e}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
