"""A trained graph autoencoder, and what it rebuilds of a tile.

In: a model version's files and a tile's points, halo and edges. Out: how far each point's thickness is
from the one that the network rebuilds. All neighbours are taken at every hop, in blocks of bounded
memory, and a block whose surroundings are not all at hand is an error, so tiles change nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from safetensors.torch import load_file

from bedsieve.detectors.gae_features import COLUMNS, RobustScale, raw_features
from bedsieve.detectors.gae_neighbours import Surroundings, surroundings
from bedsieve.detectors.gae_scale import ScoreScale
from bedsieve.detectors.gae_settings import GaeSettings
from bedsieve.detectors.manifest import read_manifest
from bedsieve.detectors.nets.kernel_threads import side_by_side
from bedsieve.detectors.nets.sage_autoencoder import SageAutoencoder
from bedsieve.detectors.nets.sampling import Graph, NeighbourSampler
from bedsieve.detectors.tile_graph import tile_edges, tile_frame
from bedsieve.errors import InputError

DETECTOR = "gae"
NETWORK, SCALER, SCORE = "network.safetensors", "scaler.json", "score.json"
Tile = Mapping[str, str | Path]


@dataclass(frozen=True)
class TileNodes:
    """A tile as the autoencoder sees it.

    Parameters
    ----------
    points : polars.DataFrame
        Core and halo: point_id, east, north and what features are made of.
    core : int
        Points of the tile itself, the first ones.
    neighbour : int32 ndarray (rows, neighbours)
        -1 for an empty slot.
    """

    points: pl.DataFrame
    core: int
    neighbour: npt.NDArray[np.int32]

    def surroundings(self) -> Surroundings:
        """How the core points stand among their neighbours."""
        return surroundings(self.points, self.neighbour, self.core)


def read_tile(tile: Tile, settings: GaeSettings) -> TileNodes:
    """Read a tile.

    Parameters
    ----------
    tile : mapping
        Paths ``points``, ``halo`` and ``edges``.
    settings : GaeSettings

    Raises
    ------
    InputError
        If the edges belong to other points, or serve too few hops or neighbours.
    """
    columns = ("point_id", "east", "north", *COLUMNS)
    points, core = tile_frame(tile["points"], tile["halo"], columns)
    edges = tile_edges(tile["edges"], points.height, core, settings.hops)
    if edges.neighbour.shape[1] < settings.neighbours:
        problem = f"holds {edges.neighbour.shape[1]} neighbours a point, not {settings.neighbours}"
        remedy = f"Set graph.k to {settings.neighbours} or more"
        raise InputError(tile["edges"], problem, remedy)
    return TileNodes(points, core, edges.neighbour[:, : settings.neighbours])


def graph_of(x: npt.NDArray[np.float32], neighbour: npt.NDArray[np.int32]) -> Graph:
    """A graph without edge features; the zeros in their place cost no memory."""
    nothing = np.broadcast_to(np.float16(0), neighbour.shape)
    return Graph(x, neighbour, nothing, nothing, 1.0)


class Rebuilt(NamedTuple):
    """What the network makes of points.

    Attributes
    ----------
    residual : float32 ndarray (n,)
        H − rebuilt H, m.
    latent : float32 ndarray (n, widths[-1])
        Coordinates in the latent space.
    """

    residual: npt.NDArray[np.float32]
    latent: npt.NDArray[np.float32]


def residuals(
    net: SageAutoencoder, nodes: TileNodes, scale: RobustScale, settings: GaeSettings, device: str
) -> npt.NDArray[np.float32]:
    """H − rebuilt H of the core points, m, shape (core,); raises as `rebuilt`."""
    return rebuilt(net, nodes, scale, settings, device).residual


def rebuilt(
    net: SageAutoencoder, nodes: TileNodes, scale: RobustScale, settings: GaeSettings, device: str
) -> Rebuilt:
    """Residual and latent coordinates of the core points.

    Raises
    ------
    BedsieveError
        If the edges do not reach as far as the network looks.
    """
    x = scale.apply(raw_features(nodes.points, settings.features))
    graph = graph_of(np.nan_to_num(x, nan=0.0), nodes.neighbour)
    everyone = (settings.neighbours,) * settings.hops
    features = np.empty((nodes.core, x.shape[1]), np.float32)
    latent = np.empty((nodes.core, settings.widths[-1]), np.float32)
    target = torch.device(device)
    net = net.to(target).eval()

    def rebuild(start: int, sampler: NeighbourSampler) -> None:
        rows = np.arange(start, min(start + settings.inference_block, nodes.core))
        with torch.inference_mode():
            block = sampler.block(rows, everyone, key=0, edges=False)
            within, again = net.latent_and_rebuilt(sampler.features(block, target), block)
            latent[rows], features[rows] = within.cpu().numpy(), again.cpu().numpy()

    starts = range(0, nodes.core, settings.inference_block)
    side_by_side(rebuild, starts, lambda: NeighbourSampler(graph), target.type)
    thickness = nodes.points["ice_thickness"].to_numpy()[: nodes.core]
    return Rebuilt((thickness - scale.thickness(features)).astype(np.float32), latent)


class GaeModel:
    """A trained model version, checked against its manifest.

    Parameters
    ----------
    model_dir : path-like

    Raises
    ------
    InputError
        If it is not trained, or its files were changed since.
    """

    def __init__(self, model_dir: str | Path) -> None:
        folder = Path(model_dir)
        manifest = read_manifest(folder / "manifest.json", DETECTOR)
        self.settings = GaeSettings.from_mapping(manifest["config"])
        self.scale = RobustScale.from_mapping(_json(folder / SCALER))
        self.score = ScoreScale.from_mapping(_json(folder / SCORE))
        self.net = SageAutoencoder(len(self.settings.features), self.settings.widths)
        self.net.load_state_dict(load_file(folder / NETWORK))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
