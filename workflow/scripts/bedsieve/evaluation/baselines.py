"""What a detector must beat: hand rules, and outlier detectors of PyOD on the same points.

In: the points of a tile and its halo, their nearest neighbours and the crossovers. Out: a score a point and rule,
higher = more anomalous, on scales of their own. None of them is trained elsewhere: PyOD's are fitted on the points that
they score, as they are used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.along_track import along_track
from bedsieve.detectors.pca import feature_matrix
from bedsieve.graph.lines import LINE

Floats = npt.NDArray[np.float64]

NEAREST = 16
"""Neighbours of the median rule."""

PYOD = ("iforest", "ecod", "hbos", "pca")
FEATURE_SETS = ("physics", "residuals")
RULES = ("along_track_rule", "knn_median", "mistie_interpolation")
BASELINES = (*RULES, *(f"{name}_{features}" for name in PYOD for features in FEATURE_SETS))
"""Names of all baselines, in the order of the tables."""


def line_of(points: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Line of each point of a table, unique over surveys."""
    return points.select(LINE).to_series().to_numpy()


def neighbour_residual(
    ice_thickness: Floats, neighbour: npt.NDArray[np.int32], nearest: int = NEAREST
) -> Floats:
    """Thickness minus the median of the nearest neighbours (m); NaN without any.

    Parameters
    ----------
    ice_thickness : (n,) float64 array
        Of all nodes, m.
    neighbour : (rows, k) int32 array
        Neighbours of the first `rows` nodes, nearest first; -1 for an empty slot.
    nearest : int
        How many of them.
    """
    table = neighbour[:, :nearest]
    values = np.where(table >= 0, ice_thickness[table], np.nan)
    residual = np.full(len(table), np.nan)
    some = np.isfinite(values).any(axis=1)
    residual[some] = ice_thickness[: len(table)][some] - np.nanmedian(values[some], axis=1)
    return residual


def mistie_interpolation(points: pl.DataFrame, crossovers: pl.DataFrame) -> Floats:
    """Size of the mis-ties with other lines, interpolated along each line (m).

    Between two crossings of a line the mis-tie runs linearly from one to the other; beyond the last it stays. The
    absolute value is the score. A line that meets no other has none (NaN).

    Parameters
    ----------
    points : DataFrame
        point_id, survey_no, track_id, track_seq, east, north.
    crossovers : DataFrame
        point_id_a, point_id_b, mistie, self_crossing.
    """
    met = crossovers.filter(~pl.col("self_crossing"))
    sides = pl.concat(
        met.select(
            pl.col(f"point_id_{side}").alias("point_id"), (sign * pl.col("mistie")).alias("m")
        )
        for side, sign in (("a", 1.0), ("b", -1.0))
    )
    sides = sides.group_by("point_id").agg(pl.col("m").median())
    table = points.select("point_id", "track_seq", "east", "north").join(
        sides, on="point_id", how="left", maintain_order="left"
    )
    line = line_of(points)
    order = np.lexsort((table["track_seq"].to_numpy(), line))
    mistie = table["m"].cast(pl.Float64).fill_null(float("nan")).to_numpy()[order]
    east, north = table["east"].to_numpy()[order], table["north"].to_numpy()[order]
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(east), np.diff(north)))])
    found = np.full(len(order), np.nan)
    starts = np.flatnonzero(np.diff(line[order], prepend=-1))
    for first, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        part = slice(first, stop)
        known = np.flatnonzero(np.isfinite(mistie[part]))
        if len(known):
            values = np.interp(along[part], along[part][known], mistie[part][known])
            found[part] = np.abs(values)
    score = np.empty(len(order))
    score[order] = found
    return score


