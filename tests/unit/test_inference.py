"""Inference in blocks and over tiles gives what one pass over the whole graph gives."""

from threading import Barrier

import numpy as np
import pytest
import torch

from bedsieve.detectors.nets.gated_sage import GatedSage
from bedsieve.detectors.nets.inference import infer
from bedsieve.detectors.nets.kernel_threads import side_by_side
from bedsieve.detectors.nets.sampling import Block, Graph, NeighbourSampler
from bedsieve.errors import BedsieveError
from tests.unit.gnn_graphs import line_graph

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTHS = (40, 40, 20)


def _net(gated: bool = True, widths: tuple[int, ...] = WIDTHS) -> GatedSage:
    torch.manual_seed(3)
    return GatedSage(widths=widths, latent=12, head=6, gated=gated).eval()


def _whole(net: GatedSage, graph: Graph) -> np.ndarray:
    """Every layer on every node: no blocks at all."""
    n = graph.x.shape[0]
    edge = np.stack(
        [
            graph.log1p_dist.astype(np.float32),
            np.clip(graph.log_slope.astype(np.float32) / np.float32(graph.g_scale), -12, 12),
        ],
        2,
    )
    block = Block(np.arange(n), (n,) * (len(net.layers) + 1), graph.neighbour, edge)
    with torch.no_grad():
        return net(torch.from_numpy(graph.x), block).numpy()


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("block", [1, 37, 500])
def test_blocks_equal_the_whole_graph(gated: bool, block: int) -> None:
    graph, net = line_graph(260), _net(gated)
    logit, state = infer(net, graph, np.arange(260), block=block, embedding=True)
    np.testing.assert_allclose(logit, _whole(net, graph), atol=1e-5)
    with torch.no_grad():
        again = net.head(torch.from_numpy(state)).squeeze(1).numpy()
    np.testing.assert_allclose(again, logit, atol=1e-5)


def test_blocks_larger_than_a_chunk_equal_the_whole_graph() -> None:
    graph, net = line_graph(5000), _net()
    logit, _ = infer(net, graph, np.arange(5000))
    np.testing.assert_allclose(logit, _whole(net, graph), atol=1e-5)


def test_four_layers_and_few_rows() -> None:
    graph, net = line_graph(100), _net(widths=(16, 16, 16, 8))
    rows = np.array([90, 3, 41])
    logit, _ = infer(net, graph, rows)
    np.testing.assert_allclose(logit, _whole(net, graph)[rows], atol=1e-5)
    assert infer(net, graph, np.arange(0))[0].shape == (0,)


@pytest.mark.parametrize("size", [30, 64, 150])
def test_tiled_equals_untiled(size: int) -> None:
    graph, net = line_graph(300), _net()
    want, _ = infer(net, graph, np.arange(300))
    for start in range(0, 300, size):
        core = np.arange(start, min(start + size, 300))
        order, rows = [*core], 0
        for hop in range(3):
            rows = len(order)
            near = np.unique(graph.neighbour[order])
            order += sorted(set(near[near >= 0].tolist()) - set(order))
            del hop
        place = np.full(300, -1)
        place[order] = np.arange(len(order))
        table = graph.neighbour[order][:rows]
        tile = Graph(
            graph.x[order],
            np.where(table >= 0, place[table], -1).astype(np.int32),
            graph.log1p_dist[order][:rows],
            graph.log_slope[order][:rows],
            graph.g_scale,
        )
        got, _ = infer(net, tile, np.arange(core.size))
        np.testing.assert_allclose(got, want[core], atol=1e-5)


def test_the_number_of_threads_changes_no_bit_and_is_left_as_it_was() -> None:
    graph, net = line_graph(400), _net()
    before = torch.get_num_threads()
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(infer(net, graph, np.arange(400), block=60)[0])
        with pytest.raises(ZeroDivisionError):
            side_by_side(lambda part, own: own / part, range(2), lambda: 1, "cpu")
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_each_thread_has_its_own_and_a_gpu_one_of_them() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    made: list[list[int]] = []

    def own() -> list[int]:
        made.append([])
        return made[-1]

    wait = Barrier(3, timeout=20)

    def work(part: int, mine: list[int]) -> None:
        wait.wait()  # nobody goes on before three threads are at work
        assert torch.get_num_threads() == 1
        mine.append(part)

    side_by_side(work, range(6), own, "cpu")
    assert sorted(part for parts in made for part in parts) == list(range(6))
    assert len(made) == 3
    made.clear()
    side_by_side(lambda part, mine: mine.append(part), range(6), own, "cuda")
    assert made == [list(range(6))]
    torch.set_num_threads(before)


def test_too_short_a_table_is_an_error() -> None:
    graph = line_graph(100, empty=0)
    short = Graph(graph.x, graph.neighbour[:60], graph.log1p_dist[:60], graph.log_slope[:60], 1.0)
    with pytest.raises(BedsieveError, match="edge table ends"):
        infer(_net(), short, np.arange(60))


def test_dropout_is_off_and_bfloat16_stays_close() -> None:
    graph, net = line_graph(200), _net()
    net.train()
    want, _ = infer(net, graph, np.arange(200))
    np.testing.assert_array_equal(infer(net, graph, np.arange(200))[0], want)
    half, _ = infer(net, graph, np.arange(200), precision="bfloat16")
    assert 0 < np.abs(half - want).max() < 0.05


def test_forward_in_training_agrees_with_inference_where_dropout_is_zero() -> None:
    graph, net = line_graph(150), _net()
    sampler = NeighbourSampler(graph)
    block = sampler.block(np.arange(50, 80), (4, 4, 4), key=0)
    got = net(sampler.features(block, torch.device("cpu")), block)
    assert got.requires_grad
    np.testing.assert_allclose(
        got.detach().numpy(), infer(net, graph, np.arange(50, 80))[0], atol=1e-5
    )
