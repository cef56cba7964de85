"""The graph network from made tiles to scores."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file

from bedsieve.detectors.gnn_calibration import find_temperature
from bedsieve.detectors.gnn_causes import GROUPS, NEIGHBOURS, causes
from bedsieve.detectors.gnn_data import TooFewLabelsError, gather
from bedsieve.detectors.gnn_model import GnnModel
from bedsieve.detectors.gnn_score import score_tile
from bedsieve.detectors.gnn_settings import GnnSettings, torch_device
from bedsieve.detectors.gnn_training import train_fold
from bedsieve.detectors.gnn_version import train_gnn
from bedsieve.detectors.nets.losses import Weights
from bedsieve.detectors.node_features import FEATURES
from bedsieve.errors import BedsieveError, ConfigError, InputError
from tests.unit.gnn_tiles import made_points, write_tiles

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "widths": [16, 16, 8],
    "latent": 8,
    "head": 4,
    "fanout": [6, 4, 4],
    "batch": 64,
    "epochs": 6,
    "unlabelled": 300,
    "device": "cpu",
    "learning_rate": 0.01,
}


class _KilledError(Exception):
    """Stands for a kill signal."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    points, bad = made_points()
    rng = np.random.default_rng(1)
    label = np.where(rng.random(points.height) < 0.9, bad.astype(int), -1)
    return points, bad, label, tmp_path_factory.mktemp("gnn")


@pytest.fixture(scope="module")
def trained(made) -> tuple[list[dict[str, Path]], Path]:
    points, _, label, folder = made
    tiles = write_tiles(folder / "whole", points, label)
    train_gnn(tiles, folder / "model", SMALL, seed=4)
    return tiles, folder / "model"


def _score(tiles: list[dict[str, Path]], model: Path, out: Path) -> pl.DataFrame:
    tables = []
    for tile in tiles:
        score_tile(tile["points"], tile["halo"], tile["edges"], model, out)
        tables.append(pl.read_parquet(out))
    return pl.concat(tables)


def test_artefacts(trained) -> None:
    _, model = trained
    names = {p.name for p in model.iterdir() if p.is_file()}
    assert names == {
        "fold_A.safetensors", "fold_B.safetensors", "scaler.json", "folds.json", "calibration.json",
        "curves.tsv", "seeds.parquet", "manifest.json",
    }  # fmt: skip
    manifest = json.loads((model / "manifest.json").read_text())
    assert set(manifest["files"]) == names - {"manifest.json"}
    assert manifest["config"]["widths"] == [16, 16, 8]
    curves = pl.read_csv(model / "curves.tsv", separator="\t")
    assert curves["fold"].unique().sort().to_list() == ["A", "B"]
    assert curves.filter(pl.col("fold") == "A")["epoch"].to_list() == [1, 2, 3, 4, 5, 6]
    parts = curves.select("train_outlier", "train_inlier", "train_unlabelled").sum_horizontal()
    np.testing.assert_allclose(parts, curves["train"])
    assert curves["train"][5] < curves["train"][0]
    assert curves["validation_auc"].is_between(0.5, 1).all()
    calibration = json.loads((model / "calibration.json").read_text())
    assert calibration["A"]["loss_after"] <= calibration["A"]["loss_before"] + 1e-9


def test_scores_schema_and_quality(trained, made, tmp_path: Path) -> None:
    points, bad, _, _ = made
    tiles, model = trained
    table = _score(tiles, model, tmp_path / "s.parquet")
    assert table.schema == {
        "point_id": pl.UInt64, "score": pl.Float32, "code": pl.String, "logit": pl.Float32,
        "fold": pl.String, "because": pl.String,
    }  # fmt: skip
    assert table["point_id"].to_list() == points["point_id"].to_list()
    assert table["score"].is_between(0, 1).all()
    temperature = {
        k: v["temperature"] for k, v in json.loads((model / "calibration.json").read_text()).items()
    }
    t = table["fold"].replace_strict(temperature, return_dtype=pl.Float64)
    np.testing.assert_allclose(table["score"], 1 / (1 + np.exp(-table["logit"] / t)), atol=1e-6)
    # Out of fold, bad points must stand above good ones: area under the ROC curve.
    score = table["score"].to_numpy()
    auc = (score[bad][:, None] > score[~bad][None]).mean()
    assert auc > 0.75