def residual_features(
    points: pl.DataFrame, neighbour: Floats, mistie: Floats
) -> npt.NDArray[np.float64]:
    """Features that compare a point with what is around it.

    Parameters
    ----------
    points : DataFrame
        n points, those of a line by track_seq.
    neighbour, mistie : (n,) float64 arrays
        Residual against the nearest points (m), and the interpolated mis-tie (m).

    Returns
    -------
    (n, 4) float64 array
        Sizes of the residuals along the track, of the step to the next point of the track, of that against the
        nearest points and of the interpolated mis-tie, each as ln(1 + m); NaN where there is none.
    """
    line = line_of(points)
    order = np.lexsort((points["track_seq"].to_numpy(), line))
    thickness = points["ice_thickness"].to_numpy()[order]
    residual = np.empty(len(order))
    residual[order] = along_track(thickness, line[order])["residual"]
    step = np.empty(len(order))
    jump = np.diff(thickness, append=np.nan)
    jump[np.append(np.diff(line[order]) != 0, True)[: len(order)]] = np.nan
    step[order] = jump
    return np.log1p(np.abs(np.column_stack([residual, step, neighbour, mistie])))


def pyod_scores(X: npt.NDArray[np.floating], seed: int) -> dict[str, Floats]:
    """Scores of PyOD's detectors, fitted on the points that they score.

    Parameters
    ----------
    X : (n, d) float array
        Features; what is missing takes the column's median, an empty column is left out.
    seed : int
        Of the isolation forest.

    Returns
    -------
    dict of str to (n,) float64 array
        By the names of `PYOD`; zeros where no column holds a value.
    """
    from pyod.models.ecod import ECOD
    from pyod.models.hbos import HBOS
    from pyod.models.iforest import IForest
    from pyod.models.pca import PCA

    X = np.asarray(X, np.float64)
    X = X[:, np.isfinite(X).any(axis=0)]
    X = X[:, np.nanstd(X, axis=0) > 0] if len(X) else X
    if X.size == 0:
        return {name: np.zeros(len(X)) for name in PYOD}
    X = np.where(np.isfinite(X), X, np.nanmedian(X, axis=0))
    detectors = {
        "iforest": IForest(random_state=seed, n_jobs=1),
        "ecod": ECOD(n_jobs=1),
        "hbos": HBOS(),
        "pca": PCA(random_state=seed),
    }
    return {name: np.asarray(model.fit(X).decision_scores_) for name, model in detectors.items()}


def score_baselines(
    core: int,
    points: pl.DataFrame,
    neighbour: npt.NDArray[np.int32],
    crossovers: pl.DataFrame,
    seed: int,
    floor: float,
) -> dict[str, Floats]:
    """Scores of all `BASELINES` for the tile's own points.

    Parameters
    ----------
    core : int
        How many of `points`, the first, are the tile's own.
    points : DataFrame
        The tile's points and its halo below.
    neighbour : (rows, k) int32 array
        Neighbours of the first `rows` points.
    crossovers : DataFrame
        As `mistie_interpolation` takes them.
    seed : int
        Of what is drawn.
    floor : float
        Least scale of the along-track rule (m).

    Returns
    -------
    dict of str to (core,) float64 array
    """
    line = line_of(points)
    order = np.lexsort((points["track_seq"].to_numpy(), line))
    thickness = points["ice_thickness"].to_numpy()
    along = np.empty(points.height)
    along[order] = along_track(thickness[order], line[order], floor)["score"]
    near = np.full(points.height, np.nan)
    near[: len(neighbour)] = neighbour_residual(thickness, neighbour)
    mistie = mistie_interpolation(points, crossovers)
    scores = dict(zip(RULES, (along[:core], np.abs(near)[:core], mistie[:core]), strict=True))
    features: dict[str, npt.NDArray[Any]] = {
        "physics": feature_matrix(points[:core]),
        "residuals": residual_features(points, near, mistie)[:core],
    }
    for kind, X in features.items():
        for name, values in pyod_scores(X, seed).items():
            scores[f"{name}_{kind}"] = values
    return {name: scores[name] for name in BASELINES}
