"""The counts behind the views of the scores, tile after tile.

In: the tiles' points, ensembles and labels. Out: how many points score how high, by detector, region and label;
how many are flagged in each bin of each variable; how far flagged points are from a reference grid. Memory
holds one tile and the counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.errors import BedsieveError
from bedsieve.products.summary import ABOVE, BANDS, ENSEMBLE, band_of
from bedsieve.products.views_regions import bin_edges, region_of, two_centres
from bedsieve.progress import Progress

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

LABELS = ("inlier", "outlier", "none")
LOGIT = 8.0
"""Logits are counted from minus to plus this; scores beyond count at the ends."""
LOGIT_BINS = 1600
UNITS = {
    "ice_thickness": "m",
    "bed_elev": "m",
    "z": "m",
    "s": "",
    "v": "m/yr",
    "smb": "kg m⁻² yr⁻¹",
    "temp": "K",
    "year": "",
}
"""Variables that the flagged share is given for, with their units."""
REFERENCE = "ith_bm"
_LEAST_M, _BINS_A_DECADE, _DECADES = 0.1, 200, 6
DIFFERENCE_BINS = _BINS_A_DECADE * _DECADES
_SAMPLE = 50_000


@dataclass(frozen=True)
class TileFiles:
    """A tile's points.parquet, ensemble.parquet (rows in the same order) and labels.parquet."""

    points: str | Path
    ensemble: str | Path
    labels: str | Path


@dataclass
class Views:
    """Counts of all points.

    Attributes
    ----------
    detectors : list of str
        The members, then the ensemble.
    centres : (k, 2) float64
        Centres of the regions (m).
    logits : (d, 2, 3, LOGIT_BINS) int64
        Points by detector, region, label and bin of the logit of their score.
    above : (d, 2, 3, 3) int64
        Points that score at least 0.5, 0.7 and 0.9.
    flags : (2, 3) int64
        Flagged points by region and label.
    edges : dict of str to (b - 1,) float64
        Inner edges of the bins of each variable.
    rates : dict of str to (b, 4) int64
        Points, flagged points, labelled points and outlier labels in each bin.
    differences : (d, bands, DIFFERENCE_BINS) int64
        Points by detector, band of score and bin of the difference from the reference grid.
    """

    detectors: list[str]
    centres: Floats
    edges: dict[str, Floats]

    def __post_init__(self) -> None:
        n = len(self.detectors)
        self.logits = np.zeros((n, 2, len(LABELS), LOGIT_BINS), np.int64)
        self.above = np.zeros((n, 2, len(LABELS), len(ABOVE)), np.int64)
        self.flags = np.zeros((2, len(LABELS)), np.int64)
        self.rates = {
            name: np.zeros((len(edges) + 1, 4), np.int64) for name, edges in self.edges.items()
        }
        self.differences = np.zeros((n, len(BANDS) - 1, DIFFERENCE_BINS), np.int64)

    def add(self, frame: pl.DataFrame) -> None:
        """Count the points of a tile: their columns, scores, flag and label (2 where none)."""
        region = region_of(self.centres, frame.select("east", "north").to_numpy())
        label = frame["label"].to_numpy().astype(np.int64)
        flag = frame["flag"].to_numpy()
        self.flags += _table((2, len(LABELS)), region[flag], label[flag])
        difference = difference_bin(frame["ice_thickness"] - frame[REFERENCE].cast(pl.Float64))
        for k, name in enumerate(self.detectors):
            column = frame["score" if name == ENSEMBLE else f"score_{name}"]
            known = column.is_not_null().to_numpy()
            score = column.drop_nulls().to_numpy()
            where = region[known], label[known]
            self.logits[k] += _table(self.logits.shape[1:], *where, logit_bin(score))
            for t, threshold in enumerate(ABOVE):
                high = score >= np.float32(threshold)
                self.above[k, :, :, t] += _table((2, len(LABELS)), *(a[high] for a in where))
            seen = difference[known] >= 0
            self.differences[k] += _table(
                self.differences.shape[1:], band_of(score)[seen], difference[known][seen]
            )
        self._rates(frame, flag, label)

    def _rates(self, frame: pl.DataFrame, flag: NDArray[np.bool_], label: Counts) -> None:
        what = np.column_stack([np.ones_like(flag), flag, label < 2, label == 1])
        for name, edges in self.edges.items():
            values = _values(frame, name)
            known = np.isfinite(values)
            place = np.searchsorted(edges, values[known], side="right")
            for column in range(4):
                chosen = place[what[known, column]]
                self.rates[name][:, column] += np.bincount(chosen, minlength=len(edges) + 1)


