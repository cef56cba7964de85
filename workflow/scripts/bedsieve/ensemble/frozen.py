"""The frozen part of an ensemble: reference ranks, probabilities, weights, and the counts that set a threshold.

In: the folder that `train_ensemble` wrote. Out: what turns the members' scores of a tile into one score and
what turns a false-discovery rate into a threshold, both the same whatever else is in the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.detectors.manifest import read_manifest
from bedsieve.ensemble.combine import Input
from bedsieve.ensemble.learning import rank_at
from bedsieve.ensemble.settings import LEARNED, PROBABILITY, RANK, EnsembleSettings
from bedsieve.evaluation.threshold import fdr_threshold_of_counts

Floats = NDArray[np.float64]

DETECTOR = "ensemble"
MODEL, RANKS, CALIBRATION = "model.json", "ranks.parquet", "calibration.parquet"


@dataclass(frozen=True)
class Fitted:
    """What was learnt from some of the labelled points.

    Parameters
    ----------
    weights : dict of str to float
        Weight of each member.
    curves : dict of str to (x, y)
        Probability by score of each member, as knots; empty unless probabilities are the inputs.
    """

    weights: Mapping[str, float]
    curves: Mapping[str, tuple[Floats, Floats]]

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON values."""
        curves = {name: [x.tolist(), y.tolist()] for name, (x, y) in self.curves.items()}
        return {"weights": dict(self.weights), "curves": curves}

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> Fitted:
        """From what `to_mapping` gave."""
        curves = {name: (np.array(x), np.array(y)) for name, (x, y) in document["curves"].items()}
        return cls(document["weights"], curves)

    def inputs(self, kind: str, ranks: Mapping[str, Floats]) -> dict[str, Input]:
        """How each member's scores become inputs; empty where scores are taken as they are."""
        if kind == RANK:
            return {name: _rank(knots) for name, knots in ranks.items()}
        if kind == PROBABILITY:
            return {name: _probability(*curve) for name, curve in self.curves.items()}
        return {}


def _rank(knots: Floats) -> Input:
    return lambda score: rank_at(knots, score).astype(np.float32)


def _probability(x: Floats, y: Floats) -> Input:
    return lambda score: np.interp(score.astype(np.float64), x, y).astype(np.float32)


@dataclass(frozen=True)
class Mix:
    """All that `combine` needs: weights, inputs and threshold."""

    weights: Mapping[str, float]
    inputs: Mapping[str, Input]
    threshold: float


@dataclass(frozen=True)
class FrozenEnsemble:
    """An ensemble's frozen part.

    Parameters
    ----------
    folds : list of (tiles, Fitted)
        Tiles whose labels a fit did not see, and the fit that scores them.
    whole : Fitted
        From all labelled points, for tiles that came later.
    ranks : dict of str to (BINS + 1,) float64
        Reference distribution of each member's scores.
    share : float
        Share of bad points.
    counts : dict of str to (BINS,) int64
        Ensemble scores by bin: of ``every`` point, and of ``inlier`` and ``outlier`` labels, each scored
        by the fit that did not see it.
    """

    folds: list[tuple[list[str], Fitted]]
    whole: Fitted
    ranks: dict[str, Floats]
    share: float
    counts: dict[str, NDArray[np.int64]]

    def fitted(self, tile: str) -> Fitted:
        """The fit that scores a tile: one that did not see its labels."""
        return next((fit for tiles, fit in self.folds if tile in tiles), self.whole)

    def threshold(self, level: float) -> float:
        """Lowest threshold at which the estimated false-discovery rate is at most `level`."""
        return fdr_threshold_of_counts(**self.counts, level=level, share=self.share)


def read_frozen(folder: str | Path) -> FrozenEnsemble:
    """Read what `train_ensemble` wrote.

    Raises
    ------
    InputError
        If the files are not those that the manifest describes.
    """
    folder = Path(folder)
    read_manifest(folder / "manifest.json", detector=DETECTOR)
    document = json.loads((folder / MODEL).read_text(encoding="utf-8"))
    ranks = pl.read_parquet(folder / RANKS)
    counts = pl.read_parquet(folder / CALIBRATION)
    return FrozenEnsemble(
        [(fold["tiles"], Fitted.from_mapping(fold["fit"])) for fold in document["folds"]],
        Fitted.from_mapping(document["whole"]),
        {name: ranks[name].to_numpy() for name in ranks.columns},
        document["share"],
        {name: counts[name].to_numpy() for name in counts.columns},
    )


def mix_of(settings: EnsembleSettings, tile: str, folder: str | Path | None) -> Mix:
    """Weights, inputs and threshold for a tile.

    Parameters
    ----------
    settings : EnsembleSettings
    tile : str
        Name of the tile.
    folder : path-like or None
        Where what is learnt lies; None where nothing is.
    """
    if folder is None:
        assert not isinstance(settings.weights, str)
        return Mix(settings.weights, {}, settings.threshold)
    frozen = read_frozen(folder)
    fit = frozen.fitted(tile)
    weights = fit.weights if settings.weights == LEARNED else settings.weights
    assert not isinstance(weights, str)
    return Mix(weights, fit.inputs(settings.inputs, frozen.ranks), _threshold(settings, frozen))


def flag_threshold(settings: EnsembleSettings, folder: str | Path | None) -> float:
    """The score from which points are flagged; infinite where no threshold keeps the wanted rate."""
    return settings.threshold if folder is None else _threshold(settings, read_frozen(folder))


def _threshold(settings: EnsembleSettings, frozen: FrozenEnsemble) -> float:
    return settings.threshold if settings.fdr is None else frozen.threshold(settings.fdr)
