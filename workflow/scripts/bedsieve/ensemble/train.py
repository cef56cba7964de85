"""Learn, on pseudo-labels, how members become one score; then freeze it with the model version.

In: every tile's points, labels and score tables. Out: reference ranks, weights, probabilities and counts
by score, with a manifest written last. Tiles are halved, and a tile is scored by what was
learnt on the other half, so that no label has a say in the score of its own point (but for the one estimate
of the share of bad points).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.detectors.manifest import hashes, package_versions, write_manifest
from bedsieve.ensemble.combine import Input, member_scores, weighted_mean
from bedsieve.ensemble.frozen import CALIBRATION, DETECTOR, MODEL, RANKS, Fitted
from bedsieve.ensemble.learning import (
    BINS,
    bin_of,
    class_weights,
    isotonic_knots,
    nonnegative_logistic,
    rank_knots,
)
from bedsieve.ensemble.settings import LEARNED, PROBABILITY, EnsembleSettings
from bedsieve.errors import InputError
from bedsieve.evaluation.threshold import bad_share, separation
from bedsieve.files import sha256_of, write_json, write_parquet
from bedsieve.progress import Progress
from bedsieve.tile_names import tile_index

Floats = NDArray[np.float64]

LEAST_LABELS = 20
"""Labels of each kind that a fit needs (ours)."""


@dataclass(frozen=True)
class TileTables:
    """A tile's files: points.parquet, labels.parquet, and each member's score tables."""

    points: str | Path
    labels: str | Path
    members: Mapping[str, Sequence[str | Path]]


@dataclass
class _Data:
    """Histograms of all points, and the n labelled ones.

    Attributes
    ----------
    counts, mean : (m, BINS), (BINS,) int64
        Points by score of each member, and by the plain mean of the members.
    scores, outlier, tile : (n, m) float32, (n,) bool, (n,) int64
        Of the labelled points; the tile as its place among the sorted names.
    """

    counts: NDArray[np.int64]
    mean: NDArray[np.int64]
    scores: NDArray[np.float32]
    outlier: NDArray[np.bool_]
    tile: NDArray[np.int64]


def train_ensemble(
    tiles: Mapping[str, TileTables],
    folder: str | Path,
    settings: EnsembleSettings,
    *,
    version: str,
) -> Path:
    """Learn weights, inputs and calibration, and freeze them.

    Parameters
    ----------
    tiles : mapping of str to TileTables
        By name of the tile.
    folder : path-like
        Where model.json, ranks.parquet, calibration.parquet and, last, manifest.json go.
    settings : EnsembleSettings
    version : str
        The model version.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    InputError
        If there are fewer than 20 labels of either kind.
    """
    folder = Path(folder)
    names = sorted(tiles, key=tile_index)
    data = _read({name: tiles[name] for name in names}, settings)
    _check_labels(data, tiles[names[0]].labels)
    share = settings.prevalence or bad_share(**_plain_counts(data, settings))
    halves = _halves(data, names)
    ranks = {
        member: rank_knots(counts)
        for member, counts in zip(settings.members, data.counts, strict=True)
    }
    whole = _fit(data, np.ones(len(data.outlier), bool), settings, ranks, share)
    folds = []
    counts = {kind: np.zeros(BINS, np.int64) for kind in ("every", "inlier", "outlier")}
    for half in halves or [np.arange(len(names))]:
        inside = np.isin(data.tile, half)
        fit = _fit(data, ~inside, settings, ranks, share) if halves else whole
        labelled = _combined(fit, data.scores[inside], settings, ranks)
        counts["inlier"] += _counted(labelled[~data.outlier[inside]])
        counts["outlier"] += _counted(labelled[data.outlier[inside]])
        for number in half:
            scores = _tile_scores(tiles[names[number]], settings)[1]
            counts["every"] += _counted(_combined(fit, scores, settings, ranks))
        folds.append({"tiles": [names[k] for k in half], "fit": fit.to_mapping()})
    plain = _plain_counts(data, settings)
    # The score that tells the labels apart better bounds the share more tightly.
    if not settings.prevalence and _gap(counts) >= _gap(plain):
        share = bad_share(**counts)
    document = {"share": share, "whole": whole.to_mapping(), "folds": folds}
    write_json(document, folder / MODEL)
    write_parquet(pl.DataFrame(ranks), folder / RANKS)
    write_parquet(pl.DataFrame(counts), folder / CALIBRATION)
    _report(settings, whole, share, data, bool(halves))
    return _write_manifest(folder, tiles, settings, version)


def _tile_scores(
    tables: TileTables, settings: EnsembleSettings
) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """Points of a tile and the members' scores of them, shape (n, m)."""
    ids = pl.read_parquet(tables.points, columns=["point_id"])["point_id"].to_numpy()
    columns = [member_scores(name, ids, tables.members[name]) for name in settings.members]
    return ids, np.column_stack(columns)


