"""Categorical score matching on made tables: coding, mixture, model, and the command line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.mixture import GaussianMixture

from bedsieve.detectors.gnsm_coding import Coding, learn_coding
from bedsieve.detectors.gnsm_mixture import choose_mixture
from bedsieve.detectors.gnsm_model import Gnsm, fit_gnsm, one_step, score_norms
from bedsieve.detectors.gnsm_settings import GnsmSettings
from bedsieve.detectors.gnsm_table import main, split_rows
from bedsieve.errors import BedsieveError, ConfigError
from bedsieve.evaluation.metrics import Ranking, average_precision

SMALL = GnsmSettings(
    width=32, layers=2, embedding=16, levels=6, steps=300, batch=64, checks=3, components=(1, 2)
)


def made(n: int = 900, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Sound rows agree in two columns and a number; bad ones have usual values in unusual company."""
    rng = np.random.default_rng(seed)
    bad = rng.random(n) < 0.1
    a = rng.integers(0, 4, n)
    b = np.where(bad, (a + rng.integers(1, 4, n)) % 4, a)
    table = pl.DataFrame(
        {
            "a": [f"a{v}" for v in a],
            "b": [f"b{v}" for v in b],
            "c": [("x", "y")[v] for v in rng.integers(0, 2, n)],
            "number": 10.0 * a + rng.normal(0, 1, n),
        }
    )
    return table, bad


@pytest.fixture(scope="module")
def fitted() -> tuple[pl.DataFrame, np.ndarray, Gnsm]:
    table, bad = made()
    split = split_rows(bad, 0)
    coding = learn_coding(table, ["a", "b", "c"], ["number"])
    model, _ = fit_gnsm(table[split.train], table[split.validation], coding, SMALL, 0)
    return table, bad, model


def test_codes_by_hand() -> None:
    table = pl.DataFrame(
        {"k": ["b", None, "a", "b"], "one": [1, 1, 1, 1], "v": [1.0, 3.0, None, 2]}
    )
    coding = learn_coding(table, ["k", "one"], ["v"])
    assert coding.categories == {"k": ("", "a", "b")}
    assert coding.sizes == (3, 2)  # the second tells whether v is given
    coded = coding.encode(table)
    assert coded.category.tolist() == [[2, 1], [0, 1], [1, 0], [2, 1]]
    assert coded.present[:, 0].tolist() == [1, 1, 0, 1]
    spread = np.std([1.0, 3.0, 2.0])
    np.testing.assert_allclose(coded.number[:, 0], [-1 / spread, 1 / spread, 0, 0], rtol=1e-6)
    assert coded.known.all()
    assert Coding.from_mapping(coding.to_mapping()) == coding


def test_what_was_never_seen_is_not_judged(fitted) -> None:
    table, _, model = fitted
    rows = pl.concat([table.head(1)] * 3).with_columns(
        pl.Series("a", [table["a"][0], "new", table["a"][0]]),
        pl.Series("number", [table["number"][0], 0.0, None]),
    )
    assert np.isnan(model.negative_log_likelihood(rows)).tolist() == [False, True, True]


def test_a_table_that_says_nothing_is_an_error() -> None:
    with pytest.raises(BedsieveError, match="no column of the table varies"):
        learn_coding(pl.DataFrame({"k": ["a", "a"]}), ["k"])


def test_mixture_agrees_with_scikit_learn_and_is_chosen_by_held_out_rows() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0, 0], [8, 0, 3], [0, 9, -4]])
    x = centres[rng.integers(0, 3, 900)] + rng.normal(0, [0.5, 1, 2], (900, 3))
    mixture = choose_mixture(x[:700], x[700:], (1, 3), 4)
    assert mixture.weight.size == 3
    scaled = (x - x.mean(0)) / x.std(0)
    reference = GaussianMixture(3, max_iter=300, random_state=4).fit(scaled)
    np.testing.assert_allclose(
        mixture.negative_log_likelihood(x), -reference.score_samples(scaled), rtol=1e-8, atol=1e-8
    )


