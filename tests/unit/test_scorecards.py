"""Survey scorecards: residuals, a matched reference, toys in batches, and what is said of a survey."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bedsieve.detectors import sparker_residuals as residuals
from bedsieve.detectors.sparker_describe import describe
from bedsieve.detectors.sparker_fit import SparkerSettings
from bedsieve.detectors.sparker_jobs import survey_seed, toy_evaluations
from bedsieve.detectors.sparker_kernels import Kernels
from bedsieve.detectors.sparker_reference import load_reference, sample, train_reference
from bedsieve.detectors.sparker_survey import (
    ScorecardSettings,
    read_sample,
    write_sample,
    write_scorecard,
    write_toys,
)
from bedsieve.ensemble.combine import member_scores
from bedsieve.errors import BedsieveError, InputError
from bedsieve.products.scorecards import COLUMNS, scorecards
from tests.unit.test_sparker import undrawn

SETTINGS = ScorecardSettings(
    inspected=300,
    reference=700,
    toys=19,
    batches=2,
    fit=SparkerSettings(kernels=3, steps=100, checkpoints=4),
)
BAD, CLEAN = 2, 3
TILE_SIZE = 50_000.0


def residual_table(survey_no: int, n: int, bad: int = 0, seeds: bool = False) -> pl.DataFrame:
    """Normal residuals; the first `bad` points are far too thick against other tracks, in the east."""
    rng = np.random.default_rng(survey_no)
    neighbour = rng.normal(size=n)
    neighbour[:bad] = 25 + rng.normal(size=bad)
    if seeds:
        neighbour[:80] = rng.uniform(4, 12, 80)
    crossing = 8 * rng.normal(size=n)
    east = np.where(np.arange(n) < bad, 60_000.0, rng.uniform(0, 49_000, n))
    absent = (np.arange(n) % 2 == 1) if not seeds else np.zeros(n, bool)
    return pl.DataFrame(
        {
            "point_id": np.arange(n, dtype=np.uint64) + np.uint64(survey_no << 32),
            "survey_no": np.full(n, survey_no, np.uint32),
            "east": east,
            "north": rng.uniform(0, 49_000, n),
            "track": rng.normal(size=n).astype(np.float32),
            "neighbour": neighbour.astype(np.float32),
            "crossing": pl.Series(np.where(absent, np.nan, crossing), dtype=pl.Float32).fill_nan(
                None
            ),
            "noise_m": rng.uniform(3, 9, n).astype(np.float32),
            "seed": np.full(n, seeds),
        }
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scorecards")
    tables = [
        residual_table(1, 4000, seeds=True),
        residual_table(BAD, 900, bad=60),
        residual_table(CLEAN, 900),
    ]
    pl.concat(tables).write_parquet(folder / "residuals.parquet")
    train_reference([folder / "residuals.parquet"], folder / "model", version="v")
    return folder


def card(
    folder: Path, survey_no: int, names: Sequence[str] = ("residuals.parquet",)
) -> tuple[dict[str, object], pl.DataFrame, pl.DataFrame]:
    paths = [folder / name for name in names]
    out = folder / str(survey_no)
    kept = {"settings": SETTINGS, "seed": survey_no}
    write_sample(paths, folder / "model", out / "sample.parquet", survey_no=survey_no, **kept)
    for batch in range(SETTINGS.batches):
        write_toys(out / "sample.parquet", out / f"toys_{batch}.parquet", batch=batch, **kept)
    write_scorecard(
        out / "sample.parquet",
        [out / f"toys_{batch}.parquet" for batch in (1, 0)],
        paths,
        card_path=out / "scorecard.json",
        kernels_path=out / "kernels.parquet",
        scores_path=out / "scores.parquet",
        survey=f"SURVEY_{survey_no}",
        survey_no=survey_no,
        tile_size=TILE_SIZE,
        **kept,
    )
    return (
        json.loads((out / "scorecard.json").read_text()),
        pl.read_parquet(out / "kernels.parquet"),
        pl.read_parquet(out / "scores.parquet"),
    )


def test_a_survey_with_errors_stands_out_and_says_where(made: Path) -> None:
    bad, kernels, scores = card(made, BAD)
    clean, _, _ = card(made, CLEAN)
    assert bad["p_value"] == pytest.approx(1 / 20)
    assert bad["excess"] > 10 > clean["excess"]
    assert bad["points"] == bad["judged"] == 900
    assert bad["surplus_share"] == pytest.approx(60 / 900, rel=0.4)
    first = kernels.row(0, named=True)
    assert (first["feature"], first["tile"]) == ("neighbour", "x1_y0")
    assert first["east"] == 60_000.0
    assert first["neighbour"] == pytest.approx(25, rel=0.3)
    score = scores["score"].to_numpy()
    assert score[:60].min() > score[60:].mean()
    assert scores["feature"][0] == "neighbour"
    assert score.min() >= 0
    assert score.max() <= 1
    table = scorecards(
        [made / str(n) / "scorecard.json" for n in (CLEAN, BAD)],
        pl.concat(pl.read_parquet(made / str(n) / "kernels.parquet") for n in (CLEAN, BAD)),
    )
    assert table.columns == COLUMNS
    assert table["survey"][0] == f"SURVEY_{BAD}"
    assert table["fdr_bh"][0] == pytest.approx(min(2 / 20, table["p_value"][1]))
    assert table["fdr_by"][0] == pytest.approx(min(1.5 * table["fdr_bh"][0], 1))


def test_the_pool_lacks_what_the_survey_lacks_and_shares_no_point(made: Path) -> None:
    table = residuals.of_survey([made / "residuals.parquet"], BAD)
    reference = load_reference(made / "model")
    drawn = sample(table, reference, inspected=300, n_reference=700, seed=1)
    assert drawn.data.shape == (300, 3)
    assert len(drawn.pool) == pytest.approx(1000, abs=4)
    assert len(set(drawn.pool_ids)) == len(drawn.pool_ids)
    own = residuals.of_survey([made / "residuals.parquet"], 1)
    again = sample(own, reference, inspected=300, n_reference=700, seed=1)
    assert not set(again.data_ids) & set(again.pool_ids)


def test_few_seeds_leave_few_points_to_inspect(made: Path) -> None:
    table = residuals.of_survey([made / "residuals.parquet"], CLEAN)
    drawn = sample(table, load_reference(made / "model"), inspected=900, n_reference=50_000, seed=0)
    assert len(drawn.pool) <= 4000
    assert len(drawn.data) <= len(drawn.pool) // 3 + 1


def test_residuals_within_the_usual_are_one_place() -> None:
    table = pl.DataFrame(
        {"track": [1.0, -50.0], "neighbour": [4.0, 5.0], "crossing": [None, -30.0]},
        schema=dict.fromkeys(residuals.FEATURES, pl.Float64),
    )
    standard = {"track": (0.0, 1.0), "neighbour": (0.0, 1.0), "crossing": (10.0, 2.0)}
    X = residuals.matrix(table, standard)
    assert X[0, :2].tolist() == [0, 0]
    assert np.isnan(X[0, 2])
    assert X[1, 0] < 0 < X[1, 1]
    told = residuals.back(X[1], standard)
    assert told == pytest.approx({"track": -50.0, "neighbour": 5.0, "crossing": -30.0})


def test_standards_are_robust_and_forgive_what_is_missing() -> None:
    values = np.append(np.random.default_rng(0).normal(3, 2, 5000), np.full(100, 1e6))
    table = pl.DataFrame(
        {"track": values, "neighbour": np.ones(5100), "crossing": [None] * 5100},
        schema=dict.fromkeys(residuals.FEATURES, pl.Float64),
    )
    found = residuals.standards(table)
    assert found["track"] == pytest.approx((3, 2), rel=0.1)
    assert found["neighbour"] == (1.0, 1.0)
    assert found["crossing"] == (0.0, 1.0)


def test_residuals_of_a_tile_join_what_stands_already(tmp_path: Path) -> None:
    ids = pl.Series("point_id", [7, 8, 9], dtype=pl.UInt64)
    place = {"survey_no": [1, 1, 2], "east": [0.0, 1.0, 2.0], "north": [0.0, 0.0, 0.0]}
    points = pl.DataFrame({"point_id": ids, **place}).cast({"survey_no": pl.UInt32})
    points.write_parquet(tmp_path / "points.parquet")
    pl.DataFrame({"point_id": ids[:2], "residual": [10.0, np.nan]}).write_parquet(
        tmp_path / "a.parquet"
    )
    pl.DataFrame({"point_id": ids[2:], "residual": [-6.0]}).write_parquet(tmp_path / "b.parquet")
    pl.DataFrame(
        {
            "point_id": ids,
            "residual_m": [30.0, None, -5.0],
            "sigma_m": [10.0, None, 10.0],
            "step_scale_m": [5.0, 5.0, 3.0],
        }
    ).write_parquet(tmp_path / "segments.parquet")
    met = pl.DataFrame(
        {
            "point_id_a": pl.Series([7, 7, 8], dtype=pl.UInt64),
            "point_id_b": pl.Series([9, 9, 9], dtype=pl.UInt64),
            "mistie": [10.0, 20.0, 99.0],
            "self_crossing": [False, False, True],
        }
    )
    owned, beyond = (tmp_path / f"{name}.parquet" for name in ("crossovers", "beyond"))
    met.head(1).write_parquet(owned)
    met.tail(2).write_parquet(beyond)
    pl.DataFrame({"point_id": ids[:2], "label": [0, 1]}).write_parquet(tmp_path / "labels.parquet")
    residuals.write_residuals(
        tmp_path / "points.parquet",
        [tmp_path / "a.parquet", tmp_path / "b.parquet"],
        tmp_path / "segments.parquet",
        [owned, beyond],
        tmp_path / "labels.parquet",
        tmp_path / "residuals.parquet",
    )
    table = pl.read_parquet(tmp_path / "residuals.parquet")
    assert table["point_id"].to_list() == [7, 8, 9]
    assert table["track"].to_list() == [2.0, None, -2.0]
    assert table["neighbour"].to_list() == [3.0, None, -0.5]
    assert table["crossing"].to_list() == [15.0, None, -15.0]
    assert table["seed"].to_list() == [True, False, False]
    # A survey without a point of its own, in its tiles or without any tile.
    for paths in ([tmp_path / "residuals.parquet"], []):
        none = residuals.of_survey(paths, 5)
        assert (none.height, none.schema) == (0, table.schema)


def test_a_survey_smaller_than_its_kernels_is_told_and_stops_nothing(
    made: Path, tmp_path: Path
) -> None:
    short = residual_table(5, 6).with_columns(track=pl.lit(None, pl.Float32))
    parts = [pl.read_parquet(made / "residuals.parquet"), residual_table(4, 2), short]
    pl.concat(parts).write_parquet(tmp_path / "residuals.parquet")
    (tmp_path / "model").symlink_to(made / "model")
    for number, points in ((4, 2), (5, 6)):
        told, kernels, scores = card(tmp_path, number)
        assert (told["points"], told["p_value"], told["excess"]) == (points, None, None)
        assert kernels.height == 0
        assert scores["score"].is_nan().all()
        assert scores["code"].unique().to_list() == ["few_points"]
    card(tmp_path, BAD)
    numbers = (4, 5, BAD)
    for chosen in (numbers, numbers[:2]):
        table = scorecards(
            [tmp_path / str(n) / "scorecard.json" for n in chosen],
            pl.concat(pl.read_parquet(tmp_path / str(n) / "kernels.parquet") for n in chosen),
        )
        assert table["fdr_bh"].is_null().sum() == 2
        assert table["fdr_by"].tail(2).is_null().all()
        assert table.height == len(chosen)


@pytest.mark.parametrize("names", [["residuals.parquet"], []], ids=["merged away", "no tile"])
def test_a_survey_without_a_point_has_a_card_that_says_so(made: Path, names: list[str]) -> None:
    told, kernels, scores = card(made, 6, names)
    wanted = dict.fromkeys(("points", "judged", "inspected", "reference", "surplus_share"), 0)
    assert told | wanted == told
    assert (told["p_value"], told["excess"]) == (None, None)
    card(made, BAD)
    full = pl.read_parquet(made / str(BAD) / "scores.parquet")
    assert (scores.height, scores.schema) == (0, full.schema)
    both = [made / str(number) for number in (6, BAD)]
    table = scorecards(
        [folder / "scorecard.json" for folder in both],
        pl.concat([kernels, pl.read_parquet(both[1] / "kernels.parquet")]),
    )
    assert table["survey"].to_list() == [f"SURVEY_{BAD}", "SURVEY_6"]
    assert table["fdr_bh"].is_null().to_list() == [False, True]
    # A tile's other points still find their scores beside the empty table.
    tables = [folder / "scores.parquet" for folder in both]
    found = member_scores("sparker", full["point_id"].to_numpy(), tables)
    assert np.array_equal(found, full["score"].to_numpy(), equal_nan=True)


def test_seeds_of_which_next_to_none_is_unusual_stop_nothing(tmp_path: Path) -> None:
    calm = np.zeros((60_300, 3))
    calm[300 + undrawn(60_000)] = 3.0
    ids = np.arange(len(calm), dtype=np.uint64)
    pl.DataFrame(
        {
            "point_id": ids,
            "inspected": ids < 300,
            **{name: calm[:, at] for at, name in enumerate(residuals.FEATURES)},
        }
    ).write_parquet(tmp_path / "sample.parquet")
    one = replace(SETTINGS, toys=2, batches=1, fit=replace(SETTINGS.fit, steps=10))
    write_toys(
        tmp_path / "sample.parquet", tmp_path / "toys.parquet", batch=0, settings=one, seed=0
    )
    assert np.isfinite(pl.read_parquet(tmp_path / "toys.parquet").to_numpy()).all()


def test_a_fit_without_a_kernel_that_counts_has_an_empty_table() -> None:
    kernels = Kernels(np.zeros(2), np.zeros((2, 3)), 1.0)
    table = residual_table(BAD, 10)
    standard = residuals.standards(table)
    X = residuals.matrix(table, standard)
    assert describe(kernels, X, X, table, X, standard, TILE_SIZE).height == 0


def test_without_seeds_there_is_no_reference(tmp_path: Path) -> None:
    residual_table(CLEAN, 50).write_parquet(tmp_path / "residuals.parquet")
    with pytest.raises(InputError, match="no inlier seed"):
        train_reference([tmp_path / "residuals.parquet"], tmp_path / "model", version="v")


def test_missing_toys_are_noticed(made: Path) -> None:
    card(made, CLEAN)
    out = made / str(CLEAN)
    assert len(read_sample(out / "sample.parquet").data) == 300
    with pytest.raises(BedsieveError, match="not all of 19 toys"):
        write_scorecard(
            out / "sample.parquet",
            [out / "toys_0.parquet"],
            [made / "residuals.parquet"],
            card_path=out / "x.json",
            kernels_path=out / "x.parquet",
            scores_path=out / "y.parquet",
            survey="S",
            survey_no=CLEAN,
            tile_size=TILE_SIZE,
            settings=SETTINGS,
            seed=CLEAN,
        )


@pytest.mark.parametrize(("batches", "largest"), [(1, 19), (2, 10), (19, 1), (20, 1)])
def test_a_batch_of_toys_has_as_much_to_do_as_its_toys(batches: int, largest: int) -> None:
    section = {"toys": 19, "batches": batches, "inspected": 300, "reference": 700}
    work = toy_evaluations(section | {"kernels": 3, "steps": 100})
    assert work == largest * 1000 * 3 * 100


def test_every_survey_has_a_seed_of_its_own() -> None:
    seeds = {survey_seed(number, seed) for number in range(1, 200) for seed in (0, 1, 999)}
    assert len(seeds) == 199 * 3
