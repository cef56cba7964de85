"""What seed 004 claims of SparKer, measured: self-organisation, valid p-values, power, intrusions.

In: a case and a seed (and, for the intrusions, the data's folder). Out: rows. The source's own
tables could not be had, so no row has a source's figure: its claims are what is shown or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedsieve.benchmarks.rows import Row
from bedsieve.benchmarks.two_sample import DenseRatio, mmd
from bedsieve.detectors.sparker_fit import SparkerSettings, first_width
from bedsieve.detectors.sparker_test import draw, inspect, toys, verdict

Floats = NDArray[np.float64]

CASES: tuple[str, ...] = ("square", "uniform", "power_square", "power_gauss", "u2r")
FILES: dict[str, tuple[str, ...]] = {"u2r": ("u2r.parquet",)}
MOST_SEEDS: dict[str, int] = {"uniform": 1, "power_square": 1, "power_gauss": 1, "u2r": 5}

BLOBS = np.array([[0.2, 0.25], [0.75, 0.3], [0.5, 0.8]])
BLOB_SD = 0.02


class Plan(NamedTuple):
    """How much a comparison of tests does: points of a data set and of its reference, toys, data sets of
    each share of anomalies."""

    inspected: int
    reference: int
    toys: int
    sets: int
    shares: tuple[float, ...]


POWER = Plan(500, 2000, 99, 20, (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08))
U2R = Plan(1000, 4000, 99, 10, (0.0, 0.002, 0.005, 0.01, 0.02))
_FOUND = 0.05  # amplitude from which a kernel counts
_LEVEL = 0.05


def run(case: str, seed: int, data: Path) -> list[Row]:
    """Measure one case with one seed; `data` is the folder of the benchmark sets."""
    if case == "square":
        return _square(seed)
    if case == "uniform":
        return _uniform(seed)
    if case == "u2r":
        return _intrusions(seed, data / "u2r.parquet")
    return _power(case, seed, {"power_square": _in_square, "power_gauss": _in_gauss}[case])


def square(rng: np.random.Generator, n: int, share: float, blobs: Floats = BLOBS) -> Floats:
    """Points of the unit square (n, 2); `share` of them in each blob, those first."""
    X = rng.random((n, 2))
    each = round(share * n)
    for number, centre in enumerate(blobs):
        X[number * each : (number + 1) * each] = centre + BLOB_SD * rng.normal(size=(each, 2))
    return X


def _square(seed: int) -> list[Row]:
    """Three blobs of 3 % each and four kernels (the source's figure 4), and what each idea adds."""
    rng = np.random.default_rng(seed)
    inspected, reference = square(rng, 2000, 0.03), rng.random((6000, 2))
    first = first_width(reference)
    full = SparkerSettings(kernels=4)
    narrow = replace(full, narrowing=1.0)
    variants = {
        "as defined": (first, full),
        "signed kernels": (first, replace(full, signed=True)),
        "no softmax": (first, replace(full, softmax=False)),
        "fixed width, the first": (first, narrow),
        "fixed width, the last": (first * full.narrowing, narrow),
    }
    variants |= {
        f"no moves, {name}": (width, replace(settings, moves=0))
        for name, (width, settings) in variants.items()
    }
    rows = []
    for variant, (width, settings) in variants.items():
        kernels = inspect(inspected, reference, width, settings, seed).kernels[0]
        centres = kernels.centre[kernels.amplitude > _FOUND]
        apart = np.linalg.norm(BLOBS[:, None] - centres[None], axis=2).min(axis=1, initial=np.inf)
        # One yardstick for all: the last width of the full method.
        near = apart <= 2 * first * full.narrowing
        rows += [
            _row("square", variant, "all blobs within 2 last widths", seed, float(near.all())),
            _row("square", variant, "blobs within 2 last widths", seed, float(near.sum())),
            _row(
                "square", variant, "all blobs within 2 blob SD", seed,
                float((apart <= 2 * BLOB_SD).all()),
            ),
        ]  # fmt: skip
    return rows


def _uniform(seed: int, sets: int = 200, n_toys: int = 19) -> list[Row]:
    """p-values of clean data, each with a pool and toys of its own.

    With 19 toys p is a multiple of 1/20; spread evenly over its step it is uniform if all is right.
    """
    from scipy.stats import kstest

    settings = SparkerSettings(kernels=4, steps=200)
    p = np.empty(sets)
    for number in range(sets):
        rng = np.random.default_rng([seed, number])
        pool, inspected = rng.random((2000, 2)), rng.random((200, 2))
        width = first_width(pool)
        t_toys = toys(pool, 200, 800, width, settings, seed=number, numbers=range(n_toys))
        fitted = inspect(inspected, pool[:800], width, settings, seed=number)
        told = verdict(fitted.t[0], t_toys)
        p[number] = told.p_value - rng.random() / (n_toys + 1)
    test = kstest(p, "uniform")
    return [
        _row("uniform", "as defined", "KS p-value", seed, float(test.pvalue)),
        _row("uniform", "as defined", "KS distance", seed, float(test.statistic)),
        _row("uniform", "as defined", "share of p below 0.05", seed, float((p < _LEVEL).mean())),
    ]


def _in_square(rng: np.random.Generator, n: int, share: float) -> Floats:
    return square(rng, n, share, BLOBS[:1])


def _in_gauss(rng: np.random.Generator, n: int, share: float) -> Floats:
    """Standard normal points in five dimensions; a share lies close to one point, 1.5 SD out."""
    X = rng.normal(size=(n, 5))
    bad = round(share * n)
    X[:bad] = 1.5 / np.sqrt(5) + 0.15 * rng.normal(size=(bad, 5))
    return X


def _power(
    case: str,
    seed: int,
    make: Callable[[np.random.Generator, int, float], Floats],
    plan: Plan = POWER,
) -> list[Row]:
    """Share of data sets that each test tells from the reference at 5 %, by share of anomalies."""
    rng = np.random.default_rng(seed)
    pool = make(rng, 6000, 0.0)
    tests = _tests(pool, rng, seed)
    null = _null(tests, pool, plan, seed)
    rows_out = []
    for share in plan.shares:
        hits = dict.fromkeys(tests, 0)
        for _ in range(plan.sets):
            inspected = make(rng, plan.inspected, share)
            reference = pool[rng.permutation(len(pool))[: plan.reference]]
            for name, test in tests.items():
                told = verdict(test(inspected, reference), null[name])
                hits[name] += told.p_value <= _LEVEL
        metric = f"power at {share:.1%} anomalies"
        rows_out += [_row(case, name, metric, seed, hits[name] / plan.sets) for name in tests]
    return rows_out


Test = Callable[[Floats, Floats], Floats]


def _null(tests: dict[str, Test], pool: Floats, plan: Plan, seed: int) -> dict[str, Floats]:
    """Each test's statistic of the toys, shape (toys, checkpoints)."""
    null = {name: [] for name in tests}  # type: dict[str, list[Floats]]
    for number in range(plan.toys):
        rows = draw(len(pool), plan.inspected, plan.reference, seed, number)
        for name, test in tests.items():
            null[name].append(test(pool[rows[: plan.inspected]], pool[rows[plan.inspected :]]))
    return {name: np.stack(found) for name, found in null.items()}


def _tests(
    pool: Floats, rng: np.random.Generator, seed: int, settings: SparkerSettings | None = None
) -> dict[str, Test]:
    """The tests by name; each gives its statistic, at one or several checkpoints."""
    first = first_width(pool)
    settings = settings or SparkerSettings(kernels=8)
    last = first * settings.narrowing
    centres = pool[rng.permutation(len(pool))[:100]]

    def sparse(inspected: Floats, reference: Floats) -> Floats:
        statistic: Floats = inspect(inspected, reference, first, settings, seed).t[0]
        return statistic

    def discrepancy(width: float) -> Test:
        return lambda inspected, reference: np.array([mmd(inspected, reference, width)])

    def dense(width: float) -> Test:
        return lambda inspected, reference: np.array(
            [DenseRatio(centres, width).fit(inspected, reference)]
        )

    return {
        "SparKer": sparse,
        "MMD, median width": discrepancy(first),
        "MMD, last width": discrepancy(last),
        "dense NP, median width": dense(first),
        "dense NP, last width": dense(last),
    }


def _intrusions(seed: int, path: Path, plan: Plan = U2R) -> list[Row]:
    """Network intrusions (u2r, categorical columns one-hot): p by share, and points ranked by f."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    normal, bad = _one_hot(path)
    rng = np.random.default_rng(seed)
    normal = normal[rng.permutation(len(normal))]
    held, pool = np.split(normal, [len(normal) // 10])  # a tenth, as in seed 002's split
    tests = _tests(pool, rng, seed)
    null = _null(tests, pool, plan, seed)
    rows_out = []
    for share in plan.shares:
        for name, power in _told(tests, null, (held, bad, pool), share, plan, rng).items():
            rows_out += [
                _row("u2r", name, f"{metric} at {share:.1%} anomalies", seed, value)
                for metric, value in power.items()
            ]
    inspected = np.concatenate([held, bad])
    is_bad = np.arange(len(inspected)) >= len(held)
    first = first_width(pool)
    kernels = inspect(inspected, pool[:20_000], first, SparkerSettings(), seed).kernels[0]
    dense = DenseRatio(pool[:100], first)
    dense.fit(inspected, pool[:20_000])
    scores = {
        "SparKer": kernels.log_ratio(inspected),
        "dense NP, median width": dense.log_ratio(inspected),
    }
    for name, score in scores.items():
        precision, auc = average_precision_score(is_bad, score), roc_auc_score(is_bad, score)
        rows_out.append(_row("u2r", name, "average precision", seed, float(precision)))
        rows_out.append(_row("u2r", name, "ROC AUC", seed, float(auc)))
    return rows_out


def _told(
    tests: dict[str, Test],
    null: dict[str, Floats],
    parts: tuple[Floats, Floats, Floats],
    share: float,
    plan: Plan,
    rng: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """Median p-value and power of each test over draws of held-out inliers with a share of anomalies."""
    held, bad, pool = parts
    count = round(share * plan.inspected)
    p = {name: [] for name in tests}  # type: dict[str, list[float]]
    for _ in range(plan.sets):
        inliers = held[rng.permutation(len(held))[: plan.inspected - count]]
        inspected = np.concatenate([inliers, bad[rng.permutation(len(bad))[:count]]])
        reference = pool[rng.permutation(len(pool))[: plan.reference]]
        for name, test in tests.items():
            p[name].append(verdict(test(inspected, reference), null[name]).p_value)
    return {
        name: {
            "median p": float(np.median(found)),
            "power": float(np.mean(np.array(found) <= _LEVEL)),
        }
        for name, found in p.items()
    }


def _one_hot(path: Path) -> tuple[Floats, Floats]:
    """Inliers and anomalies as one-hot rows; columns that never vary are left out."""
    import polars as pl

    table = pl.read_parquet(path)
    bad = (table["class"] == "1").to_numpy()
    X = table.drop("class").to_dummies().to_numpy().astype(np.float64)
    X = X[:, X.std(axis=0) > 0]
    return X[~bad], X[bad]


def _row(case: str, variant: str, metric: str, seed: int, value: float) -> Row:
    return Row("sparker", case, variant, metric, seed, value)