def test_no_point_is_scored_by_a_model_that_saw_its_region(trained, tmp_path: Path) -> None:
    tiles, model = trained
    table = _score(tiles, model, tmp_path / "s.parquet")
    folds = json.loads((model / "folds.json").read_text())
    seeds = pl.read_parquet(model / "seeds.parquet")
    points = pl.read_parquet(tiles[0]["points"])
    xy, centres = points.select("east", "north").to_numpy(), np.array(folds["centres"])
    region = np.array(["A", "B"])[((xy[:, None] - centres) ** 2).sum(2).argmin(1)]
    for letter in "AB":
        fold = folds["models"][letter]
        assert fold["scores"] not in fold["trained_on"]
        assert set(region[(table["fold"] == letter).to_numpy()]) == {fold["scores"]}
        trained_on = seeds.filter(pl.col("region").is_in(fold["trained_on"]))["point_id"]
        scored = table.filter(pl.col("fold") == letter)["point_id"]
        assert trained_on.len() > 100
        assert not trained_on.is_in(scored.implode()).any()


def test_a_model_sees_nothing_of_the_region_it_scores(trained, tmp_path: Path) -> None:
    tiles, _ = trained
    settings = GnnSettings.from_mapping({**SMALL, "epochs": 2})
    data = gather(tiles, settings, 4)
    other = data.region == data.folds.scored_by(0)
    assert other.sum() > 100
    x = np.where(other[:, None], 9, data.graph.x).astype(np.float32)
    group = np.where(other, data.group[::-1], data.group)
    changed = replace(data, group=group, graph=replace(data.graph, x=x))
    one = train_fold(data, settings, 0, 4, tmp_path / "one.pt").weights
    two = train_fold(changed, settings, 0, 4, tmp_path / "two.pt").weights
    assert all(torch.equal(one[name], two[name]) for name in one)
    # The other model does see it.
    three = train_fold(data, settings, 1, 4, tmp_path / "three.pt").weights
    four = train_fold(changed, settings, 1, 4, tmp_path / "four.pt").weights
    assert not torch.equal(three["jump.weight"], four["jump.weight"])


def test_same_seed_same_files_and_resume_equals_uninterrupted(made, trained) -> None:
    _, _, _, folder = made
    tiles, model = trained

    def kill(row: Mapping[str, Any]) -> None:
        assert np.isfinite(row["validation"])
        if (row["fold"], row["epoch"]) in (("A", 2), ("B", 4)):
            raise _KilledError

    again = folder / "again"
    for _ in range(2):
        with pytest.raises(_KilledError):
            train_gnn(tiles, again, SMALL, seed=4, on_epoch=kill)
        assert not (again / "manifest.json").exists()
    # Where the graph lies meanwhile changes nothing, and it leaves nothing there.
    train_gnn(tiles, again, SMALL, seed=4, scratch=folder / "scratch")
    assert not list((folder / "scratch").iterdir())
    for name in (
        "fold_A.safetensors",
        "fold_B.safetensors",
        "scaler.json",
        "calibration.json",
        "curves.tsv",
    ):
        assert (again / name).read_bytes() == (model / name).read_bytes(), name
    assert not list((again / "checkpoints").iterdir())


def test_another_seed_gives_other_weights(made, trained) -> None:
    tiles, model = trained
    folder = made[3]
    train_gnn(tiles, folder / "other", {**SMALL, "epochs": 1}, seed=5)
    one, two = (load_file(m / "fold_A.safetensors") for m in (model, folder / "other"))
    assert not np.allclose(one["jump.weight"], two["jump.weight"])


