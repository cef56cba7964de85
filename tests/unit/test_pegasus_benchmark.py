"""The repeated experiment of "Finding Pegasus": its sets, its figures, and that it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bedsieve.benchmarks.pegasus import CASES, recall_and_f1, run, top, union_at
from bedsieve.benchmarks.pegasus_manifolds import draw_digits
from bedsieve.benchmarks.pegasus_source import ERROR, NAMES, TABLES
from bedsieve.errors import InputError


def digits(folder: Path, ones: int = 600, others: int = 150) -> Path:
    """A stand-in for MNIST: bars at some slope for ones, other bars for sevens, noise for eights."""
    rng = np.random.default_rng(0)
    images, labels = [], []
    for digit, count in ((1, ones), (7, others), (8, others), (3, 20)):
        for _ in range(count):
            image = np.zeros((28, 28))
            slope = rng.normal(0, 0.2)
            columns = np.clip(np.rint(14 + slope * (np.arange(28) - 14)), 0, 27).astype(int)
            image[np.arange(28), columns] = 255
            if digit == 7:
                image[4, 8:20] = 255
            if digit == 8:
                image += rng.uniform(0, 90, (28, 28))
            images.append(np.clip(image + rng.uniform(0, 25, (28, 28)), 0, 255))
            labels.append(digit)
    order = rng.permutation(len(labels))
    path = folder / "mnist.npz"
    np.savez(
        path,
        x_train=np.array(images)[order].astype(np.uint8),
        y_train=np.array(labels)[order].astype(np.uint8),
    )
    return path


def test_all_ones_and_as_many_drawn_anomalies(tmp_path: Path) -> None:
    path = digits(tmp_path)
    first, again, other = (draw_digits(path, seed) for seed in (1, 1, 2))
    assert np.bincount(first.digit)[[1, 3, 7, 8]].tolist() == [600, 0, 120, 120]
    assert first.images.shape == (840, 784)
    assert first.images.max() <= 1
    np.testing.assert_array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)


def test_another_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mnist\.npz: is missing"):
        draw_digits(tmp_path / "mnist.npz", 0)
    np.savez(tmp_path / "mnist.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="has no x_train"):
        draw_digits(tmp_path / "mnist.npz", 0)
    with pytest.raises(InputError, match="shows 50 times a 7"):
        draw_digits(digits(tmp_path, others=50), 0)


def test_a_union_cut_to_a_budget_by_brute_force() -> None:
    rng = np.random.default_rng(3)
    for count in (5, 12, 20):
        a, b = rng.permutation(40).astype(float), rng.permutation(40).astype(float)
        flag = union_at([a, b], count)
        assert flag.sum() == count
        depth = max(m for m in range(41) if (top(a, m) | top(b, m)).sum() <= count)
        whole = top(a, depth) | top(b, depth)
        assert (flag >= whole).all()
        last = top(a, depth + 1) | top(b, depth + 1)
        assert (flag <= last).all()


def test_recall_and_f1_of_a_hand_made_case() -> None:
    bad = np.array([True, True, True, True, False, False])
    flag = np.array([True, True, False, False, True, False])
    recall, f1 = recall_and_f1(flag, bad)
    assert recall == 0.5
    assert f1 == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert recall_and_f1(top(np.arange(6.0), 4), bad)[0] == 0.5


def test_the_sources_figures_are_complete() -> None:
    assert set(TABLES) == set(CASES) == {"pca-245", "pca-84", "ae-245", "ae-30"}
    for methods in TABLES.values():
        assert list(methods) == [ERROR, *NAMES]
        # A table's recall is that of 240 anomalies, half of each digit.
        for figures in methods.values():
            assert figures.alone[0] == pytest.approx(
                (figures.sevens + figures.eights) / 2, abs=0.011
            )


@pytest.mark.parametrize("case", ["pca-84", "ae-30"])
def test_an_experiment_gives_every_figure_once(case: str, tmp_path: Path) -> None:
    digits(tmp_path)
    rows = run(case, 4, tmp_path)
    names = [(row.variant, row.metric) for row in rows]
    assert len(set(names)) == len(names)
    assert {(row.method, row.case, row.seed) for row in rows} == {("pegasus", case, 4)}
    value = {name: row.value for name, row in zip(names, rows, strict=True)}
    source = {name: row.source for name, row in zip(names, rows, strict=True)}
    assert source["isolation forest with reconstruction error", "recall"] == {
        "pca-84": 0.77, "ae-30": 0.88
    }[case]  # fmt: skip
    assert value["reconstruction error alone", "recall of 8s"] > 0.8
    for name in NAMES.values():
        union = value[f"{name} with reconstruction error", "recall"]
        assert union >= value[f"{name} alone", "recall"]
        assert union >= value["reconstruction error alone", "recall"]
        assert union >= value[f"{name} with reconstruction error", "recall at 240"] - 1e-9
        flagged = value[f"{name} with reconstruction error", "points flagged"]
        assert 240 <= flagged <= 480
    alone = [value[f"{name} alone", "recall"] for name in [ERROR, *NAMES.values()]]
    assert value["mean alone", "recall"] == pytest.approx(np.mean(alone))
    gain = value["unions with the error less mean alone", "recall"]
    unions = [value[f"{n} with reconstruction error", "recall"] for n in NAMES.values()]
    assert gain == pytest.approx(np.mean(unions) - np.mean(alone))
