"""Categorical score matching on the source's tables, as a curve over its training, beside shallow methods.

In: the name of a set, a seed and the folder of the tables. Out: average precision on the source's split
(inliers 80/10/10, the last tenth with all anomalies is the test) after rising numbers of steps, and that of
isolation forests and ECOD on the same split (seed 002, section 5.1 and Table 2). The network is scored twice: as
the source's text says, and as its released code does, with a step along the score first and unsquared norms.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bedsieve.benchmarks.gnsm_files import FETCHED
from bedsieve.benchmarks.gnsm_source import (
    ECOD,
    GNSM,
    IFOREST,
    IFOREST_PYOD,
    LESS_ECOD,
    RELEASED,
    published,
)
from bedsieve.benchmarks.rows import Row
from bedsieve.detectors.gnsm_settings import GnsmSettings

if TYPE_CHECKING:
    from bedsieve.benchmarks.gnsm_sets import Table
    from bedsieve.detectors.gnsm_coding import Coded, Coding
    from bedsieve.detectors.gnsm_mixture import Floats
    from bedsieve.detectors.gnsm_table import Split
    from bedsieve.detectors.gnsm_training import Weights

CASES: tuple[str, ...] = ("bank", "chess", "cmc", "solar", "u2r")
"""Sets that are at hand; `run` takes census and probe as well, once their files are fetched."""

FILES: dict[str, tuple[str, ...]] = {case: (f"{case}.parquet",) for case in CASES} | {
    case: tuple(file.name for file in files) for case, files in FETCHED.items()
}
"""Files in the data folder that each set is read from."""

METRIC = "average precision"
SETTINGS = GnsmSettings(steps=1000, batch=256, mixture_rows=3000)
"""What a processor core can train in a quarter of a minute; the source trains a network of some 200 times as
many weights for up to two million steps of 2,048 rows."""

CURVE = (0.1, 0.4)
"""Shares of the steps at which the method is also measured, before its end."""


def run(case: str, seed: int, data: Path, settings: GnsmSettings = SETTINGS) -> list[Row]:
    """Measure one set with one seed.

    Parameters
    ----------
    case : str
        One of `CASES`, or ``census`` or ``probe``.
    seed : int
        Of the split and of all methods.
    data : Path
        Folder of the tables.
    settings : GnsmSettings

    Raises
    ------
    InputError
        If the set's file is missing.
    """
    from bedsieve.benchmarks.gnsm_sets import read_set
    from bedsieve.detectors.gnsm_coding import learn_coding
    from bedsieve.detectors.gnsm_table import split_rows

    table = read_set(case, data)
    split = split_rows(table.anomaly, seed)
    categories = [name for name in table.rows.columns if name not in table.numbers]
    coding = learn_coding(
        table.rows, categories, table.numbers, learnt_from=table.rows[split.train]
    )
    shallow = _shallow(table, split, coding, seed)
    figures = _gnsm(table, split, coding, settings, seed) | shallow
    # A split moves all methods together: the distance from one without a seed is left of it.
    for variant in (GNSM, RELEASED):
        figures[f"{variant}, {LESS_ECOD}"] = figures[variant] - shallow[ECOD]
    return [
        Row("gnsm", case, variant, METRIC, seed, value, *published(variant, case))
        for variant, value in figures.items()
    ]


def _gnsm(
    table: Table, split: Split, coding: Coding, settings: GnsmSettings, seed: int
) -> dict[str, float]:
    """Average precision by variant at each point of the curve; one network is scored in both ways."""
    from bedsieve.detectors.gnsm_model import with_mixture
    from bedsieve.detectors.gnsm_training import train_network

    test = table.rows[split.test]
    parts = coding.encode(table.rows[split.train]), coding.encode(table.rows[split.validation])
    steps = settings.steps
    ends = {round(steps * share): f", {round(steps * share)} of {steps} steps" for share in CURVE}
    ends[steps] = ""
    ways = {GNSM: settings, RELEASED: replace(settings, norm="plain", denoise=True)}
    figures: dict[str, float] = {}

    def measure(step: int, weights: Weights) -> None:
        if step in ends:
            for name, way in ways.items():
                model = with_mixture(weights, *parts, coding, way, seed)
                score = model.negative_log_likelihood(test)
                figures[name + ends[step]] = _precision(score, table, split)

    train_network(*parts, coding.sizes, settings, seed, on_check=measure)
    return figures


def _shallow(table: Table, split: Split, coding: Coding, seed: int) -> dict[str, float]:
    """Average precision of the shallow methods on one-hot columns and numbers."""
    from pyod.models import ecod, iforest
    from sklearn.ensemble import IsolationForest

    train, test = (
        _one_hot(coding.encode(table.rows[r]), coding) for r in (split.train, split.test)
    )
    forest = IsolationForest(random_state=seed).fit(train)
    scores = {
        IFOREST: -forest.score_samples(test),
        IFOREST_PYOD: iforest.IForest(random_state=seed).fit(train).decision_function(test),
        ECOD: ecod.ECOD().fit(train).decision_function(test),
    }
    return {name: _precision(score, table, split) for name, score in scores.items()}


def _one_hot(coded: Coded, coding: Coding) -> Floats:
    import numpy as np

    columns = [np.eye(size)[coded.category[:, place]] for place, size in enumerate(coding.sizes)]
    return np.concatenate([*columns, coded.number.astype(np.float64)], axis=1)


def _precision(score: Floats, table: Table, split: Split) -> float:
    from bedsieve.evaluation.metrics import Ranking, average_precision

    return average_precision(Ranking(score, table.anomaly[split.test]))
