"""Injection and recovery on one small tile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bedsieve.errors import BedsieveError, ConfigError
from bedsieve.evaluation.baselines import BASELINES
from bedsieve.evaluation.injected_tile import Settings, injected_points, judge_tile
from bedsieve.evaluation.members import SCORERS, TileFolder, score_members, with_what_they_read
from bedsieve.simulate.error_mix import KINDS, ErrorMix
from tests.unit.flight_lines import flight_lines

REACH = 4000.0
MIX = ErrorMix.from_dict(
    {
        "prevalence": 0.05,
        "length": {"sector": [20, 40], "line_bias": [20, 200], "displaced": [10, 30]},
        "displaced_m": [200, 600],
        "least_effect_m": 5,
    }
)


@pytest.fixture
def tile(tmp_path: Path) -> TileFolder:
    points = flight_lines(lines=30, points=120, side=4000.0, noise=2.0, bad=0.0).unique("point_id")
    surface = pl.col("ice_thickness") * 0 + 1900.0
    points = points.with_columns(
        surface_alt=pl.when(pl.col("survey_no") == 1).then(None).otherwise(surface),
        z=surface.cast(pl.Float32),
        bed_elev=surface - pl.col("ice_thickness"),
        bed_reconstructed=pl.col("survey_no") == 1,
        **{name: pl.lit(1.0, pl.Float32) for name in ("v", "s", "smb", "temp")},
    )
    points = points.sort("east")
    inside = pl.col("east").is_between(0, 4000, closed="left") & pl.col("north").is_between(
        0, 4000, closed="left"
    )
    points.filter(inside).write_parquet(tmp_path / "points.parquet")
    halo = points.filter(~inside).with_columns(ring=pl.lit(1, pl.UInt8))
    halo.write_parquet(tmp_path / "halo.parquet")
    settings = {"along_track": {"floor": 100.0}, "segments": {"reach": 1000.0, "window": 2000.0}}
    return TileFolder(tmp_path, "x0_y0", 4000.0, REACH, (), tmp_path / "models", settings)


def settings(**ensemble: object) -> Settings:
    return Settings(
        graph={"k": 16, "max_neighbour_distance": 1000.0, "hops": 1, "min_tracks": 0},
        crossovers={"radius": 25.0, "max_gap": 1000.0},
        ensemble={"members": ["along_track", "segments"], "weights": {}, "threshold": 0.5}
        | {"inputs": "score", "fdr": None, "prevalence": None}
        | ensemble,
        mix=MIX,
    )


def test_points_change_where_the_truth_says_and_nowhere_else(tile: TileFolder) -> None:
    core, halo, truth = injected_points(tile, MIX, seed=1)
    before = pl.read_parquet(tile.points)
    assert core.schema == before.schema
    assert halo.columns == pl.read_parquet(tile.halo).columns
    assert core["point_id"].equals(before["point_id"])
    assert core["point_id"].equals(truth["point_id"])
    assert set(truth["kind"].drop_nulls()) <= set(KINDS)
    bad = truth["kind"].is_not_null()
    assert bad.sum() > 20
    assert core.filter(~bad).equals(before.filter(~bad))
    delta = (core["ice_thickness"] - before["ice_thickness"]).to_numpy()
    assert delta == pytest.approx(truth["delta_m"].to_numpy())
    # A bed made from the surface follows the thickness.
    made = core["bed_reconstructed"]
    kept = core.filter(made).select(pl.col("bed_elev") + pl.col("ice_thickness") - 1900.0)
    assert np.abs(kept.to_numpy()).max() < 1e-6
    # A surface from a grid stays, whatever the file's columns hold.
    assert core.filter(made)["z"].equals(before.filter(made)["z"])


def test_another_seed_or_tile_gives_other_errors_and_the_same_gives_the_same(
    tile: TileFolder,
) -> None:
    first, again = (injected_points(tile, MIX, seed=1)[2] for _ in range(2))
    assert first.equals(again)
    assert not first.equals(injected_points(tile, MIX, seed=2)[2])
    assert not first.equals(injected_points(replace(tile, tile="x0_y1"), MIX, seed=1)[2])


def test_judged_tile_has_all_scores_and_leaves_no_scratch(tile: TileFolder, tmp_path: Path) -> None:
    out = tmp_path / "judged" / "seed1.parquet"
    bad = judge_tile(tile, out, settings(), seed=1)
    judged = pl.read_parquet(out)
    assert [path.name for path in out.parent.iterdir()] == ["seed1.parquet"]
    assert judged["point_id"].equals(pl.read_parquet(tile.points)["point_id"])
    assert judged["kind"].count() == bad
    assert {f"baseline_{name}" for name in BASELINES} <= set(judged.columns)
    # Of two members, the ensemble without one is the other.
    for member, other in (("along_track", "segments"), ("segments", "along_track")):
        assert judged[f"score_without_{member}"].equals(judged[f"score_{other}"], check_names=False)
    # Spikes and slips of hundreds of metres are no riddle.
    found = judged.filter(pl.col("kind").is_in(["spike", "unit_slip"]))["score_ensemble"]
    assert found.median() > judged.filter(pl.col("kind").is_null())["score_ensemble"].quantile(0.9)  # type: ignore[operator]


def test_weights_of_absent_members_do_not_stop_the_ablation(
    tile: TileFolder, tmp_path: Path
) -> None:
    one = settings(members=["segments"], weights={"segments": 4, "pca": 2})
    judge_tile(tile, tmp_path / "one.parquet", one, seed=1)
    judged = pl.read_parquet(tmp_path / "one.parquet")
    assert judged["score_ensemble"].equals(judged["score_segments"], check_names=False)
    assert not [name for name in judged.columns if name.startswith("score_without_")]


def test_a_detector_beside_the_members_changes_nothing_but_its_own_columns(
    tile: TileFolder, tmp_path: Path
) -> None:
    # A weight counts from when its detector is a member.
    alone = settings(members=["segments"], weights={"along_track": 9})
    judge_tile(tile, tmp_path / "alone.parquet", alone, seed=1)
    judge_tile(tile, tmp_path / "more.parquet", replace(alone, beside=["along_track"]), seed=1)
    before, after = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("alone", "more"))
    assert after.select(before.columns).equals(before)
    own = ["beside_along_track", "score_with_along_track"]
    assert [name for name in after.columns if name not in before.columns] == own
    # One more member of weight 1 is the mean of two.
    mean = after.select((pl.col("score_segments") + pl.col("beside_along_track")) / 2)
    known = after["beside_along_track"].is_not_null() & after["score_segments"].is_not_null()
    assert known.mean() > 0.9
    found = after["score_with_along_track"].filter(known).to_numpy()
    assert found == pytest.approx(mean.to_series().filter(known).to_numpy(), abs=1e-6)


def test_an_ensemble_that_learns_is_not_tried_with_a_detector_that_it_was_not_taught(
    tile: TileFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bedsieve.ensemble.frozen import Mix
    from bedsieve.evaluation import injected_tile

    taught = Mix(weights={"segments": 1.0}, inputs={}, threshold=0.5)
    monkeypatch.setattr(injected_tile, "mix_of", lambda *_: taught)
    learned = replace(settings(members=["segments"], weights="learned"), beside=["along_track"])
    judge_tile(tile, tmp_path / "learned.parquet", learned, seed=1)
    columns = pl.read_parquet_schema(tmp_path / "learned.parquet").names()
    assert "beside_along_track" in columns
    assert "score_with_along_track" not in columns


def test_a_tile_without_room_for_errors_is_refused(tile: TileFolder, tmp_path: Path) -> None:
    nothing = replace(settings(), mix=replace(MIX, prevalence=0.0))
    with pytest.raises(BedsieveError, match="no error of the mix fits"):
        judge_tile(tile, tmp_path / "none.parquet", nothing, seed=1)


def test_what_a_member_reads_is_scored_once_and_before_it() -> None:
    assert with_what_they_read(["pca", "sparker", "segments", "pca"]) == [
        *("pca", "along_track", "segments", "sparker")
    ]


def test_an_unknown_member_is_named(tile: TileFolder) -> None:
    with pytest.raises(ConfigError, match="oracle cannot score a tile folder"):
        score_members(tile, ["oracle"])


def test_every_member_that_the_schema_knows_can_score_a_tile_folder() -> None:
    from bedsieve.config import schema

    known = schema()["properties"]["ensemble"]["properties"]["members"]["items"]["enum"]
    assert set(SCORERS) == set(known)


def test_sparker_fits_each_survey_of_a_tile_from_the_tables_that_it_needs(
    tile: TileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bedsieve.config import schema
    from bedsieve.detectors import sparker_tile
    from bedsieve.detectors.sparker_reference import sample, train_reference
    from bedsieve.detectors.sparker_residuals import residual_table
    from bedsieve.evaluation.injected_tile import _rebuild

    known = schema()["properties"]["detectors"]["properties"]["sparker"]["properties"]
    section = {name: value["default"] for name, value in known.items()}
    section |= {"inspected": 400, "reference": 1200, "kernels": 4}
    folder = replace(tile, settings={**tile.settings, "sparker": section})
    _rebuild(folder, settings())
    points = pl.read_parquet(folder.points)
    wrong = pl.col("point_id").is_in(points["point_id"].gather_every(40).implode())
    score_members(folder, ["along_track", "segments"])  # clean: what the reference is made of
    clean = residual_table(
        folder.points,
        [folder.scores("along_track")],
        folder.scores("segments"),
        [folder.crossovers, folder.crossovers_beyond],
    )
    clean.with_columns(seed=pl.lit(True)).write_parquet(folder.path / "residuals.parquet")
    train_reference([folder.path / "residuals.parquet"], folder.models / "sparker", version="v")
    spoilt = points.with_columns(pl.col("ice_thickness") + 300 * wrong.cast(pl.Float64))
    spoilt.write_parquet(folder.points)
    seeds = []

    def drawn(*survey: object, seed: int, **wanted: object) -> object:
        seeds.append(seed)
        return sample(*survey, seed=seed, **wanted)

    monkeypatch.setattr(sparker_tile, "sample", drawn)
    (found,) = score_members(replace(folder, seed=5), ["sparker"])["sparker"]
    # A survey's own seed, and that of the models: as in a usual run.
    assert seeds == [1000 * number + 5 for number in sorted(points["survey_no"].unique())]
    scores = pl.read_parquet(found)
    assert scores["point_id"].equals(points["point_id"])
    assert scores.columns == ["point_id", "score", "code", "feature"]
    bad = scores.select(wrong).to_series()
    score = scores["score"].fill_nan(None)
    assert score.filter(bad).drop_nulls().median() > 0.5
    assert score.filter(~bad).drop_nulls().quantile(0.9) < 0.1