def count_views(tiles: Sequence[TileFiles], members: Sequence[str]) -> Views:
    """Count all tiles; a first pass finds the regions and the bins of the variables.

    Parameters
    ----------
    tiles : sequence of TileFiles
    members : sequence of str
        The detectors of the ensemble.

    Raises
    ------
    BedsieveError
        If a tile's tables have different numbers of rows.
    """
    tiles = sorted(tiles, key=lambda tile: str(tile.points))
    outliers, samples = [], []
    stride = max(1, sum(_rows(tile.points) for tile in tiles) // _SAMPLE)
    for tile in tiles:
        frame = _read(tile, members)
        outliers.append(frame.filter(pl.col("label") == 1).select("east", "north").to_numpy())
        # Evenly spaced along the space curve of the tile, so that nothing is random.
        sample = frame.gather_every(stride)
        samples.append({name: _values(sample, name) for name in UNITS})
    every = {name: np.concatenate([sample[name] for sample in samples]) for name in UNITS}
    views = Views([*members, ENSEMBLE], two_centres(np.concatenate(outliers)), bin_edges(every))
    progress = Progress("views", len(tiles), "tiles")
    for tile in tiles:
        views.add(_read(tile, members))
        progress.advance(1)
    return views


def logit_bin(score: NDArray[np.float32]) -> Counts:
    """Bin of the logit of each score."""
    with np.errstate(divide="ignore"):
        logit = np.log(score.astype(np.float64)) - np.log1p(-score.astype(np.float64))
    place = np.clip((logit + LOGIT) / (2 * LOGIT) * LOGIT_BINS, 0, LOGIT_BINS - 1)
    return place.astype(np.int64)


def difference_bin(difference: pl.Series) -> Counts:
    """Logarithmic bin of the size of each difference (m); -1 where it is unknown."""
    size = np.abs(difference.fill_null(float("nan")).to_numpy())
    known = np.isfinite(size)
    place = np.full(len(size), -1)
    decades = np.log10(np.maximum(size[known], _LEAST_M) / _LEAST_M)
    place[known] = np.minimum((decades * _BINS_A_DECADE).astype(np.int64), DIFFERENCE_BINS - 1)
    return place


def difference_at(place: int) -> float:
    """Difference (m) in the middle of a bin."""
    return float(_LEAST_M * 10 ** ((place + 0.5) / _BINS_A_DECADE))


def _table(shape: tuple[int, ...], *places: Counts) -> Counts:
    flat = np.ravel_multi_index(places, shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)


def _rows(table: str | Path) -> int:
    return int(pl.scan_parquet(table).select(pl.len()).collect().item())


def _values(frame: pl.DataFrame, name: str) -> Floats:
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _read(tile: TileFiles, members: Sequence[str]) -> pl.DataFrame:
    points = pl.read_parquet(tile.points, columns=["point_id", "east", "north", REFERENCE, *UNITS])
    scores = ["score", "flag", *(f"score_{member}" for member in members)]
    ensemble = pl.read_parquet(tile.ensemble, columns=scores)
    if ensemble.height != points.height:
        raise BedsieveError(
            f"{tile.ensemble}: does not hold the points of {tile.points}. Delete it and run again."
        )
    labels = pl.read_parquet(tile.labels, columns=["point_id", "label"])
    frame = points.hstack(ensemble).join(labels, on="point_id", how="left", maintain_order="left")
    return frame.with_columns(pl.col("label").fill_null(2))
