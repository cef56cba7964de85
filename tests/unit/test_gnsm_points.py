"""Categorical score matching as a detector of points: from made tiles and surveys to scores."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bedsieve.detectors.gnsm_points import PointTable, learn_table, survey_metadata
from bedsieve.detectors.gnsm_points_settings import GnsmPointsSettings
from bedsieve.detectors.gnsm_scale import Scale
from bedsieve.detectors.gnsm_score import UNSEEN, score_tile
from bedsieve.detectors.gnsm_train import gather, train_gnsm
from bedsieve.ensemble.reasons import reasons
from bedsieve.errors import BedsieveError, ConfigError, InputError
from bedsieve.evaluation.members import TileFolder, score_members
from tests.unit.gnn_tiles import made_points

SMALL = {
    **{"width": 32, "layers": 2, "embedding": 16, "levels": 6, "steps": 150, "batch": 128},
    **{"checks": 3, "components": [1, 2], "mixture_rows": 2000, "per_survey": 200, "bins": 4},
}


def write(folder: Path, points: pl.DataFrame, bad: np.ndarray, cuts: int) -> list[dict[str, Path]]:
    """Tiles of equal numbers of points, with labels for all."""
    tiles = []
    for number, rows in enumerate(np.array_split(np.arange(points.height), cuts)):
        tile = folder / f"cut{cuts}_{number}"
        tile.mkdir(parents=True)
        paths = {kind: tile / f"{kind}.parquet" for kind in ("points", "labels")}
        points[rows].write_parquet(paths["points"])
        labels = pl.Series("label", bad[rows].astype(np.int8))
        points[rows].select("point_id").with_columns(labels).write_parquet(paths["labels"])
        tiles.append(paths)
    return tiles


def write_surveys(folder: Path, numbers: range) -> list[Path]:
    """Surveys 1 and 2 of one institution, the others of another; no instrument is known."""
    folder.mkdir()
    paths = []
    for number in numbers:
        said = {
            "survey_no": pl.Series([number] * 2, dtype=pl.UInt32),
            "institution": ["AWI" if number < 3 else "BAS"] * 2,
            "platform": [f"plane {number}"] * 2,
            "instrument": pl.Series([None] * 2, dtype=pl.String),
            "track_method": ["flight"] * 2,
        }
        paths.append(folder / f"S{number}.parquet")
        pl.DataFrame(said).write_parquet(paths[-1])
    return paths


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    points, bad = made_points()
    points = points.with_columns(year=(1985.0 + 10 * pl.col("survey_no")).cast(pl.Float32))
    folder = tmp_path_factory.mktemp("gnsm")
    return points, bad, folder, write_surveys(folder / "surveys", range(1, 5))


@pytest.fixture(scope="module")
def trained(made) -> Path:
    points, bad, folder, surveys = made
    manifest = train_gnsm(write(folder, points, bad, 1), surveys, folder / "model", SMALL, seed=3)
    return manifest.parent


def score(points: pl.DataFrame, made, model: Path, surveys=None) -> pl.DataFrame:
    folder = made[2]
    points.write_parquet(folder / "some.parquet")
    score_tile(
        folder / "some.parquet", model, folder / "scores.parquet", surveys=surveys or made[3]
    )
    return pl.read_parquet(folder / "scores.parquet")


def test_artefacts(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "network.safetensors", "mixture.safetensors", "coding.json", "table.json", "scale.json",
        "seeds.parquet", "curves.tsv", "manifest.json",
    }  # fmt: skip
    manifest = json.loads((trained / "manifest.json").read_text())
    assert set(manifest["files"]) == names - {"manifest.json"}
    coding = json.loads((trained / "coding.json").read_text())
    used = [name for name, _ in coding["categories"]]
    # Instrument, rule and temperature are the same everywhere.
    assert used == ["institution", "platform", "years", "surface", "mass balance"]
    assert [name for name, _ in coding["numbers"]] == ["thickness", "bed", "speed"]


def test_points_learnt_from_are_inliers_and_do_not_depend_on_tiles(made) -> None:
    points, bad, folder, _ = made
    settings = GnsmPointsSettings.from_mapping(SMALL)
    one = gather(write(folder / "a", points, bad, 1), settings, 3)
    many = gather(write(folder / "b", points, bad, 4)[::-1], settings, 3)
    assert one.equals(many)
    assert not set(one["point_id"]) & set(points.filter(pl.Series(bad))["point_id"])
    assert one["survey_no"].value_counts()["count"].to_list() == [200] * 4


def test_without_labels_there_is_a_remedy(made) -> None:
    points, bad, folder, _ = made
    tiles = write(folder / "c", points, bad, 1)
    labels = pl.read_parquet(tiles[0]["labels"])
    labels.head(0).write_parquet(tiles[0]["labels"])
    with pytest.raises(BedsieveError, match=r"set detectors\.gnsm\.train_on to points"):
        gather(tiles, GnsmPointsSettings.from_mapping(SMALL), 0)
    everyone = GnsmPointsSettings.from_mapping(SMALL | {"train_on": "points"})
    assert gather(tiles, everyone, 0).height == 800


def test_scores_are_of_the_point_alone_and_whole(made, trained: Path) -> None:
    points = made[0]
    table = score(points, made, trained)
    assert table["point_id"].to_list() == points["point_id"].to_list()
    found = table["score"].to_numpy()
    assert found.min() >= 0
    assert found.max() <= 1
    assert table["code"].is_null().all()
    part = score(points[100:140], made, trained)
    np.testing.assert_allclose(part["score"].to_numpy(), found[100:140], atol=1e-4)


def test_one_point_of_a_thousand_learnt_from_passes_one_half(made, trained: Path) -> None:
    points = made[0]
    learnt = pl.read_parquet(trained / "seeds.parquet")["point_id"]
    known = points.filter(pl.col("point_id").is_in(learnt.implode()))
    found = score(known, made, trained)["score"].to_numpy()
    assert np.median(found) < 0.01
    assert 0 < (found > 0.5).sum() <= 2


def test_usual_values_in_unusual_company_stand_out(made, trained: Path) -> None:
    points = made[0].head(200)
    absurd = points.with_columns(ice_thickness=pl.col("ice_thickness") * 0 + 30.0)
    usual, odd = (score(p, made, trained) for p in (points, absurd))
    assert odd["score"].median() > 0.5 > usual["score"].median()
    named = odd.filter(pl.col("score") >= 0.5)["because"]
    assert named.null_count() == 0
    assert "thickness" in named.to_list()
    assert usual.filter(pl.col("score") < 0.5)["because"].is_null().all()


def test_a_survey_of_a_new_institution_is_not_judged(made, trained: Path) -> None:
    points, _, folder, _ = made
    new = points.head(3).with_columns(survey_no=pl.Series([9, 9, 1], dtype=pl.UInt32))
    surveys = write_surveys(folder / "new", range(1, 2))
    said = pl.read_parquet(surveys[0]).with_columns(
        survey_no=pl.lit(9, pl.UInt32), institution=pl.lit("NEW")
    )
    said.write_parquet(folder / "new" / "S9.parquet")
    table = score(new, made, trained, surveys=[*surveys, folder / "new" / "S9.parquet"])
    assert table["code"].to_list() == [UNSEEN, UNSEEN, None]
    assert table["score"].is_nan().to_list() == [True, True, False]
    assert table["nll"].is_null().to_list() == [True, True, False]


def test_a_survey_that_training_never_saw_is_judged_by_what_it_says(made, trained: Path) -> None:
    points, _, folder, _ = made
    said = pl.read_parquet(made[3][0]).with_columns(survey_no=pl.lit(9, pl.UInt32))
    said.write_parquet(folder / "nine.parquet")
    tile = TileFolder(
        folder / "tile", "x0_y0", 1e4, 0.0, (folder / "nine.parquet",), trained.parent, {}
    )
    (tile.path / "scores").mkdir(parents=True)
    known = points.filter(pl.col("survey_no") == 1)
    known.with_columns(survey_no=pl.lit(9, pl.UInt32)).write_parquet(tile.points)
    (trained.parent / "gnsm").symlink_to(trained)
    score_members(tile, ["gnsm"])
    got, want = pl.read_parquet(tile.scores("gnsm")), score(known, made, trained)
    assert got.equals(want)
    assert got["code"].is_null().all()


def test_a_version_is_made_once_and_never_changes(made, trained: Path) -> None:
    points, bad, folder, surveys = made
    tiles = write(folder / "d", points, bad, 1)
    with pytest.raises(BedsieveError, match="trained already"):
        train_gnsm(tiles, surveys, trained, SMALL)
    again = train_gnsm(tiles, surveys[::-1], folder / "again", SMALL, seed=3).parent
    for name in ("network.safetensors", "mixture.safetensors", "scale.json", "seeds.parquet"):
        assert (again / name).read_bytes() == (trained / name).read_bytes(), name
    (again / "scale.json").write_text("{}")
    with pytest.raises(InputError, match=r"scale\.json"):
        score(points.head(2), made, again)


def test_bins_and_bands_by_hand() -> None:
    points = pl.DataFrame(
        {
            "survey_no": pl.Series([1, 2, 1, 1], dtype=pl.UInt32),
            "year": [1999.9, 2000.0, None, 2019.5],
            "ice_thickness": [0.0, np.e - 1, 10, 10],
            "bed_elev": [1.0, 2, 3, None],
            "z": [0.0, 1, 2, 3],
            "smb": [5.0, None, 5, 5],
            "vx": [3.0, 0, 0, 0],
            "vy": [4.0, 0, 0, 0],
        }
    )
    surveys = pl.DataFrame(
        {"survey_no": [1], "institution": ["AWI"], "platform": [None], "instrument": [None]}
        | {"track_method": ["time"]},
        schema_overrides={"survey_no": pl.UInt32, "platform": pl.String, "instrument": pl.String},
    )
    layout = learn_table(points, GnsmPointsSettings(bins=2, year_band=10))
    table = layout.of(points, surveys)
    assert table["institution"].to_list() == ["AWI", "", "AWI", "AWI"]
    assert table["years"].to_list() == ["1990", "2000", "", "2010"]
    assert table["surface"].to_list() == ["0", "0", "1", "1"]
    assert table["mass balance"].to_list() == ["1", "", "1", "1"]
    assert table["temperature"].to_list() == [""] * 4
    np.testing.assert_allclose(table["thickness"].to_numpy()[:2], [0, 1])
    np.testing.assert_allclose(table["speed"].to_numpy(), [np.log(6), 0, 0, 0])
    assert np.isnan(table["slope"].to_numpy()).all()
    assert PointTable.from_mapping(layout.to_mapping()) == layout


def test_metadata_of_surveys_without_points(tmp_path: Path) -> None:
    paths = write_surveys(tmp_path / "s", range(1, 3))
    pl.read_parquet(paths[0]).head(0).write_parquet(paths[0])
    assert survey_metadata(paths)["survey_no"].to_list() == [2]
    assert survey_metadata([]).height == 0


def test_score_by_hand() -> None:
    scale = Scale(10.0, 14.0, ("a", "b"), (1.0, 5.0), (1.0, 10.0))
    found = scale.score(np.array([3.0, 10.0, 14.0, 22.0, np.nan]))
    np.testing.assert_allclose(found, [0, 0, 0.5, 0.75, np.nan])
    assert scale.because(np.array([[3.0, 20.0], [1.0, 26.0]])) == ["a", "b"]
    assert Scale.from_mapping(scale.to_mapping()) == scale


def test_the_reason_names_what_speaks_against_a_point() -> None:
    frame = pl.DataFrame({"score_gnsm": [0.83, 0.2], "gnsm.because": ["institution", None]})
    assert reasons(frame).to_list() == [
        "its survey and physics seldom come together, least of all its institution (gnsm score 0.83)",
        "its survey and physics seldom come together (gnsm score 0.20)",
    ]


def test_unknown_choice_is_named() -> None:
    with pytest.raises(ConfigError, match="train_on 'all' is unknown"):
        GnsmPointsSettings.from_mapping({"train_on": "all"})
