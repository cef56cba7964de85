"""The graph autoencoder from made tiles to scores."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from bedsieve.detectors.gae_data import gather
from bedsieve.detectors.gae_features import raw_features
from bedsieve.detectors.gae_model import GaeModel, read_tile
from bedsieve.detectors.gae_score import score_tile
from bedsieve.detectors.gae_settings import GaeSettings
from bedsieve.detectors.gae_strata import stratum_of
from bedsieve.detectors.gae_train import train_gae
from bedsieve.detectors.gnn_settings import torch_device
from bedsieve.errors import BedsieveError, InputError
from tests.unit.gnn_tiles import made_points, write_tiles

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "strata": 6,
    "cap": 80,
    "sample": 900,
    "epochs": 4,
    "batch": 64,
    "runs": 4,
    "learning_rate": 0.01,
}


class _KilledError(Exception):
    """Stands for a kill signal."""


def cut(folder: Path, points: pl.DataFrame, **options: float) -> list[dict[str, Path]]:
    return write_tiles(folder, points, np.full(points.height, -1), **{"hops": 6, "k": 9} | options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    points, bad = made_points()
    return points, bad, tmp_path_factory.mktemp("gae")


@pytest.fixture(scope="module")
def trained(made) -> tuple[list[dict[str, Path]], Path]:
    points, _, folder = made
    tiles = cut(folder / "whole", points)
    train_gae(tiles, folder / "model", SMALL, seed=4)
    return tiles, folder / "model"


def score(tiles: list[dict[str, Path]], model: Path, out: Path) -> pl.DataFrame:
    tables = []
    for tile in tiles:
        score_tile(tile["points"], tile["halo"], tile["edges"], model, out)
        tables.append(pl.read_parquet(out))
    return pl.concat(tables)


def test_artefacts(trained) -> None:
    _, model = trained
    names = {p.name for p in model.iterdir() if p.is_file()}
    assert names == {
        "network.safetensors", "scaler.json", "score.json", "strata.json", "curves.tsv",
        "nodes.parquet", "manifest.json",
    }  # fmt: skip
    manifest = json.loads((model / "manifest.json").read_text())
    assert set(manifest["files"]) == names - {"manifest.json"}
    assert manifest["config"]["widths"] == [32, 16, 3]
    assert manifest["seed"] == 4
    curve = pl.read_csv(model / "curves.tsv", separator="\t")
    assert curve["epoch"].to_list() == [1, 2, 3, 4]
    assert curve["loss"][3] < curve["loss"][0]


def test_scores_schema_and_quality(trained, made, tmp_path: Path) -> None:
    points, bad, _ = made
    table = score(*trained, tmp_path / "s.parquet")
    assert table.schema == {
        "point_id": pl.UInt64, "score": pl.Float32, "code": pl.String, "residual_m": pl.Float32,
        "gradient": pl.Float32, "neighbour_distance_m": pl.Float32,
    }  # fmt: skip
    assert table["point_id"].to_list() == points["point_id"].to_list()
    found = table["score"].to_numpy()
    # The constants are those of exactly these points.
    assert (found.min(), found.max()) == (0, 1)
    assert (found[bad][:, None] > found[~bad][None]).mean() > 0.8
    # Too thick is positive.
    bed = 300 * np.sin(points["east"].to_numpy() / 3000) + 200 * np.cos(
        points["north"].to_numpy() / 2000
    )
    excess = points["ice_thickness"].to_numpy() - (points["z"].to_numpy() - bed)
    assert (np.sign(table["residual_m"].to_numpy()) == np.sign(excess))[bad].mean() > 0.8


def test_training_nodes_are_capped_and_clean_ones_marked_by_brute_force(trained, made) -> None:
    tiles, model = trained
    settings = GaeSettings.from_mapping(SMALL)
    nodes = pl.read_parquet(model / "nodes.parquet")
    strata = json.loads((model / "strata.json").read_text())
    whole = read_tile(tiles[0], settings)
    difference = whole.surroundings().difference
    limit = np.quantile(difference[np.isfinite(difference)], 0.99)
    assert strata["clean_within_m"] == pytest.approx(limit, rel=1e-6)
    scaled = GaeModel(model).scale.apply(raw_features(whole.points, settings.features))
    stratum = stratum_of(scaled, np.array(strata["centres"]))
    counts = np.bincount(stratum, minlength=6)
    assert counts.sum() == 1500
    assert (np.bincount(nodes["stratum"], minlength=6) == np.minimum(counts, 80)).all()
    all_points = whole.points.select("point_id").with_columns(
        stratum=pl.Series(stratum), difference=pl.Series(difference)
    )
    joined = nodes.join(all_points, on="point_id", suffix="_want")
    assert joined["stratum"].equals(joined["stratum_want"].rename("stratum"))
    assert (joined["clean"] == (joined["difference"].fill_nan(np.inf) <= limit)).all()
    assert 0 < (~joined["clean"]).sum() < 30


def test_points_that_are_not_clean_leave_the_scale_and_the_loss(made, tmp_path: Path) -> None:
    points, _, _ = made
    settings = GaeSettings.from_mapping(SMALL)
    wild = points.with_columns(
        ice_thickness=pl.when(pl.int_range(pl.len()) == 700)
        .then(1e6)
        .otherwise(pl.col("ice_thickness"))
    )
    data = gather(cut(tmp_path / "wild", wild), settings, 4)
    assert data.limit < 1e5
    assert data.scale.median[0] < 5000
    row = data.nodes.filter(pl.col("point_id") == points["point_id"][700])
    assert not row["clean"].any()
    assert data.clean.sum() == data.nodes["clean"].sum()


def test_tiled_equals_untiled(made, trained, tmp_path: Path) -> None:
    tiles, model = trained
    whole = score(tiles, model, tmp_path / "s.parquet").sort("point_id")
    for size in (5000, 7000):
        pieces = cut(tmp_path / str(size), made[0], size=size)
        assert len(pieces) > 2
        parts = score(pieces, model, tmp_path / "s.parquet").sort("point_id")
        assert parts["point_id"].equals(whole["point_id"])
        np.testing.assert_allclose(parts["score"], whole["score"], atol=1e-5)
        np.testing.assert_allclose(parts["residual_m"], whole["residual_m"], atol=0.01)


def test_block_size_does_not_matter(trained, tmp_path: Path) -> None:
    tiles, model = trained
    whole = score(tiles, model, tmp_path / "s.parquet")
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in model.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["config"]["inference_block"] = 37
    (copy / "manifest.json").write_text(json.dumps(manifest))
    small = score(tiles, copy, tmp_path / "s.parquet")
    np.testing.assert_allclose(small["score"], whole["score"], atol=1e-5)


def test_tiling_does_not_change_who_trains(made, trained, tmp_path: Path) -> None:
    settings = GaeSettings.from_mapping(SMALL)
    whole = gather(trained[0], settings, 4)
    pieces = gather(cut(tmp_path / "cut", made[0], size=5000)[::-1], settings, 4)
    assert pieces.nodes.equals(whole.nodes)
    assert pieces.scale == whole.scale
    assert pieces.scale.absent == ("temp",)
    np.testing.assert_array_equal(pieces.centres, whole.centres)


def test_same_seed_same_files_and_resume_equals_uninterrupted(made, trained) -> None:
    tiles, model = trained
    again = made[2] / "again"

    def kill(epoch: int, loss: float) -> None:
        assert np.isfinite(loss)
        if epoch in (1, 3):
            raise _KilledError

    for _ in range(2):
        with pytest.raises(_KilledError):
            train_gae(tiles, again, SMALL, seed=4, on_epoch=kill)
        assert not (again / "manifest.json").exists()
    train_gae(tiles, again, SMALL, seed=4, scratch=made[2] / "scratch")
    assert not list((made[2] / "scratch").iterdir())
    for path in model.iterdir():
        if path.is_file():
            assert (again / path.name).read_bytes() == path.read_bytes(), path.name
    assert not list((again / "checkpoints").iterdir())


def test_threads_do_not_change_the_weights(made, trained) -> None:
    tiles, model = trained
    torch.set_num_threads(2)
    try:
        train_gae(tiles, made[2] / "two", SMALL, seed=4)
    finally:
        torch.set_num_threads(1)
    one, two = (folder / "network.safetensors" for folder in (model, made[2] / "two"))
    assert one.read_bytes() == two.read_bytes()


def test_another_seed_gives_other_weights(made, trained) -> None:
    tiles, model = trained
    train_gae(tiles, made[2] / "other", {**SMALL, "epochs": 1}, seed=5)
    one, two = (GaeModel(folder).net for folder in (model, made[2] / "other"))
    assert not torch.allclose(one.layers[0].own.weight, two.layers[0].own.weight)
    nodes = [pl.read_parquet(m / "nodes.parquet")["point_id"] for m in (model, made[2] / "other")]
    assert not nodes[0].equals(nodes[1])


def test_options_of_the_study(made, trained, tmp_path: Path) -> None:
    tiles, _ = trained
    options = {"velocity": "vector", "widths": [8, 2], "strata_features": ["z", "s_log"]}
    train_gae(tiles, tmp_path / "m", {**SMALL, "epochs": 1, **options}, seed=1)
    model = GaeModel(tmp_path / "m")
    assert model.net.layers[0].mean.in_features == 7
    assert model.settings.hops == 4
    strata = json.loads((tmp_path / "m" / "strata.json").read_text())
    assert np.array(strata["centres"]).shape == (6, 2)
    table = score(tiles, tmp_path / "m", tmp_path / "s.parquet")
    assert table["score"].is_between(0, 1).all()


def test_a_point_without_neighbours_is_judged_by_itself(made, trained, tmp_path: Path) -> None:
    points, _, _ = made
    lonely = points.with_columns(
        north=pl.when(pl.int_range(pl.len()) == 5).then(90_000.0).otherwise(pl.col("north"))
    )
    table = score(cut(tmp_path / "lonely", lonely), trained[1], tmp_path / "s.parquet")
    row = table.row(5, named=True)
    assert row["neighbour_distance_m"] is None
    assert row["gradient"] == 0
    assert 0 <= row["score"] <= 1
    assert table["neighbour_distance_m"].null_count() == 1


def test_a_version_is_immutable_and_checked(trained, tmp_path: Path) -> None:
    tiles, model = trained
    with pytest.raises(BedsieveError, match="never changes"):
        train_gae(tiles, model, SMALL)
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in model.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    (copy / "score.json").write_text((copy / "score.json").read_text() + " ")
    with pytest.raises(InputError, match="is not the file"):
        score(tiles, copy, tmp_path / "s.parquet")


def test_errors_say_what_to_do(made, tmp_path: Path) -> None:
    points, _, _ = made
    short = cut(tmp_path / "short", points, size=5000, hops=2)
    with pytest.raises(InputError, match=r"Set graph\.hops to 6"):
        train_gae(short, tmp_path / "m", SMALL)
    few = cut(tmp_path / "few", points, k=5)
    with pytest.raises(InputError, match=r"Set graph\.k to 8"):
        train_gae(few, tmp_path / "m", SMALL)
    far = points[:3].with_columns(east=pl.Series([0.0, 5000.0, 10_000.0]))
    with pytest.raises(BedsieveError, match="no point has a neighbour"):
        train_gae(cut(tmp_path / "far", far), tmp_path / "m", SMALL)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_an_error() -> None:
    assert torch_device("auto") == torch_device("cpu") == "cpu"
    with pytest.raises(BedsieveError, match=r"models\.device"):
        torch_device("gpu")
