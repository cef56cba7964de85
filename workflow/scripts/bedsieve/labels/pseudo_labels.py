"""Pseudo-labels of a tile: inliers and outliers that geometry alone can tell.

In: a tile's points and halo, and its double hits. Out: a label a core point that has one, the verdict
on each pair that the tile owns, and the accounting of study B. A point near the border has pairs that
lie beyond it and that a neighbouring tile owns: they are judged here as well, so that a label rests on
all pairs of its point and no tile needs another's result; only owned pairs are counted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.errors import BedsieveError
from bedsieve.files import write_json, write_parquet
from bedsieve.graph.lines import line_of
from bedsieve.graph.tile_geometry import TileBox
from bedsieve.labels.accounting import Labels, account
from bedsieve.labels.support import Rules, support_index
from bedsieve.labels.verdict import (
    INLIER_INLIER,
    INLIER_OUTLIER,
    OUTLIER_INLIER,
    VERDICTS,
    Verdicts,
    judge_pairs,
)
from bedsieve.progress import Progress

VERDICT = pl.Enum(VERDICTS)
_COLUMNS = ["point_id", "survey_no", "track_id", "east", "north", "ice_thickness"]
_PAIRS = 100_000  # judged between two looks at the clock
Rows = NDArray[np.int32]


def write_labels(
    points_path: str | Path,
    halo_path: str | Path,
    owned_path: str | Path,
    beyond_path: str | Path,
    out_labels: str | Path,
    out_pairs: str | Path,
    out_accounting: str | Path,
    *,
    tile: str,
    tile_size: float,
    reach: float,
    radius: float = 25.0,
    rules: Rules | None = None,
) -> None:
    """Label the core points of a tile from its double hits.

    Parameters
    ----------
    points_path, halo_path : path
        The tile's points and the points around it.
    owned_path, beyond_path : path
        The crossovers that the tile owns, and those of its points that lie beyond it.
    out_labels : path
        Parquet, a row a core point with a vote: point_id, label (0 inlier, 1 outlier, null where
        votes conflict), conflict, n_inlier, n_outlier (pairs that voted so).
    out_pairs : path
        Parquet, a row a double hit that the tile owns, in the order of the crossovers:
        point_id_a, point_id_b, verdict, n_support, n_kept, s_max (m/m), eta (m).
    out_accounting : path
        JSON: pairs, pairs by verdict, labels and conflicts; adds up over tiles.
    tile, tile_size : str, float
        The tile's name and side (m).
    reach : float
        Width of the halo (m).
    radius : float
        Double hits further apart are left out (m); at most that of the crossovers.
    rules : Rules, optional
        Constants of the labels; those of study B by default.

    Raises
    ------
    BedsieveError
        If the halo is too narrow for the support of a pair at the border.
    """
    rules = rules or Rules()
    needed = rules.support_radius + radius
    if reach < needed:
        raise BedsieveError(
            f"{halo_path}: the halo of tile {tile} is {reach:.0f} m wide, but pseudo-labels need "
            f"{needed:.0f} m. Set graph.max_neighbour_distance or hops to reach that far."
        )
    box = TileBox.from_name(tile, tile_size)
    frame = pl.concat(
        [pl.read_parquet(path, columns=_COLUMNS) for path in (points_path, halo_path)]
    )
    near = box.distance(frame["east"].to_numpy(), frame["north"].to_numpy()) <= needed
    owned, beyond = (_double_hits(path, radius) for path in (owned_path, beyond_path))
    result = label_points(frame.filter(pl.Series(near)), owned, beyond, box, rules=rules)
    write_parquet(result.labels, out_labels)
    write_parquet(result.pairs, out_pairs)
    write_json({"tile": tile, **account(result)}, out_accounting)


def _double_hits(path: str | Path, radius: float) -> pl.DataFrame:
    hits = pl.scan_parquet(path).filter(
        (pl.col("kind").cast(pl.String) == "double_hit") & (pl.col("distance") <= radius)
    )
    return hits.select("point_id_a", "point_id_b").collect()


def label_points(
    frame: pl.DataFrame,
    owned: pl.DataFrame,
    beyond: pl.DataFrame,
    box: TileBox,
    *,
    rules: Rules | None = None,
) -> Labels:
    """Judge the double hits that a tile owns, or that touch a point of it, and label its points.

    Parameters
    ----------
    frame : DataFrame
        Points of the tile and of the halo as far as supports reach: point_id, survey_no, track_id,
        east, north, ice_thickness.
    owned, beyond : DataFrame
        point_id_a, point_id_b of the double hits that the tile owns, and of those that touch a point of
        it and lie beyond it.
    box : TileBox
    rules : Rules, optional
        As in `write_labels`.

    Returns
    -------
    Labels
    """
    rules = rules or Rules()
    ids = frame["point_id"].to_numpy()
    east, north = frame["east"].to_numpy(), frame["north"].to_numpy()
    survey_no = frame["survey_no"].to_numpy()
    line = line_of(survey_no, frame["track_id"].to_numpy())
    core = box.owns(east, north)
    hits = pl.concat([part.select("point_id_a", "point_id_b") for part in (owned, beyond)])
    a, b = _rows(ids, hits["point_id_a"]), _rows(ids, hits["point_id_b"])
    thickness = frame["ice_thickness"].to_numpy()
    verdicts = _judge(east, north, thickness, line, survey_no, ids, a, b, rules)
    own = slice(owned.height)
    pairs = owned.select("point_id_a", "point_id_b").with_columns(
        pl.Series(VERDICTS, dtype=VERDICT).gather(verdicts.verdict[own]).alias("verdict"),
        pl.Series("n_support", verdicts.n_support[own]),
        pl.Series("n_kept", verdicts.n_kept[own]),
        pl.Series("s_max", verdicts.s_max[own], nan_to_null=True),
        pl.Series("eta", verdicts.eta[own], nan_to_null=True),
    )
    return Labels(vote(ids, core, a, b, verdicts.verdict), pairs)


def _rows(ids: NDArray[np.uint64], wanted: pl.Series) -> Rows:
    order = np.argsort(ids)
    return order[np.searchsorted(ids, wanted.to_numpy(), sorter=order)].astype(np.int32)


def _judge(
    east: NDArray[np.float64],
    north: NDArray[np.float64],
    thickness: NDArray[np.float64],
    line: NDArray[np.int64],
    survey_no: NDArray[np.uint32],
    ids: NDArray[np.uint64],
    a: Rows,
    b: Rows,
    rules: Rules,
) -> Verdicts:
    """Verdicts on pairs in the order given; judged in the order of their place."""
    if a.size == 0:
        none, nothing = np.zeros(0, np.int32), np.zeros(0)
        return Verdicts(np.zeros(0, np.uint8), none, none, nothing, nothing)
    index, place = support_index(east, north, thickness, line, survey_no, ids, rules)
    order = np.argsort(place[a], kind="stable")
    progress = Progress("Judging double hits", order.size, "pairs")
    parts = []
    for first in range(0, order.size, _PAIRS):
        some = order[first : first + _PAIRS]
        parts.append(judge_pairs(index, rules, place[a[some]], place[b[some]]))
        progress.advance(some.size)
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    return Verdicts(*(np.concatenate(column)[back] for column in zip(*parts, strict=True)))


def vote(
    ids: NDArray[np.uint64],
    core: NDArray[np.bool_],
    a: Rows,
    b: Rows,
    verdict: NDArray[np.uint8],
) -> pl.DataFrame:
    """Labels of core points from the verdicts on all their pairs; both kinds of vote are a conflict.

    Parameters
    ----------
    ids, core : ndarray of uint64 and of bool, shape (n,)
        point_id, and whether the tile owns the point.
    a, b : ndarray of int32, shape (pairs,)
        Rows of each pair's points.
    verdict : ndarray of uint8, shape (pairs,)
        Place in `VERDICTS`.

    Returns
    -------
    DataFrame
        The labels that `write_labels` writes.
    """
    n = ids.size
    inlier_a = (verdict == INLIER_INLIER) | (verdict == INLIER_OUTLIER)
    inlier_b = (verdict == INLIER_INLIER) | (verdict == OUTLIER_INLIER)
    inliers = np.bincount(a[inlier_a], minlength=n) + np.bincount(b[inlier_b], minlength=n)
    outlier_a, outlier_b = verdict == OUTLIER_INLIER, verdict == INLIER_OUTLIER
    outliers = np.bincount(a[outlier_a], minlength=n) + np.bincount(b[outlier_b], minlength=n)
    voted = np.flatnonzero(core & (inliers + outliers > 0))
    votes = pl.DataFrame(
        {
            "point_id": ids[voted],
            "n_inlier": inliers[voted].astype(np.uint32),
            "n_outlier": outliers[voted].astype(np.uint32),
        }
    )
    conflict = (pl.col("n_inlier") > 0) & (pl.col("n_outlier") > 0)
    label = pl.when(~conflict).then((pl.col("n_outlier") > 0).cast(pl.Int8))
    return votes.select(
        "point_id", label.alias("label"), conflict.alias("conflict"), "n_inlier", "n_outlier"
    )