def _counted(score: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.bincount(bin_of(score[~np.isnan(score)]), minlength=BINS)


def _read(tiles: Mapping[str, TileTables], settings: EnsembleSettings) -> _Data:
    counts = np.zeros((len(settings.members), BINS), np.int64)
    mean = np.zeros(BINS, np.int64)
    scores, outlier, of_tile = [], [], []
    progress = Progress("ensemble: scores", len(tiles), "tiles")
    for number, tables in enumerate(tiles.values()):
        ids, found = _tile_scores(tables, settings)
        for k, column in enumerate(found.T):
            counts[k] += _counted(column)
        mean += _counted(weighted_mean(found, np.ones(len(settings.members)))[0])
        labels = pl.read_parquet(tables.labels, columns=["point_id", "label"]).drop_nulls("label")
        order = np.argsort(ids)
        at = np.searchsorted(ids, labels["point_id"].to_numpy(), sorter=order)
        place = order[np.minimum(at, len(ids) - 1)] if len(ids) else at[:0]
        mine = ids[place] == labels["point_id"].to_numpy()[: len(place)]
        scores.append(found[place[mine]])
        outlier.append(labels["label"].to_numpy()[: len(place)][mine] == 1)
        of_tile.append(np.full(int(mine.sum()), number))
        progress.advance(1)
    return _Data(
        counts, mean, np.concatenate(scores), np.concatenate(outlier), np.concatenate(of_tile)
    )


def _check_labels(data: _Data, where: str | Path) -> None:
    bad, good = int(data.outlier.sum()), int((~data.outlier).sum())
    if min(bad, good) < LEAST_LABELS:
        raise InputError(
            where,
            f"with all other tiles there are {good} inlier and {bad} outlier labels, too few to learn from",
            "Set ensemble.weights: equal, ensemble.inputs: score and ensemble.fdr: null, or use a model "
            "version that was trained elsewhere",
        )


def _plain_counts(data: _Data, settings: EnsembleSettings) -> dict[str, NDArray[np.int64]]:
    """Points by the plain mean of the members."""
    plain, _ = weighted_mean(data.scores, np.ones(len(settings.members)))
    inlier, outlier = _counted(plain[~data.outlier]), _counted(plain[data.outlier])
    return {"every": data.mean, "inlier": inlier, "outlier": outlier}


def _gap(counts: Mapping[str, NDArray[np.int64]]) -> float:
    return separation(counts["inlier"], counts["outlier"])


def _halves(data: _Data, names: Sequence[str]) -> list[NDArray[np.int64]]:
    """Tiles from west to east, cut in two where the outlier labels are halved; none where that fails."""
    bad = np.bincount(data.tile[data.outlier], minlength=len(names))
    good = np.bincount(data.tile[~data.outlier], minlength=len(names))
    if len(names) < 2:
        return []
    left = np.cumsum(bad)[:-1]
    cut = int(np.abs(left - bad.sum() / 2).argmin()) + 1
    halves = [np.arange(cut), np.arange(cut, len(names))]
    enough = all(min(bad[half].sum(), good[half].sum()) >= LEAST_LABELS for half in halves)
    return halves if enough else []


def _fit(
    data: _Data,
    use: NDArray[np.bool_],
    settings: EnsembleSettings,
    ranks: Mapping[str, Floats],
    share: float,
) -> Fitted:
    outlier = data.outlier[use]
    weight = class_weights(outlier, share)
    curves = {}
    if settings.inputs == PROBABILITY:
        for k, member in enumerate(settings.members):
            score = data.scores[use, k].astype(np.float64)
            known = ~np.isnan(score)
            curves[member] = isotonic_knots(score[known], outlier[known], weight[known])
    if settings.weights != LEARNED:
        assert not isinstance(settings.weights, str)
        given = {member: float(settings.weights.get(member, 1.0)) for member in settings.members}
        return Fitted(given, curves)
    inputs = Fitted({}, curves).inputs(settings.inputs, ranks)
    X = _inputs(inputs, data.scores[use], settings).astype(np.float64)
    found = nonnegative_logistic(X, outlier, weight)
    return Fitted(dict(zip(settings.members, found.tolist(), strict=True)), curves)


def _inputs(
    inputs: Mapping[str, Input], scores: NDArray[np.float32], settings: EnsembleSettings
) -> NDArray[np.float32]:
    return np.column_stack(
        [
            inputs[name](column) if name in inputs else column
            for name, column in zip(settings.members, scores.T, strict=True)
        ]
    )


def _combined(
    fit: Fitted,
    scores: NDArray[np.float32],
    settings: EnsembleSettings,
    ranks: Mapping[str, Floats],
) -> NDArray[np.float32]:
    X = _inputs(fit.inputs(settings.inputs, ranks), scores, settings)
    return weighted_mean(X, np.array([fit.weights[name] for name in settings.members]))[0]


def _report(
    settings: EnsembleSettings, whole: Fitted, share: float, data: _Data, halved: bool
) -> None:
    known = "given" if settings.prevalence else "estimated"
    print(f"{len(data.outlier):,} labelled points, {int(data.outlier.sum()):,} of them outliers.")
    print(f"Share of bad points: {share:.3g} ({known}).")
    print("Weights: " + ", ".join(f"{name} {w:.3f}" for name, w in whole.weights.items()))
    if not halved:
        print("Too few labels to halve the tiles: each label has a say in the score of its point.")


def _write_manifest(
    folder: Path, tiles: Mapping[str, TileTables], settings: EnsembleSettings, version: str
) -> Path:
    read = {
        str(path)
        for tables in tiles.values()
        for path in (
            tables.points,
            tables.labels,
            *(table for member in tables.members.values() for table in member),
        )
    }
    write_manifest(
        folder / "manifest.json",
        detector=DETECTOR,
        version=version,
        config=asdict(settings),
        inputs=hashes(sorted(read)),
        files={name: sha256_of(folder / name) for name in (MODEL, RANKS, CALIBRATION)},
        packages=package_versions(["numpy", "scipy", "polars"]),
        seed=None,
    )
    return folder / "manifest.json"
