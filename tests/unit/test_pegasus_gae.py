"""Pegasus on the latent space of the graph autoencoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from bedsieve.detectors.gae_features import raw_features
from bedsieve.detectors.gae_model import GaeModel, read_tile, rebuilt
from bedsieve.detectors.gae_score import score_tile as score_by_gae
from bedsieve.detectors.gae_train import train_gae
from bedsieve.detectors.pegasus_files import MANIFOLD_FILES
from bedsieve.detectors.pegasus_manifold import POOLED, load_manifold
from bedsieve.detectors.pegasus_score import score_tile
from bedsieve.detectors.pegasus_train import train_pegasus
from tests.unit.gnn_tiles import made_points
from tests.unit.test_gae import SMALL, cut

pytestmark = pytest.mark.usefixtures("one_thread")
SETTINGS = {"manifold": "gae", "sample": 300, "budget": 0.05, "methods": ["lof"]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    points, bad = made_points()
    folder = tmp_path_factory.mktemp("manifold")
    tiles = [{k: t[k] for k in MANIFOLD_FILES["gae"]} for t in cut(folder / "whole", points)]
    train_gae(tiles, folder / "gae", SMALL | {"epochs": 2}, seed=4)
    train_pegasus(tiles, folder / "gae", folder / "pegasus", SETTINGS, seed=4)
    return folder, tiles, bad


def test_latent_coordinates_are_what_the_decoder_starts_from(trained) -> None:
    folder, tiles, _ = trained
    model = GaeModel(folder / "gae")
    nodes = read_tile(tiles[0], model.settings)
    found = rebuilt(model.net, nodes, model.scale, model.settings, "cpu")
    assert found.latent.shape == (nodes.core, 3)
    # By hand, over the whole graph: three layers, the third without ReLU.
    x = model.scale.apply(raw_features(nodes.points, model.settings.features))
    h = torch.from_numpy(np.nan_to_num(x, nan=0.0))
    neighbour = torch.from_numpy(np.ascontiguousarray(nodes.neighbour))
    with torch.inference_mode():
        for number, layer in enumerate(list(model.net.layers)[:3]):
            h = layer(h[: len(x)], neighbour)
            h = torch.relu(h) if number < 2 else h
    np.testing.assert_allclose(found.latent, h[: nodes.core].numpy(), atol=1e-4)


def test_the_error_is_the_autoencoders_own(trained, tmp_path: Path) -> None:
    folder, tiles, _ = trained
    manifold = load_manifold("gae", folder / "gae")
    ids, rows = manifold.read(tiles[0])
    score_by_gae(
        tiles[0]["points"],
        tiles[0]["halo"],
        tiles[0]["edges"],
        folder / "gae",
        tmp_path / "g.parquet",
    )
    own = pl.read_parquet(tmp_path / "g.parquet")
    assert own["point_id"].to_list() == ids.tolist()
    np.testing.assert_allclose(manifold.error(POOLED, rows), own["residual_m"].abs(), rtol=1e-6)


def test_scores_find_what_is_bad(trained, tmp_path: Path) -> None:
    folder, tiles, bad = trained
    score_tile(tiles[0], folder / "gae", folder / "pegasus", tmp_path / "s.parquet")
    table = pl.read_parquet(tmp_path / "s.parquet")
    score = table["score"].to_numpy()
    assert (score[bad][:, None] > score[~bad][None]).mean() > 0.7
    assert (table["off"] >= 0.5).mean() == pytest.approx(0.05, abs=0.02)
