"""Carving: the loss by hand, the encoder, families on made blobs, propagation by brute force, versions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from bedsieve.detectors.carving import train_carving
from bedsieve.detectors.carving_data import gather_seeds
from bedsieve.detectors.carving_encoder import Encoder
from bedsieve.detectors.carving_families import Family, cluster, measure
from bedsieve.detectors.carving_features import CONTRASTS, TileInputs, contrasts, n_inputs
from bedsieve.detectors.carving_model import NO_FAMILY, CarvingModel, score_tile
from bedsieve.detectors.carving_propagation import Propagation
from bedsieve.detectors.carving_settings import CarvingSettings
from bedsieve.detectors.nets.carving import CentreLoss, CentreNet
from bedsieve.errors import BedsieveError, ConfigError, InputError
from bedsieve.products.families import families_table
from tests.unit.gnn_tiles import made_points, write_tiles

SMALL = {"epochs": 30, "batch": 128, "learning_rate": 0.01, "smallest_family": 5}


def net_and_encoder(inputs: int = 20) -> tuple[CentreNet, Encoder]:
    torch.manual_seed(1)
    net = CentreNet(inputs, (64, 32), 0.111).eval()
    return net, Encoder({name: value.numpy() for name, value in net.state_dict().items()})


def test_size_of_the_network() -> None:
    net, _ = net_and_encoder(n_inputs(True))
    # 20·64+64 and 64·32+32 hidden, 32·2+2 to the plane, 2+1 to the logit, two centres in the plane.
    assert n_inputs(True) == 20
    assert sum(p.numel() for p in net.parameters()) == 1344 + 2080 + 66 + 3 + 4
    assert n_inputs(False) == 14


@pytest.mark.parametrize("radius", [0.5, 10.0])
def test_loss_by_hand(radius: float) -> None:
    z = np.array([[0.5, -1.0], [2.0, 1.0], [-1.5, 0.25]])
    logit = np.array([-0.3, 1.2, 0.4])
    label = np.array([0.0, 1.0, 0.0])
    centres = np.array([[-1.0, 0.0], [1.0, 0.5]])
    p = 1 / (1 + np.exp(-logit))
    bce = -(np.log(1 - p[0]) + 16.65 * np.log(p[1]) + np.log(1 - p[2])) / 3
    # Squared distances: 1.5² + 1², 1² + 0.5², 0.5² + 0.25²; the centres are 2² + 0.5² apart.
    centre = (3.25 + 1.25 + 0.3125) / 3
    expected = bce + 1.0 * centre - 0.05 * min(4.25, radius**2)
    tensors = (torch.tensor(a) for a in (z, logit, label, centres))
    got = CentreLoss(16.65, repulsion_radius=radius)(*tensors)
    assert float(got) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("distance", "pushed"), [(1.9, True), (2.1, False)])
def test_centres_are_pushed_only_within_the_radius(distance: float, pushed: bool) -> None:
    centres = torch.tensor([[0.0, 0.0], [distance, 0.0]], requires_grad=True)
    z, zero = torch.zeros(1, 2), torch.zeros(1)
    CentreLoss(1.0, centre_weight=0.0, repulsion_radius=2.0)(z, zero, zero, centres).backward()
    expected = [[2 * 0.05 * distance, 0.0], [-2 * 0.05 * distance, 0.0]] if pushed else [[0, 0]] * 2
    np.testing.assert_allclose(centres.grad, expected, rtol=1e-6)


def test_encoder_equals_torch_whatever_the_rows_beside() -> None:
    net, encoder = net_and_encoder()
    x = np.random.default_rng(0).normal(0, 3, (501, 20)).astype(np.float32)
    with torch.no_grad():
        z, logit = net(torch.from_numpy(x))
    got = encoder.encode(x)
    np.testing.assert_allclose(got[0], z.numpy(), atol=1e-5)
    np.testing.assert_allclose(got[1], logit.numpy(), atol=1e-5)
    one_by_one = np.concatenate([encoder.encode(x[i : i + 1])[0] for i in range(len(x))])
    np.testing.assert_array_equal(one_by_one, got[0])


def test_encoder_saved_and_loaded(tmp_path: Path) -> None:
    _, encoder = net_and_encoder()
    encoder.save(tmp_path / "encoder.safetensors")
    back = Encoder.load(tmp_path / "encoder.safetensors")
    assert set(back.weights) == set(encoder.weights)
    for name, value in encoder.weights.items():
        np.testing.assert_array_equal(back.weights[name], value)


def test_contrasts_by_hand() -> None:
    thickness = np.array([1000.0, 1100.0, 1060.0, 900.0])
    line = np.array([7, 7, 8, 9])
    neighbour = np.array([[1, 2, 3], [-1, -1, -1], [1, -1, -1]], np.int32)
    log1p_dist = np.log1p(np.array([[50.0, 100.0, 300.0], [0, 0, 0], [20.0, 0, 0]], np.float32))
    got = contrasts(thickness, line, np.array([0, 1, 2]), neighbour, log1p_dist)

    def log(x: float) -> float:
        return float(np.sign(x) * np.log1p(abs(x) / 15))

    # Neighbours 1100, 1060, 900: median 1060, deviations 40, 0, 160; others 1060 and 900: median 980.
    first = [log(-60), log(20), 1, log(-60), np.log1p(40 / 15), np.log1p(150 / 100)]
    last = [log(-40), log(-40), 1, log(-40), 0, np.log1p(20 / 100)]
    np.testing.assert_allclose(got, [first, [0] * 6, last], rtol=1e-5)


def blobs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    sizes, places = (120, 60, 40), np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    which = np.repeat(np.arange(3), sizes)
    blob = places[which] + rng.normal(0, 0.2, (which.size, 2))
    stray = rng.uniform(9, 30, (8, 2))
    order = rng.permutation(which.size + 8)
    points = np.concatenate([blob, stray])[order].astype(np.float32)
    return points, np.concatenate([which, np.full(8, -1)])[order]


def test_families_of_blobs_largest_first() -> None:
    points, truth = blobs()
    settings = CarvingSettings(smallest_family=15)
    family, core = cluster(points, settings)
    agree = family == truth
    assert agree[truth < 0].all()
    assert agree.mean() > 0.95
    distance = np.sqrt(((points[:, None] - points[None].astype(np.float64)) ** 2).sum(-1))
    np.testing.assert_allclose(core, np.sort(distance, axis=1)[:, 15])
    np.testing.assert_array_equal(cluster(points, settings)[0], family)


def test_purity_decides() -> None:
    points, _ = blobs()
    settings = CarvingSettings(smallest_family=15)
    family, core = cluster(points, settings)
    rng = np.random.default_rng(4)
    inliers = np.concatenate(
        [rng.normal(0, 0.2, (500, 2)), rng.normal([6.0, 0.0], 0.2, (30, 2)), [[40.0, 40.0]]]
    ).astype(np.float32)
    found = measure(points, family, core, inliers, settings)
    assert [f.number for f in found] == [0, 1, 2]
    for f in found:
        own = points[family == f.number].astype(np.float64)
        reach = np.quantile(core[family == f.number], 0.9)
        nearest = np.sqrt(((inliers[:, None] - own[None]) ** 2).sum(-1)).min(axis=1)
        assert f.reach == pytest.approx(reach)
        assert f.inliers == (nearest <= reach).sum()
        assert f.outliers == len(own)
        assert f.purity == f.outliers / (f.outliers + f.inliers)
        assert f.kept == (f.purity >= 0.5)
    assert [f.kept for f in found] == [False, True, True]
    assert found[2].purity == 1


def kept_families() -> list[Family]:
    rng = np.random.default_rng(5)
    return [
        Family(0, rng.normal(0, 1, (40, 2)).astype(np.float32), 0.4, 40, 10, True),
        Family(1, rng.normal(0, 1, (30, 2)).astype(np.float32), 9.0, 30, 90, False),
        Family(2, rng.normal(1, 1, (20, 2)).astype(np.float32), 0.6, 20, 1, True),
    ]


def test_propagation_by_brute_force() -> None:
    families, centre = kept_families(), np.array([-4.0, 1.0])
    points = np.random.default_rng(6).normal(0, 3, (700, 2)).astype(np.float32)
    got = Propagation(families, centre).judge(points)
    for point, score, family, distance in zip(points.astype(np.float64), *got, strict=True):
        best = (-1.0, -1, 0.0)
        nearest = (np.inf, 0.0)
        for one in families:
            if one.kept:
                d = np.sqrt(((one.members - point) ** 2).sum(axis=1)).min()
                if d <= one.reach:
                    grade = 0.5 + 0.5 * one.purity * (1 - d / one.reach)
                    best = max(best, (grade, one.number, d / one.reach))
                nearest = min(nearest, (d - one.reach, d / one.reach))
        away = np.sqrt(((point - centre) ** 2).sum())
        inside = best[1] >= 0
        expected = best[0] if inside else 0.5 * away / (away + nearest[0])
        assert score == pytest.approx(expected, rel=1e-6)
        assert family == best[1]
        assert distance == pytest.approx(best[2] if inside else nearest[1], rel=1e-6)
    assert set(got.family.tolist()) == {-1, 0, 2}
    np.testing.assert_array_equal(got.score >= 0.5, got.family >= 0)
    assert got.score.min() >= 0
    assert got.score.max() <= 1


@pytest.mark.parametrize("chunk", [1, 97, 10_000])
def test_chunks_and_order_change_nothing(chunk: int) -> None:
    propagation = Propagation(kept_families(), np.zeros(2))
    points = np.random.default_rng(7).normal(0, 3, (500, 2)).astype(np.float32)
    whole = propagation.judge(points)
    order = np.random.default_rng(8).permutation(500)
    for a, b in zip(propagation.judge(points[order], chunk), whole, strict=True):
        np.testing.assert_array_equal(a, b[order])


def test_a_point_at_the_edge_of_the_reach() -> None:
    family = Family(0, np.zeros((1, 2), np.float32), 1.0, 1, 0, True)
    beyond = np.nextafter(np.float32(1), np.float32(2))
    points = np.array([[1.0, 0.0], [beyond, 0.0], [0.0, 0.0]], np.float32)
    got = Propagation([family], np.array([5.0, 0.0])).judge(points)
    assert got.family.tolist() == [0, -1, 0]
    assert got.score[0] == 0.5
    assert got.score[1] < 0.5
    assert got.score[2] == 1


def test_no_kept_family_no_score() -> None:
    got = Propagation(kept_families()[1:2], np.zeros(2)).judge(np.zeros((3, 2), np.float32))
    assert np.isnan(got.score).all()
    assert got.family.tolist() == [-1, -1, -1]


@pytest.fixture(scope="module")
def points() -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    frame, bad = made_points(3000)
    label = np.where(np.random.default_rng(9).random(len(bad)) < 0.5, bad.astype(np.int64), -1)
    return frame, bad, label


@pytest.fixture(scope="module")
def trained(
    points: tuple[pl.DataFrame, np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Path]]]:
    folder = tmp_path_factory.mktemp("carving")
    tiles = write_tiles(folder, points[0], points[2], size=5_000, hops=1)
    train_carving(tiles, folder / "model", SMALL)
    return folder / "model", tiles


def scored(
    tiles: list[dict[str, Path]], model: Path, out: Path, chunk: int = 1 << 17
) -> pl.DataFrame:
    parts = []
    for n, tile in enumerate(tiles):
        score_tile(tile["points"], tile["halo"], tile["edges"], model, out / f"{n}.parquet", chunk)
        parts.append(pl.read_parquet(out / f"{n}.parquet"))
    return pl.concat(parts).sort("point_id")


def test_scores_find_the_bad_points(
    points: tuple[pl.DataFrame, np.ndarray, np.ndarray],
    trained: tuple[Path, list[dict[str, Path]]],
    tmp_path: Path,
) -> None:
    table = scored(trained[1], trained[0], tmp_path)
    frame, bad, label = points
    assert table["point_id"].to_list() == frame["point_id"].sort().to_list()
    assert table.schema["score"] == pl.Float32
    assert table["score"].is_between(0, 1).all()
    assert (table["carved"] == (table["score"] >= 0.5)).all()
    assert (table["carved"] == table["family"].is_not_null()).all()
    assert (table["carved"] == table["purity"].is_not_null()).all()
    truth = pl.DataFrame({"point_id": frame["point_id"], "bad": bad, "known": label >= 0})
    unknown = table.join(truth, on="point_id").filter(~pl.col("known"))
    carved = unknown.filter("carved")
    assert carved["bad"].mean() > 0.8
    assert carved["bad"].sum() > 0.5 * unknown["bad"].sum()


def test_no_point_is_scored_by_a_model_that_saw_its_region(
    points: tuple[pl.DataFrame, np.ndarray, np.ndarray],
    trained: tuple[Path, list[dict[str, Path]]],
    tmp_path: Path,
) -> None:
    model = CarvingModel(trained[0])
    table = scored(trained[1], trained[0], tmp_path)
    frame = points[0].sort("point_id")
    region = model.folds.region_of(frame)
    seeds = pl.read_parquet(trained[0] / "seeds.parquet")
    place = dict(zip(frame["point_id"], region, strict=True))
    for fold, other in (("A", "B"), ("B", "A")):
        trained_on = {place[i] for i in seeds.filter(fold=fold)["point_id"]}
        of_other = set(region[(table["fold"] == fold).to_numpy()].tolist())
        assert trained_on == {ord(fold) - 65}
        assert of_other == {ord(other) - 65}


def test_tiles_their_order_chunks_and_threads_change_nothing(
    points: tuple[pl.DataFrame, np.ndarray, np.ndarray],
    trained: tuple[Path, list[dict[str, Path]]],
    tmp_path: Path,
) -> None:
    expected = scored(trained[1], trained[0], tmp_path)
    before = torch.get_num_threads()
    whole = write_tiles(tmp_path / "whole", points[0], points[2], hops=1)
    halved = list(reversed(trained[1]))
    try:
        for n, (threads, tiles) in enumerate([(1, whole), (2, halved)]):
            torch.set_num_threads(threads)
            model = tmp_path / f"model_{n}"
            train_carving(tiles, model, SMALL)
            for name in (
                "encoder_A.safetensors",
                "families.parquet",
                "seeds.parquet",
                "folds.json",
            ):
                assert (model / name).read_bytes() == (trained[0] / name).read_bytes(), name
            assert scored(tiles, model, tmp_path, chunk=211).equals(expected)
    finally:
        torch.set_num_threads(before)


def test_another_seed_gives_other_weights(
    trained: tuple[Path, list[dict[str, Path]]], tmp_path: Path
) -> None:
    train_carving(trained[1], tmp_path / "model", {**SMALL, "epochs": 1, "seed": 1})
    weights = [Encoder.load(m / "encoder_A.safetensors") for m in (trained[0], tmp_path / "model")]
    assert not np.array_equal(*(w.weights["encoder.0.weight"] for w in weights))


def test_version_is_frozen_and_checked(
    trained: tuple[Path, list[dict[str, Path]]], tmp_path: Path
) -> None:
    model, tiles = trained
    manifest = json.loads((model / "manifest.json").read_text())
    assert manifest["config"]["centre_weight"] == 1.0
    assert manifest["seed"] == 0
    assert set(manifest["files"]) == {p.name for p in model.iterdir()} - {"manifest.json"}
    with pytest.raises(BedsieveError, match="trained already"):
        train_carving(tiles, model, SMALL)
    with pytest.raises(InputError, match="not trained"):
        CarvingModel(tmp_path)


def test_families_table_counts_what_was_carved(
    trained: tuple[Path, list[dict[str, Path]]], tmp_path: Path
) -> None:
    table = scored(trained[1], trained[0], tmp_path)
    paths = [tmp_path / f"{n}.parquet" for n in range(len(trained[1]))]
    families = families_table(trained[0], paths)
    assert families["points_carved"].sum() == table["carved"].sum() > 0
    assert (families.filter(decision="drop")["points_carved"] == 0).all()
    shares = families["outliers"] / (families["outliers"] + families["inliers_in_reach"])
    np.testing.assert_allclose(families["purity"], shares)
    assert ((families["decision"] == "keep") == (families["purity"] >= 0.5)).all()


def test_where_no_family_is_kept_the_code_says_so(
    trained: tuple[Path, list[dict[str, Path]]], tmp_path: Path
) -> None:
    # No family of these few seeds can have as many members as the least family needs.
    strict = {**SMALL, "epochs": 1, "family_share": 1.0}
    train_carving(trained[1], tmp_path / "model", strict)
    table = scored(trained[1], tmp_path / "model", tmp_path)
    assert table["score"].is_nan().all()
    assert (table["code"] == NO_FAMILY).all()
    assert families_table(tmp_path / "model", []).height == 0


def test_too_few_labels(
    points: tuple[pl.DataFrame, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    label = np.where(np.arange(len(points[1])) < 30, points[2], -1)
    tiles = write_tiles(tmp_path, points[0], label, hops=1)
    with pytest.raises(BedsieveError, match="Leave carving out"):
        gather_seeds(tiles, CarvingSettings())


def test_inputs_hold_physics_then_contrasts(
    trained: tuple[Path, list[dict[str, Path]]],
) -> None:
    tile = trained[1][0]
    paths = (tile["points"], tile["halo"], tile["edges"])
    with_contrasts, physics = TileInputs(*paths, True), TileInputs(*paths, False)
    x = with_contrasts.of_slice(3, 50)
    assert x.shape == (50, 14 + len(CONTRASTS))
    np.testing.assert_array_equal(x[:, :14], physics.of_slice(3, 50))
    np.testing.assert_array_equal(x[[7, 2]], with_contrasts.of_rows(np.array([10, 5])))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"epoch": 3}, "unknown setting epoch"),
        ({"folds": "tracks"}, "folds 'tracks'"),
        ({"n_folds": 1}, "n_folds"),
        ({"widths": []}, "widths"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CarvingSettings.from_mapping(wrong)
