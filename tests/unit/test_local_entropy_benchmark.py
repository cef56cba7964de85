"""The experiments on seed 003's claim: figures by hand, mixes that hold back a kind, and digits made up."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bedsieve.benchmarks import local_entropy, local_entropy_digits
from bedsieve.benchmarks.local_entropy import CASES, Judged, agreement, highest, run
from bedsieve.benchmarks.local_entropy_ice import much_of, without
from bedsieve.errors import ConfigError, InputError


def test_figures_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    real = np.array([True, True, True, False, False, False])
    unseen = np.array([True, True, False, False, False, False])
    one = Judged(
        {"local": np.array([5.0, 1.0, 4.0, 3.5, 0.0, 0.0])},
        {"entropy": np.array([0.6, 0.5, 0.1, 0.2, 0.3, 0.0])},
        real,
        unseen,
    )
    two = Judged({"local": np.array([5.0, 4.0, 0.0, 1.0, 2.0, 0.0])}, {}, real, unseen)
    monkeypatch.setattr("bedsieve.benchmarks.local_entropy_ice.judged_ice", lambda *_: (one, two))
    rows = run("demo_burst", 3, Path())
    assert {(row.method, row.case, row.seed) for row in rows} == {
        ("local_entropy", "demo_burst", 3)
    }
    found = {(row.variant, row.metric): row.value for row in rows}
    assert found["local", "flagged"] == found["entropy", "flagged"] == 3
    assert found["local", "share_real"] == pytest.approx(2 / 3)
    assert found["local", "share_unseen"] == pytest.approx(1 / 3)
    assert found["local", "recall"] == pytest.approx(2 / 3)
    assert found["local", "recall_unseen"] == 0.5
    assert found["entropy", "recall_unseen"] == 1
    # Unseen against no anomaly: ranks 1 and 3 of five.
    assert found["local", "average_precision_unseen"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["local", "flag_overlap"] == pytest.approx(1 / 4)
    source = {(row.variant, row.metric): row.source for row in rows}
    assert source["local", "share_real"] == 1
    assert source["entropy", "share_real"] is None


def test_without_a_flag_there_is_no_share() -> None:
    nothing = np.zeros(4)
    assert agreement(np.arange(4.0) / 4, -np.arange(4.0)) == {"rank_correlation": pytest.approx(-1)}
    assert not highest(nothing, 0).any()
    np.testing.assert_array_equal(highest(np.array([1.0, 3, 3, 2]), 2), [False, True, True, False])


@pytest.mark.parametrize("kind", local_entropy.HELD_BACK.values())
def test_mixes_hold_a_kind_back_and_make_half_of_it(kind: str) -> None:
    assert without(kind).share[kind] == 0
    assert sum(without(kind).share.values()) > 0.5
    share = much_of(kind).share
    assert share[kind] == 0.5
    assert sum(share.values()) == pytest.approx(1)


@pytest.fixture
def made_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten noisy patterns in the place of MNIST's."""
    rng = np.random.default_rng(0)
    pattern = rng.integers(0, 2, (10, 7, 7)).repeat(4, 1).repeat(4, 2)
    stored = {}
    for use, n in (("train", 500), ("test", 300)):
        label = np.arange(n) % 10
        noise = rng.integers(0, 100, (n, 28, 28))
        stored[f"x_{use}"] = (150 * pattern[label] + noise).astype(np.uint8)
        stored[f"y_{use}"] = label.astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", **stored)
    for name, value in (("TRAIN", 300), ("TEST", 100), ("UNSEEN", 20), ("_BATCH", 32)):
        monkeypatch.setattr(local_entropy_digits, name, value)
    return tmp_path


def test_the_unseen_digit_is_in_no_training_image(made_digits: Path) -> None:
    digits = local_entropy_digits.drawn(made_digits / "mnist.npz", 13)
    assert sorted(set(digits.train_label.tolist())) == list(range(9))
    assert (digits.test_label == -1).sum() == 20
    with np.load(made_digits / "mnist.npz") as stored:
        threes = stored["x_test"][stored["y_test"] == 3] / np.float32(255)
    shown = digits.test[digits.test_label == -1].squeeze(1).numpy()
    assert all((threes == image).all((1, 2)).any() for image in shown)


@pytest.mark.parametrize("case", local_entropy.DIGITS)
def test_digits_give_rows_and_the_same_ones_again(case: str, made_digits: Path) -> None:
    torch.set_num_threads(1)
    rows = run(case, 2, made_digits)
    assert rows == run(case, 2, made_digits)
    variants = {row.variant for row in rows}
    assert variants == {
        "local", "local, sparse", "local in logits", "local in logits, sparse", "entropy",
        "mutual information",
    }  # fmt: skip
    assert all(np.isfinite(row.value) for row in rows)
    assert all(
        0 <= row.value <= 1
        for row in rows
        if row.metric not in ("flagged",) and "rank" not in row.metric
    )


def test_mistakes_are_named(tmp_path: Path) -> None:
    assert len(set(CASES)) == len(CASES)
    with pytest.raises(ConfigError, match="no case 'demo_spyke'"):
        run("demo_spyke", 0, tmp_path)
    with pytest.raises(InputError, match="Fetch MNIST"):
        run("mnist", 0, tmp_path)
