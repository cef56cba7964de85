"""What torch.compile gains for the graph network on a CPU, beside the network as it is, by turns in one process.

``python -m bench.gnn_compile`` measures a training step (8 runs of the space order, study B's sizes) and
inference. Compiled is what torch runs between the aggregations: linear maps, normalisation, GELU, dropout and
residual. The aggregation itself, and in inference the end of a layer, are compiled kernels of ours, which torch
can't look into. Needs a C++ compiler.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
import torch

from bedsieve.detectors.nets import gated_sage
from bedsieve.detectors.nets.gated_sage import GatedSage
from bedsieve.detectors.nets.inference import infer
from bedsieve.detectors.nets.sampling import NeighbourSampler, batches
from bench.gnn import STUDY, TrainingStep, made_graph
from bench.side_by_side import seconds

POINTS, SCORED, ROUNDS = 400_000, 32_768, 7


def compiled(net: GatedSage) -> GatedSage:
    """The same network, each layer's update compiled for blocks of any size."""
    for layer in net.stack:
        layer.update = torch.compile(layer.update, dynamic=True)  # type: ignore[method-assign]
    return net


def main() -> int:
    """Print medians and the median ratio of each pair."""
    torch.manual_seed(0)
    graph = made_graph(POINTS)
    sampler, rng, rows = NeighbourSampler(graph), np.random.default_rng(0), np.arange(SCORED)
    seeds = batches(np.arange(POINTS), STUDY.batch, rng, runs=8)
    blocks = [sampler.block(s, STUDY.fanout, key) for key, s in enumerate(seeds[: ROUNDS + 2])]
    ours = ("gated_mean", "finish", "finish_training")
    shut = {name: torch.compiler.disable(getattr(gated_sage, name)) for name in ours}
    with mock.patch.multiple(gated_sage, **shut):
        nets = {"as it is": GatedSage(), "compiled": compiled(GatedSage())}
        training = {name: TrainingStep(net) for name, net in nets.items()}
        scoring = {"as it is": GatedSage().eval(), "compiled": compiled(GatedSage().eval())}
        place = iter(range(10**6))

        def step(name: str) -> None:
            at = next(place) // len(nets) % len(blocks)
            x = sampler.features(blocks[at], torch.device("cpu"))
            training[name].step(seeds[at], x, blocks[at])

        _report("training step", step)
        _report("inference", lambda name: infer(scoring[name], graph, rows))
    return 0


def _report(what: str, work: Callable[[str], object]) -> None:
    names = ("as it is", "compiled")
    start = time.perf_counter()
    for _ in range(2):
        for name in names:
            work(name)
    print(f"{what}: {time.perf_counter() - start:.0f} s to warm up, compiling included", flush=True)
    times = [[seconds(lambda: work(name)) for name in names] for _ in range(ROUNDS)]  # noqa: B023
    for number, kind in enumerate(("elapsed", "processor")):
        plain, quick = ([pair[i][number] for pair in times] for i in range(2))
        ratio = statistics.median(a / b for a, b in zip(plain, quick, strict=True))
        middle = ", ".join(
            f"{n} {statistics.median(t):.2f} s" for n, t in zip(names, (plain, quick), strict=True)
        )
        print(f"  {kind}: {middle}, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