def test_a_rehearsal_stops_after_its_steps(made, trained, tmp_path: Path) -> None:
    tiles, _ = trained
    train_gnn(tiles, tmp_path / "long", {**SMALL, "epochs": 2}, seed=4)
    long = pl.read_csv(tmp_path / "long" / "curves.tsv", separator="\t")
    data = gather(tiles, GnnSettings.from_mapping(SMALL), 4)
    seeds = ((data.region == 0) & (data.group >= -1) & ~data.validation).sum()
    an_epoch = -(-int(seeds) // SMALL["batch"])
    train_gnn(tiles, tmp_path / "short", {**SMALL, "steps": an_epoch + 1}, seed=4)
    short = pl.read_csv(tmp_path / "short" / "curves.tsv", separator="\t").filter(fold="A")
    assert short["epoch"].to_list() == [1, 2]
    assert short["train"][0] == long["train"][0]
    assert short["train"][1] != long["train"][1]


def test_tiled_equals_untiled(made, trained, tmp_path: Path) -> None:
    points, _, label, _ = made
    tiles, model = trained
    whole = _score(tiles, model, tmp_path / "s.parquet").sort("point_id")
    cut = write_tiles(tmp_path / "cut", points, label, size=5000)
    assert len(cut) == 4
    parts = _score(cut, model, tmp_path / "s.parquet").sort("point_id")
    assert parts["point_id"].equals(whole["point_id"])
    assert parts["fold"].equals(whole["fold"])
    np.testing.assert_allclose(parts["score"], whole["score"], atol=1e-5)


def test_tiling_does_not_change_who_trains(made, trained, tmp_path: Path) -> None:
    points, _, label, _ = made
    settings = GnnSettings.from_mapping(SMALL)
    whole = gather(trained[0], settings, 4)
    cut = gather(write_tiles(tmp_path / "cut", points, label, size=5000)[::-1], settings, 4)
    assert cut.seeds_table().equals(whole.seeds_table())
    assert cut.scaler == whole.scaler
    assert cut.scaler.absent == ("geom_resid", "temp")


@pytest.mark.parametrize("kind", ["blocks", "surveys"])
def test_other_folds_keep_training_and_scoring_apart(
    kind: str, made, trained, tmp_path: Path
) -> None:
    tiles, _ = trained
    settings = {**SMALL, "epochs": 1, "folds": kind, "n_folds": 3, "block_size": 1500.0, "runs": 4}
    train_gnn(tiles, tmp_path / "model", settings, seed=1)
    table = _score(tiles, tmp_path / "model", tmp_path / "s.parquet")
    folds = json.loads((tmp_path / "model" / "folds.json").read_text())
    seeds = pl.read_parquet(tmp_path / "model" / "seeds.parquet")
    for letter in "ABC":
        trained_on = seeds.filter(pl.col("region").is_in(folds["models"][letter]["trained_on"]))
        scored = table.filter(pl.col("fold") == letter)
        assert scored.height > 100
        assert trained_on.join(scored, on="point_id").height == 0
    if kind == "surveys":
        survey = (table["point_id"] // 2**32).alias("survey")
        assert table.group_by(survey).agg(pl.col("fold").n_unique())["fold"].to_list() == [1] * 4


def test_a_version_is_immutable_and_checked(trained, tmp_path: Path) -> None:
    tiles, model = trained
    with pytest.raises(BedsieveError, match="never changes"):
        train_gnn(tiles, model, SMALL)
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in model.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    (copy / "scaler.json").write_text((copy / "scaler.json").read_text() + " ")
    with pytest.raises(InputError, match="is not the file"):
        _score(tiles, copy, tmp_path / "s.parquet")


def test_errors_say_what_to_do(made, tmp_path: Path) -> None:
    points, _, label, _ = made
    few = write_tiles(tmp_path / "few", points, np.where(label == 1, -1, label))
    with pytest.raises(TooFewLabelsError, match="0 outlier labels"):
        gather(few, GnnSettings(), 0)
    short = write_tiles(tmp_path / "short", points, label, size=5000, hops=1)
    with pytest.raises(InputError, match=r"Set graph\.hops to 3"):
        train_gnn(short, tmp_path / "m", SMALL)
    with pytest.raises(ConfigError, match="unknown setting widhts"):
        GnnSettings.from_mapping({"widhts": [1]})
    with pytest.raises(ConfigError, match="one entry"):
        GnnSettings.from_mapping({"widths": [8, 8]})


def test_without_labels_a_version_says_so_and_scores_nothing(made, tmp_path: Path) -> None:
    points, _, label, _ = made
    tiles = write_tiles(tmp_path / "few", points, np.where(label == 1, -1, label))
    model = tmp_path / "model"
    assert train_gnn(tiles, model, SMALL) == {}
    assert {p.name for p in model.iterdir()} == {"untrained.json", "curves.tsv", "manifest.json"}
    assert (model / "curves.tsv").read_text().startswith("fold\tepoch\t")
    table = _score(tiles, model, tmp_path / "s.parquet")
    assert table["point_id"].equals(points["point_id"])
    assert table["score"].is_nan().all()
    assert table["code"].to_list() == ["no_labels"] * points.height
    with pytest.raises(BedsieveError, match="never changes"):
        train_gnn(tiles, model, SMALL)


def test_causes_are_what_lowers_the_logit_when_it_is_taken_away(trained, tmp_path: Path) -> None:
    tiles, folder = trained
    table = _score(tiles, folder, tmp_path / "s.parquet")
    assert (table["because"].is_null() | (table["score"] >= 0.5)).all()
    assert table["because"].is_not_null().sum() > 20
    tile = tiles[0]
    model = GnnModel(folder, "cpu")
    graph, fold = model.graph(tile["points"], tile["halo"], tile["edges"])
    rows = np.flatnonzero((table["score"] >= 0.5).to_numpy())[:10]
    logit = model.logits(graph, rows, fold[rows])
    fall = {}
    for name, features in GROUPS.items():
        x = graph.x.copy()
        x[:, [FEATURES.index(f) for f in features]] = 0
        fall[name] = logit - model.logits(replace(graph, x=x), rows, fold[rows])
    flat = replace(graph, log_slope=graph.log_slope * np.float16(0))
    fall[NEIGHBOURS] = logit - model.logits(flat, rows, fold[rows])
    for i, words in enumerate(causes(model, graph, rows, fold[rows], logit)):
        told = max(fall, key=lambda name: fall[name][i])
        assert fall[told][i] > 0
        assert words is not None
        assert words.split(" and ")[0] == told.split(" and ")[0]
        assert table["because"][int(rows[i])] == words


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device("auto") == torch_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match=r"models\.device"):
        torch_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_device("auto") == torch_device("gpu") == "cuda"
    assert torch_device("cpu") == "cpu"


def test_four_layers_train_and_score(made, tmp_path: Path) -> None:
    points, _, label, _ = made
    deep = {**SMALL, "widths": [8, 8, 8, 8], "fanout": [4, 3, 3, 3], "epochs": 1}
    tiles = write_tiles(tmp_path / "deep", points, label, hops=4)
    train_gnn(tiles, tmp_path / "model", deep)
    table = _score(tiles, tmp_path / "model", tmp_path / "s.parquet")
    assert table["score"].is_between(0, 1).all()


def test_temperature_recovers_a_known_one() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 2, 200_000)
    group = (rng.random(truth.size) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    # With these weights the loss is the plain cross-entropy of balanced classes.
    balanced = Weights(outlier=float(group.mean()), inlier=float(1 - group.mean()))
    found = find_temperature(torch.from_numpy(truth * 3), torch.from_numpy(group), balanced)
    assert found["temperature"] == pytest.approx(3, rel=0.03)
    assert found["loss_after"] < found["loss_before"]
