"""Local entropy: the sums by hand, masks that know no tiles, and a version from made tiles to scores."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from bedsieve.detectors.gnn_model import GnnModel
from bedsieve.detectors.gnn_version import train_gnn
from bedsieve.detectors.local_entropy import PassMean, entropy, local_z, score_of_z, shrunk_z
from bedsieve.detectors.local_entropy_model import LocalEntropyModel
from bedsieve.detectors.local_entropy_reference import Reference, nearest
from bedsieve.detectors.local_entropy_score import SCHEMA, score_tile
from bedsieve.detectors.local_entropy_settings import LocalEntropySettings
from bedsieve.detectors.local_entropy_train import CALIBRATION, train_local_entropy
from bedsieve.errors import BedsieveError, ConfigError, InputError
from bedsieve.evaluation.members import TileFolder, score_members
from bedsieve.files import sha256_of
from bedsieve.products.local_entropy_calibration import (
    calibration_table,
    draw_calibration,
    write_calibration,
)
from tests.unit.gnn_tiles import made_points, write_tiles

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "widths": [16, 16, 8],
    "latent": 8,
    "head": 4,
    "fanout": [6, 4, 4],
    "batch": 64,
    "epochs": 4,
    "unlabelled": 300,
    "device": "cpu",
    "learning_rate": 0.01,
}
FEW = {"passes": 6, "reference": 200}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    points, bad = made_points()
    rng = np.random.default_rng(1)
    label = np.where(rng.random(points.height) < 0.9, bad.astype(int), -1)
    folder = tmp_path_factory.mktemp("local_entropy")
    tiles = write_tiles(folder / "whole", points, label)
    train_gnn(tiles, folder / "gnn", SMALL, seed=4)
    train_local_entropy(tiles, folder / "gnn", folder / "model", FEW, seed=2)
    return points, label, tiles, folder


def _score(tiles: list[dict[str, Path]], folder: Path, out: Path, model: str = "model"):
    tables = []
    for tile in tiles:
        files = (tile["points"], tile["halo"], tile["edges"])
        score_tile(*files, folder / model, folder / "gnn", out)
        tables.append(pl.read_parquet(out))
    return pl.concat(tables)


# The sums.


def test_entropy_by_hand() -> None:
    found = entropy(np.array([[0.5, 0.5], [1.0, 0.0], [0.9, 0.1]]))
    by_hand = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    np.testing.assert_allclose(found, [math.log(2), 0, by_hand], rtol=1e-12)
    assert math.copysign(1, found[1]) == 1


def test_passes_that_disagree_have_mutual_information_and_those_that_doubt_have_none() -> None:
    mean = PassMean()
    mean.add(np.array([[1.0, 0.0], [0.5, 0.5], [0.8, 0.2]]))
    mean.add(np.array([[0.0, 1.0], [0.5, 0.5], [0.4, 0.6]]))
    np.testing.assert_allclose(mean.probability, [[0.5, 0.5], [0.5, 0.5], [0.6, 0.4]])
    third = -0.6 * math.log(0.6) - 0.4 * math.log(0.4)
    np.testing.assert_allclose(mean.entropy, [math.log(2), math.log(2), third])
    parts = [0.8 * math.log(0.8) + 0.2 * math.log(0.2), 0.4 * math.log(0.4) + 0.6 * math.log(0.6)]
    want = [math.log(2), 0, third + sum(parts) / 2]
    np.testing.assert_allclose(mean.mutual_information, want, atol=1e-12)


def test_z_by_hand() -> None:
    # 0.1, 0.2, 0.3: mean 0.2, std 0.1 with two degrees of freedom (0.0816 with three).
    z, mean, std = local_z(np.array([0.5]), np.array([[0.1, 0.2, 0.3]]), 0.02)
    np.testing.assert_allclose([z[0], mean[0], std[0]], [3, 0.2, 0.1])
    # Sure neighbours: the floor stands in for their std of 0.001.
    sure = np.array([[0.001, 0.002, 0.003]] * 2)
    z, _, std = local_z(np.array([0.062, 0.0]), sure, 0.02)
    np.testing.assert_allclose(std, 0.001)
    np.testing.assert_allclose(z, [3.0, -0.1])


def test_the_sparse_variant_by_hand_and_at_its_ends() -> None:
    own, around = np.array([0.5]), np.array([[0.1, 0.2, 0.9]])
    near = np.array([[True, True, False]])
    z, mean, std = shrunk_z(own, around, near, 0.3, 0.2, 2.0, 0.02)
    # m = 2: mean (2 · 0.15 + 2 · 0.3)/4; variance (0.005 + 2 · 0.04 + 1 · 0.15²)/(1 + 2).
    assert mean[0] == pytest.approx(0.225)
    assert std[0] == pytest.approx(math.sqrt((0.005 + 0.08 + 0.0225) / 3))
    assert z[0] == pytest.approx((0.5 - 0.225) / std[0])
    nobody = shrunk_z(own, around, np.zeros((1, 3), bool), 0.3, 0.2, 2.0, 0.02)
    np.testing.assert_allclose(np.concatenate(nobody), [1.0, 0.3, 0.2])
    weak = shrunk_z(own, around, np.ones((1, 3), bool), 0.3, 0.2, 1e-9, 0.02)
    np.testing.assert_allclose(weak, local_z(own, around, 0.02), rtol=1e-6)


def test_score_rises_with_z_and_halves_at_sigma() -> None:
    z = np.linspace(-12, 35, 2000)
    score = score_of_z(z, 3.0)
    assert score.dtype == np.float32
    assert (np.diff(score) > 0).all()
    assert score_of_z(np.array([3.0]), 3.0)[0] == 0.5
    assert 0 < score[0] < score[-1] < 1


def test_neighbours_are_the_nearest_and_never_oneself() -> None:
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(150, 12)).astype(np.float32)
    latent[7] = latent[3]  # a copy is a neighbour, at no distance
    want = np.linalg.norm(latent[:, None].astype(float) - latent[None], axis=2)
    distance, index = nearest(latent, latent[:20], 5)
    np.testing.assert_allclose(distance, np.sort(want[:20], 1)[:, :5], atol=1e-6)
    assert set(index[3][:2]) == {3, 7}
    np.fill_diagonal(want, np.inf)
    settings = LocalEntropySettings(neighbours=4, reach_quantile=0.5)
    point_id = rng.permutation(150).astype(np.uint64)
    made = Reference.of(point_id, latent, rng.random(150).astype(np.float32), settings)
    assert (np.diff(made.point_id.astype(int)) > 0).all()
    assert made.reach == pytest.approx(np.median(np.sort(want, 1)[:, 3]), abs=1e-6)


# A version.


def test_references_are_training_points_that_the_model_gets_right(made) -> None:
    _, _, _, folder = made
    names = {path.name for path in (folder / "model").iterdir()}
    assert names == {
        "reference_A.safetensors", "reference_B.safetensors", "calibration.parquet", "manifest.json"
    }  # fmt: skip
    seeds = pl.read_parquet(folder / "gnn" / "seeds.parquet")
    folds = json.loads((folder / "gnn" / "folds.json").read_text())["models"]
    points, _, tiles, _ = made
    model = LocalEntropyModel(folder / "model", folder / "gnn", "cpu")
    tile = tiles[0]
    graph, _ = model.gnn.graph(tile["points"], tile["halo"], tile["edges"])
    row = {point: at for at, point in enumerate(points["point_id"].to_list())}
    for fold, letter in enumerate("AB"):
        known = model.reference(fold)
        own = seeds.filter(pl.col("point_id").is_in(known.point_id.tolist()))
        assert own.height == len(known.point_id) > 100
        assert own["use"].unique().to_list() == ["train"]
        assert set(own["region"]) <= set(folds[letter]["trained_on"])
        rows = np.array([row[point] for point in own["point_id"].to_list()])
        logit = model.gnn.logits(graph, rows, np.full(rows.size, fold))
        np.testing.assert_array_equal(logit > 0, own["group"].to_numpy() == 1)
        assert known.latent.shape == (own.height, 8)
    calibration = pl.read_parquet(folder / "model" / "calibration.parquet")
    assert calibration.schema == CALIBRATION
    held = seeds.filter(pl.col("use") == "validation")
    assert calibration.height == held.height > 20


def test_scores_are_the_sums_of_their_parts(made, tmp_path: Path) -> None:
    points, _, tiles, folder = made
    table = _score(tiles, folder, tmp_path / "s.parquet")
    assert table.schema == SCHEMA
    assert table["point_id"].to_list() == points["point_id"].to_list()
    assert table["entropy"].is_between(0, math.log(2) + 1e-6).all()
    assert (table["mutual_information"] <= table["entropy"]).all()
    assert (table["mutual_information"] > 0).any()
    z = (table["entropy"] - table["local_mean"]) / table["local_std"].clip(lower_bound=0.02)
    np.testing.assert_allclose(table["z"], z, atol=1e-3)
    np.testing.assert_allclose(table["score"], score_of_z(table["z"].to_numpy(), 3), atol=1e-6)
    np.testing.assert_array_equal(table["flag"], table["z"] > 3)
    assert 0 < table["flag"].sum() < table.height / 2


def test_the_same_again_and_other_masks_from_another_seed(made, tmp_path: Path) -> None:
    _, _, tiles, folder = made
    for name, seed in (("again", 2), ("other", 3)):
        train_local_entropy(tiles, folder / "gnn", tmp_path / name, FEW, seed=seed)
    for name in ("reference_A.safetensors", "calibration.parquet"):
        first = (folder / "model" / name).read_bytes()
        assert first == (tmp_path / "again" / name).read_bytes()
        assert first != (tmp_path / "other" / name).read_bytes()


def test_tiled_equals_untiled(made, tmp_path: Path) -> None:
    points, label, tiles, folder = made
    whole = _score(tiles, folder, tmp_path / "s.parquet").sort("point_id")
    cut = write_tiles(tmp_path / "cut", points, label, size=5000)
    assert len(cut) == 4
    parts = _score(cut, folder, tmp_path / "s.parquet").sort("point_id")
    for name in ("entropy", "mutual_information", "local_mean", "local_std", "score"):
        np.testing.assert_allclose(parts[name], whole[name], atol=1e-5, err_msg=name)
    train_local_entropy(cut[::-1], folder / "gnn", tmp_path / "model", FEW, seed=2)
    for letter in "AB":
        name = f"reference_{letter}.safetensors"
        one, two = (Reference.load(f / name) for f in (folder / "model", tmp_path / "model"))
        np.testing.assert_array_equal(one.point_id, two.point_id)
        np.testing.assert_allclose(one.latent, two.latent, atol=1e-5)
        np.testing.assert_allclose(one.entropy, two.entropy, atol=1e-5)


def test_the_evaluation_scores_without_a_gpu_what_was_trained_on_one(
    made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, tiles, folder = made
    wanted = _score(tiles, folder, tmp_path / "s.parquet")
    models = tmp_path / "models"
    shutil.copytree(folder / "gnn", models / "gnn")
    shutil.copytree(folder / "model", models / "local_entropy")
    path = models / "gnn" / "manifest.json"
    before = sha256_of(path)
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"config": manifest["config"] | {"device": "gpu"}}))
    other = models / "local_entropy" / "manifest.json"
    other.write_text(other.read_text().replace(before, sha256_of(path)))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"models\.device"):
        GnnModel(models / "gnn")
    found = []
    for tile in tiles:
        place = tile["points"].parent
        at = TileFolder(place, "x0_y0", 1e6, 0.0, (), models, {})
        made_of = score_members(at, ["gnn", "local_entropy"])
        assert pl.read_parquet(made_of["gnn"][0])["score"].is_not_nan().all()
        found.append(pl.read_parquet(made_of["local_entropy"][0]))
    assert pl.concat(found).equals(wanted)


def test_the_sparse_variant_is_an_option_of_the_version(made, tmp_path: Path) -> None:
    _, _, tiles, folder = made
    train_local_entropy(tiles, folder / "gnn", folder / "shrunk", {**FEW, "shrink": True}, seed=2)
    plain, shrunk = (_score(tiles, folder, tmp_path / "s", m) for m in ("model", "shrunk"))
    assert plain["entropy"].equals(shrunk["entropy"])
    assert not plain["z"].equals(shrunk["z"])


def test_the_precision_of_the_passes_belongs_to_the_version(made, tmp_path: Path) -> None:
    _, _, tiles, folder = made
    for precision in ("float32", "bfloat16"):
        settings = {**FEW, "precision": precision}
        train_local_entropy(tiles, folder / "gnn", folder / precision, settings, seed=2)
    plain, single, half = (
        _score(tiles, folder, tmp_path / "s", m) for m in ("model", "float32", "bfloat16")
    )
    assert single.equals(plain)  # what auto is on a CPU
    apart = (half["entropy"] - plain["entropy"]).abs()
    assert 0 < apart.max() < 0.02
    # The latent space is asked with dropout off, and stays.
    assert np.allclose(half["distance"], plain["distance"])


def test_a_network_without_labels_or_without_dropout(made, tmp_path: Path) -> None:
    points, label, tiles, _ = made
    few = write_tiles(tmp_path / "few", points, np.where(label == 1, -1, label))
    train_gnn(few, tmp_path / "gnn", SMALL)
    assert train_local_entropy(few, tmp_path / "gnn", tmp_path / "model", FEW) == {}
    table = _score(few, tmp_path, tmp_path / "s.parquet")
    assert table.schema == SCHEMA
    assert table["score"].is_nan().all()
    assert table["code"].to_list() == ["no_reference"] * points.height
    train_gnn(tiles, tmp_path / "dry", {**SMALL, "epochs": 1, "dropout": 0.0})
    with pytest.raises(ConfigError, match=r"detectors\.gnn\.dropout"):
        train_local_entropy(tiles, tmp_path / "dry", tmp_path / "none", FEW)


def test_too_few_right_points_are_said(made, tmp_path: Path) -> None:
    _, _, tiles, folder = made
    want = {"passes": 2, "reference": 400, "neighbours": 399}
    assert train_local_entropy(tiles, folder / "gnn", tmp_path / "model", want) == {}
    why = json.loads((tmp_path / "model" / "untrained.json").read_text())["why"]
    assert "too few to have 399 neighbours" in why


def test_a_version_is_immutable_and_belongs_to_its_network(made, tmp_path: Path) -> None:
    _, _, tiles, folder = made
    with pytest.raises(BedsieveError, match="never changes"):
        train_local_entropy(tiles, folder / "gnn", folder / "model", FEW)
    train_gnn(tiles, tmp_path / "gnn", {**SMALL, "epochs": 1}, seed=9)
    with pytest.raises(InputError, match="not the graph network"):
        LocalEntropyModel(folder / "model", tmp_path / "gnn")
    with pytest.raises(ConfigError, match="unknown setting pases"):
        LocalEntropySettings.from_mapping({"pases": 3})
    with pytest.raises(ConfigError, match="neighbours must be 2 or more"):
        replace(LocalEntropySettings(), neighbours=1)
    with pytest.raises(ConfigError, match="Known: auto, float32, bfloat16"):
        replace(LocalEntropySettings(), precision="half")


# The calibration plot.


@pytest.fixture
def held_back(tmp_path: Path) -> Path:
    """Labels held back of one model, made up."""
    rows = [
        # label, dropout off, over passes, entropy, z
        (0, 0.02, 0.04, 0.05, 0.1),
        (0, 0.06, 0.08, 0.05, 4.0),
        (1, 0.04, 0.95, 0.69, 9.0),
        (1, 0.99, 0.97, 0.12, 1.0),
    ]
    columns = {name: [] for name in CALIBRATION}
    for label, off, mean, h, z in rows:
        for name, value in zip(CALIBRATION, ("A", label, off, mean, h, 0.0, z), strict=True):
            columns[name].append(value)
    pl.DataFrame(columns, schema=CALIBRATION).write_parquet(tmp_path / "calibration.parquet")
    (tmp_path / "manifest.json").write_text(json.dumps({"config": {"sigma": 3.0}}))
    return tmp_path


def test_calibration_counts_outliers_mistakes_and_flags(held_back: Path) -> None:
    table = calibration_table(held_back)

    def rows(of: str) -> list[tuple[float, int, float]]:
        own = table.filter(of=of)
        return [(round(a, 3), b, c) for a, b, c in own.select("low", "points", "share").rows()]

    assert rows("probability") == [(0.0, 3, pytest.approx(1 / 3)), (0.9, 1, 1.0)]
    assert rows("mean_probability") == [(0.0, 2, 0.0), (0.9, 2, 1.0)]
    # The one mistake, an outlier that dropout off calls good, is where the passes disagree.
    assert [(n, share) for _, n, share in rows("entropy")] == [(2, 0.0), (1, 0.0), (1, 1.0)]
    assert rows("z_inlier") == [(3.0, 2, 0.5)]
    assert rows("z_outlier") == [(3.0, 2, 0.5)]
    write_calibration(held_back, held_back / "t.tsv")
    lines = (held_back / "t.tsv").read_text().splitlines()
    assert lines[0] == "fold\tof\tlow\thigh\tpoints\tmean\tshare"
    assert len(lines) == table.height + 1


def test_calibration_is_drawn_and_says_so_where_there_is_none(held_back: Path) -> None:
    draw_calibration(held_back, "Made up", held_back / "some.png")
    pl.DataFrame(schema=CALIBRATION).write_parquet(held_back / "calibration.parquet")
    assert calibration_table(held_back).height == 0
    draw_calibration(held_back, "Made up", held_back / "none.png")
    some, none = ((held_back / f"{name}.png").read_bytes() for name in ("some", "none"))
    assert some[:4] == none[:4] == b"\x89PNG"
    assert some != none
