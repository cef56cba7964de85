"""Seed 003's claim put to the test: are the points whose entropy stands out of their surroundings real anomalies?

In: a case, a seed and the folder of the papers' data. Out: rows of figures for local entropy and what it is
compared with. Digits: networks learn nine, the tenth is the anomaly (no networks of galaxies here: the
images are out of scope). The demo's ice: the graph network learns in a world without one kind of error and
scores one that has it. Everything is done twice with networks of other seeds, since the source warns that
its result depends on the model.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bedsieve.benchmarks.rows import Row
from bedsieve.errors import ConfigError
from bedsieve.evaluation.metrics import Ranking, average_precision

METHOD = "local_entropy"
SIGMA = 3.0
DIGITS = {"mnist": False, "mnist_spectral": True}
"""Cases with digits, and whether the network is spectrally normalised, as the source's is."""

HELD_BACK = {f"demo_{kind}": kind for kind in ("burst", "unit_slip", "column_swap")}
"""Cases with ice, and the kind of error that training never saw."""

CASES: tuple[str, ...] = (*DIGITS, *HELD_BACK)
FILES: dict[str, tuple[str, ...]] = dict.fromkeys(DIGITS, ("mnist.npz",))

SOURCE = {"share_real": 1.0, "recall_unseen": 31 / 108}
"""Seed 003: every source above 3 σ was a hybrid; 31 of the 108 hybrids were."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Points as one model sees them.

    Parameters
    ----------
    z : mapping of str to float64 ndarray (n,)
        By variant of local entropy; a point is flagged above `SIGMA`.
    rankings : mapping of str to float64 ndarray (n,)
        What it is compared with; as many points are flagged as by the first of `z`.
    real : bool ndarray (n,)
        Anomalies of any kind.
    unseen : bool ndarray (n,)
        Those of the kind that training never saw.
    """

    z: Mapping[str, Doubles]
    rankings: Mapping[str, Doubles]
    real: npt.NDArray[np.bool_]
    unseen: npt.NDArray[np.bool_]


def run(case: str, seed: int, data: Path) -> list[Row]:
    """Figures of one case and seed.

    Parameters
    ----------
    case : str
        One of `CASES`.
    seed : int
        Of data and network; also the digit that is left out (its last figure).
    data : Path
        Holds mnist.npz for the cases with digits; the others need nothing.

    Returns
    -------
    list of Row
        By variant: ``flagged``; ``share_real`` and ``share_unseen`` of the flags (left out where there are
        none); ``recall`` of all anomalies and ``recall_unseen``; ``average_precision_unseen`` against the
        points that are no anomaly. For the first variant, between two networks that differ by
        their seed alone: ``rank_correlation`` of z and ``flag_overlap`` (shared flags over flags of either).

    Raises
    ------
    ConfigError
        If there is no such case.
    """
    if case not in CASES:
        raise ConfigError(f"local_entropy: no case '{case}'. Known: {', '.join(CASES)}.")
    if case in DIGITS:
        from bedsieve.benchmarks.local_entropy_digits import judged_digits

        one, two = judged_digits(data / "mnist.npz", seed, spectral=DIGITS[case])
    else:
        from bedsieve.benchmarks.local_entropy_ice import judged_ice

        with tempfile.TemporaryDirectory(prefix="bedsieve-local-entropy-") as scratch:
            one, two = judged_ice(Path(scratch), HELD_BACK[case], seed)
    rows = [
        Row(METHOD, case, variant, metric, seed, value, _source(variant, metric, one))
        for variant, metric, value in _figures(one)
    ]
    first = next(iter(one.z))
    return rows + [
        Row(METHOD, case, first, metric, seed, value)
        for metric, value in agreement(one.z[first], two.z[first]).items()
    ]


def _source(variant: str, metric: str, judged: Judged) -> float | None:
    return SOURCE.get(metric) if variant in judged.z else None


def _figures(judged: Judged) -> list[tuple[str, str, float]]:
    found: list[tuple[str, str, float]] = []
    budget = int((next(iter(judged.z.values())) > SIGMA).sum())
    flags = {name: z > SIGMA for name, z in judged.z.items()}
    flags |= {name: highest(ranked, budget) for name, ranked in judged.rankings.items()}
    values = {**judged.z, **judged.rankings}
    for name, flag in flags.items():
        figures = {
            "flagged": float(flag.sum()),
            "recall": _share(flag, judged.real),
            "recall_unseen": _share(flag, judged.unseen),
            "average_precision_unseen": _precision_of_unseen(values[name], judged),
        }
        if flag.any():
            figures["share_real"] = _share(judged.real, flag)
            figures["share_unseen"] = _share(judged.unseen, flag)
        found += [(name, metric, value) for metric, value in figures.items()]
    return found


def _share(part: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]) -> float:
    return float((part & whole).sum() / whole.sum())


def _precision_of_unseen(values: Doubles, judged: Judged) -> float:
    counted = judged.unseen | ~judged.real
    return average_precision(Ranking(values[counted], judged.unseen[counted]))


def highest(values: Doubles, count: int) -> npt.NDArray[np.bool_]:
    """Which are the `count` highest values; among equals the first."""
    flag = np.zeros(values.size, np.bool_)
    flag[np.argsort(-values, kind="stable")[:count]] = True
    return flag


def agreement(one: Doubles, two: Doubles) -> dict[str, float]:
    """How far two models agree on the same points.

    Returns
    -------
    dict
        ``rank_correlation`` (Spearman's) and, where either flags anything, ``flag_overlap``.
    """
    from scipy.stats import spearmanr

    found = {"rank_correlation": float(spearmanr(one, two).statistic)}
    either = (one > SIGMA) | (two > SIGMA)
    if either.any():
        found["flag_overlap"] = float(((one > SIGMA) & (two > SIGMA)).sum() / either.sum())
    return found
