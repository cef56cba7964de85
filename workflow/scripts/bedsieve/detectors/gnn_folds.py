"""Which region a point lies in, and which model may score it: never one that saw its region.

In: the outlier seeds' places. Out: frozen rules that give every point of any tile, now or later, its
region. Study B cuts the outlier seeds in two by k-means (seed 000, section A.3.1); blocks and surveys
are further ways to keep training and scoring apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

Regions = npt.NDArray[np.int8]


class FoldSettings(Protocol):
    """What of a detector's settings decides its folds."""

    @property
    def folds(self) -> str:
        """``"regions"``, ``"blocks"`` or ``"surveys"``."""

    @property
    def n_folds(self) -> int:
        """Number of regions and of models."""

    @property
    def block_size(self) -> float:
        """Side of a block (m)."""


@dataclass(frozen=True)
class Folds:
    """Rules that give a point its region.

    Parameters
    ----------
    kind : str
        ``"regions"``, ``"blocks"`` or ``"surveys"``.
    count : int
        Number of regions and of models.
    centres : tuple of (float, float)
        East and north (m) of each region's centre, for ``"regions"``.
    block_size : float
        Side of a block (m), for ``"blocks"``.
    survey_region : dict of int to int
        Region of each survey number seen in training, for ``"surveys"``.
    seed : int
    """

    kind: str
    count: int
    centres: tuple[tuple[float, float], ...]
    block_size: float
    survey_region: Mapping[int, int]
    seed: int

    def region_of(self, points: pl.DataFrame) -> Regions:
        """Region of each point; needs columns east, north and survey_no."""
        if self.kind == "surveys":
            numbers = points["survey_no"].to_numpy().astype(np.int64)
            distinct, place = np.unique(numbers, return_inverse=True)
            # No model saw a survey that came later: any may score it.
            regions = [self.survey_region.get(int(n), int(n) % self.count) for n in distinct]
            return np.array(regions, np.int8)[place]
        east, north = points["east"].to_numpy(), points["north"].to_numpy()
        if self.kind == "blocks":
            ix = np.floor(east / self.block_size).astype(np.int64).view(np.uint64)
            iy = np.floor(north / self.block_size).astype(np.int64).view(np.uint64)
            drawn = hashed(hashed(ix, self.seed) ^ iy, self.seed + 1)
            return (drawn % np.uint64(self.count)).astype(np.int8)
        nearest = np.full(points.height, np.inf)
        region = np.zeros(points.height, np.int8)
        for number, (x, y) in enumerate(self.centres):
            distance = (east - x) ** 2 + (north - y) ** 2
            closer = distance < nearest
            region[closer], nearest[closer] = number, distance[closer]
        return region

    def name(self, fold: int) -> str:
        """Letter of a model or region."""
        return fold_letters(self.count)[fold]

    def scored_by(self, fold: int) -> int:
        """The region that a model scores, the only one that it never saw.

        With two regions model A trains on region A and scores region B, as in study B.
        """
        return (fold + 1) % self.count

    def scorer_of(self, region: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """The model that scores each region."""
        return (region.astype(np.int64) - 1) % self.count

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON values, with what each model saw and scores spelt out."""
        letters = [self.name(f) for f in range(self.count)]
        models = {
            letters[f]: {
                "scores": letters[self.scored_by(f)],
                "trained_on": [x for r, x in enumerate(letters) if r != self.scored_by(f)],
            }
            for f in range(self.count)
        }
        return {
            "kind": self.kind,
            "count": self.count,
            "centres": [list(c) for c in self.centres],
            "block_size": self.block_size,
            "survey_region": {str(k): v for k, v in self.survey_region.items()},
            "seed": self.seed,
            "models": models,
        }

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> Folds:
        """From what `to_mapping` gave."""
        return cls(
            document["kind"],
            int(document["count"]),
            tuple((float(x), float(y)) for x, y in document["centres"]),
            float(document["block_size"]),
            {int(k): int(v) for k, v in document["survey_region"].items()},
            int(document["seed"]),
        )


def fold_letters(count: int) -> list[str]:
    """Letters of so many models or regions."""
    return [chr(ord("A") + fold) for fold in range(count)]


def find_folds(outliers: pl.DataFrame, settings: FoldSettings, seed: int) -> Folds:
    """Rules for a model version.

    Parameters
    ----------
    outliers : polars.DataFrame
        point_id, survey_no, east, north of the outlier seeds.
    settings : FoldSettings
    seed : int
    """
    outliers = outliers.sort("point_id")
    centres: tuple[tuple[float, float], ...] = ()
    surveys: dict[int, int] = {}
    if settings.folds == "regions":
        centres = _centres(outliers.select("east", "north").to_numpy(), settings.n_folds, seed)
    elif settings.folds == "surveys":
        counts = outliers.group_by("survey_no").len().sort(["len", "survey_no"], descending=True)
        load = [0] * settings.n_folds
        for number, count in counts.iter_rows():
            surveys[int(number)] = region = int(np.argmin(load))
            load[region] += count
    return Folds(settings.folds, settings.n_folds, centres, settings.block_size, surveys, seed)


def _centres(
    places: npt.NDArray[np.float64], count: int, seed: int
) -> tuple[tuple[float, float], ...]:
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=10, random_state=seed).fit(places).cluster_centers_
    # Letters go from west to east, whatever order k-means found; whole metres, since k-means sums in an
    # order that depends on threads.
    ordered = sorted((float(round(x)), float(round(y))) for x, y in found)
    return tuple(ordered)


def hashed(values: npt.NDArray[np.uint64], salt: int) -> npt.NDArray[np.uint64]:
    """A random-looking number of each value: draws that depend on the point alone, not on its place.

    Notes
    -----
    Two rounds of the SplitMix finaliser (Steele, Lea and Flood 2014).
    """
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(2 * salt + 1)
        for _ in range(2):
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
    return z