def test_mixture_of_rows_that_are_all_alike() -> None:
    mixture = choose_mixture(np.ones((20, 3)), np.ones((5, 3)), (3, 5), 0)
    assert mixture.weight.size == 1
    assert np.isfinite(mixture.negative_log_likelihood(np.ones((2, 3)))).all()


def test_unusual_company_scores_high(fitted) -> None:
    table, bad, model = fitted
    score = model.negative_log_likelihood(table)
    assert average_precision(Ranking(score, bad)) > 0.9  # by chance: 0.1
    names, parts = model.parts(table)
    assert parts.dtype == np.float64  # means and spreads of them are frozen
    assert names == ["a", "b", "c", "number"]
    norms = score_norms(model.weights, model.coding.encode(table), model.coding.sizes, SMALL)
    np.testing.assert_allclose(parts.sum(1), norms[:, 0], rtol=1e-5)


def test_a_row_is_judged_by_itself_alone(fitted) -> None:
    table, _, model = fitted
    whole = model.negative_log_likelihood(table)
    some = np.array([5, 700, 5, 31])
    np.testing.assert_allclose(
        model.negative_log_likelihood(table[some]), whole[some], rtol=1e-3, atol=0.01
    )


def test_plain_norms_are_the_roots_of_the_squared_ones(fitted) -> None:
    table, _, model = fitted
    coded, sizes = model.coding.encode(table.head(20)), model.coding.sizes
    plain = GnsmSettings.from_mapping(SMALL.to_mapping() | {"norm": "plain"})
    squared = score_norms(model.weights, coded, sizes, SMALL)
    np.testing.assert_allclose(score_norms(model.weights, coded, sizes, plain) ** 2, squared)


def test_a_step_along_the_score_has_each_columns_part_at_length_one() -> None:
    shares = torch.tensor([[0.7, 0.3, 0.2, 0.3, 0.5]])
    x = torch.cat([shares.log(), torch.tensor([[1.0, -2.0]])], 1)
    score = torch.tensor([[3.0, 4.0, 0.0, 0.0, 0.0, 0.0, -5.0]])
    moved = one_step(x, score, (2, 3))
    by_hand = torch.tensor([[0.7, 0.3]]) * torch.tensor([[0.6, 0.8]]).exp()
    torch.testing.assert_close(moved[:, :2].exp(), by_hand / by_hand.sum())
    torch.testing.assert_close(moved[:, 2:5], x[:, 2:5])  # no score, no step
    torch.testing.assert_close(moved[:, 5:], torch.tensor([[1.0, -3.0]]))


def test_norms_after_a_step_are_those_of_the_moved_row(fitted) -> None:
    table, _, model = fitted
    stepped = replace(model, settings=replace(SMALL, denoise=True))
    coded = model.coding.encode(table)
    plain, moved = (
        score_norms(model.weights, coded, model.coding.sizes, one.settings)
        for one in (model, stepped)
    )
    assert np.isfinite(moved).all()
    assert not np.allclose(plain, moved, rtol=0.05)
    _, parts = stepped.parts(table)
    np.testing.assert_allclose(parts.sum(1), moved[:, 0], rtol=1e-5)


def test_a_seed_gives_the_same_model_and_it_is_read_back(fitted, tmp_path: Path) -> None:
    table, bad, model = fitted
    split = split_rows(bad, 0)
    coding = learn_coding(table, ["a", "b", "c"], ["number"])
    torch.manual_seed(77)  # the caller's state must not matter
    again, curve = fit_gnsm(table[split.train], table[split.validation], coding, SMALL, 0)
    for name, value in model.weights.items():
        assert torch.equal(value, again.weights[name]), name
    assert [row["step"] for row in curve] == [100, 200, 300]
    model.save(tmp_path)
    loaded = Gnsm.load(tmp_path, SMALL.to_mapping())
    np.testing.assert_array_equal(
        loaded.negative_log_likelihood(table), model.negative_log_likelihood(table)
    )


@pytest.mark.parametrize("loss", ["kl", "squared"])
def test_categories_alone_learn_by_either_loss(loss: str) -> None:
    table, bad = made()
    table = table.select("a", "b", "c")
    split = split_rows(bad, 1)
    settings = GnsmSettings.from_mapping(SMALL.to_mapping() | {"loss": loss})
    coding = learn_coding(table, table.columns)
    model, curve = fit_gnsm(table[split.train], table[split.validation], coding, settings, 1)
    assert curve[-1]["validation_loss"] < curve[0]["validation_loss"]
    score = model.negative_log_likelihood(table[split.test])
    assert average_precision(Ranking(score, bad[split.test])) > 0.9  # by chance: 0.5


def test_the_split_is_the_sources() -> None:
    bad = np.random.default_rng(0).random(1000) < 0.1
    split = split_rows(bad, 3)
    assert sorted(np.concatenate(split).tolist()) == list(range(1000))
    inliers = int((~bad).sum())
    assert len(split.train) == pytest.approx(0.8 * inliers, abs=1)
    assert len(split.validation) == pytest.approx(0.1 * inliers, abs=1)
    assert not bad[split.train].any()
    assert not bad[split.validation].any()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": "mse"}, "loss 'mse' is unknown. Known: kl, squared"),
        ({"temperature": [3, 2]}, "temperature must be two positive numbers"),
        ({"embedding": 5}, "embedding must be even"),
        ({"width_": 5}, "unknown setting width_"),
    ],
)
def test_wrong_settings_are_named(settings, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        GnsmSettings.from_mapping(settings)


OPTIONS = [*("--steps", "60", "--batch", "64", "--width", "16", "--layers", "1")]


def test_a_users_table_with_a_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, bad = made(300)
    # Nothing but the label is true: what is left out or a category by name must be taken as such.
    table = table.with_columns(
        pl.Series("fault", np.where(bad, "yes", "no")),
        pl.Series("code", np.arange(300) % 3),
        pl.Series("leak", bad.astype(float)),
    )
    table.write_csv(tmp_path / "t.csv")
    options = ["--label", "fault", "--anomaly", "yes", "--categorical", "code", "--ignore", "leak"]
    out = tmp_path / "s.parquet"
    assert main([str(tmp_path / "t.csv"), "--out", str(out), *options, *OPTIONS]) == 0
    scores = pl.read_parquet(out)
    assert scores.columns == ["row", "part", "score"]
    assert scores["row"].to_list() == list(range(300))
    assert scores.filter(part="test").height >= bad.sum()
    assert scores["score"].is_finite().all()
    test = (scores["part"] == "test").to_numpy()
    told = capsys.readouterr().out
    reached = average_precision(Ranking(scores["score"].to_numpy()[test], bad[test]))
    assert f"{reached:.4f}" in told


def test_a_users_table_without_a_label(tmp_path: Path) -> None:
    table, _ = made(200)
    table.write_parquet(tmp_path / "t.parquet")
    out = tmp_path / "s.parquet"
    assert main([str(tmp_path / "t.parquet"), "--out", str(out), *OPTIONS]) == 0
    parts = dict(pl.read_parquet(out)["part"].value_counts().iter_rows())
    assert parts == {"train": 180, "validation": 20}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label", "nope"], "has no column 'nope'"),
        (["--label", "c", "--anomaly", "z"], "no row has 'z' in c"),
        (["--ignore", "q"], "there is no column 'q'"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    made(60)[0].write_parquet(tmp_path / "t.parquet")
    table, out = str(tmp_path / "t.parquet"), str(tmp_path / "s.parquet")
    assert main([table, "--out", out, *options]) == 1
    assert words in capsys.readouterr().err
    assert main([str(tmp_path / "none.csv"), "--out", out]) == 1
    assert "there is no such file" in capsys.readouterr().err
