"""A tile's points as a table of categories and numbers: who measured, with what, when, and what physics.

In: points of a tile and what their surveys' files say of themselves. Out: institution, platform, instrument,
rule that found the tracks, band of years, binned surface, mass balance and temperature as categories;
thickness, bed, slope and speed as numbers (design methods.md section 4, gnsm). No place and no track.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.detectors.gnsm_coding import MISSING
from bedsieve.detectors.gnsm_points_settings import GnsmPointsSettings
from bedsieve.detectors.node_features import column

SURVEY_SAYS = ("institution", "platform", "instrument", "track_method")
BINNED = {"z": "surface", "smb": "mass balance", "temp": "temperature"}
CATEGORIES = (*SURVEY_SAYS, "years", *BINNED.values())
NUMBERS = ("thickness", "bed", "slope", "speed")
COLUMNS = (
    *("point_id", "survey_no", "year", "ice_thickness", "bed_elev"),
    *("z", "s", "vx", "vy", "smb", "temp"),
)
"""Columns of a points table that are read; the covariates may be absent."""

_SLOPE_FLOOR = 1e-6
Edges = Mapping[str, tuple[float, ...]]


def survey_metadata(paths: Sequence[str | Path]) -> pl.DataFrame:
    """What each survey says of itself: survey_no and `SURVEY_SAYS`, a row a survey with points.

    Parameters
    ----------
    paths : sequence of path-like
        Harmonised surveys; all points of one carry the same.
    """
    first = [
        pl.scan_parquet(path).select("survey_no", *SURVEY_SAYS).head(1).collect() for path in paths
    ]
    schema = pl.Schema({"survey_no": pl.UInt32, **dict.fromkeys(SURVEY_SAYS, pl.String)})
    empty = pl.DataFrame(schema=schema)
    return pl.concat([empty, *first]).sort("survey_no")


def read_points(path: str | Path) -> pl.DataFrame:
    """The columns of a points table that the detector needs."""
    there = pl.read_parquet_schema(path)
    return pl.read_parquet(path, columns=[name for name in COLUMNS if name in there])


@dataclass(frozen=True)
class PointTable:
    """How points become a table, frozen with a model version.

    Parameters
    ----------
    year_band : int
    edges : dict of str to tuple of float
        Inner borders of the bins of each of `BINNED`.
    """

    year_band: int
    edges: Edges

    def of(self, points: pl.DataFrame, surveys: pl.DataFrame) -> pl.DataFrame:
        """The table: `CATEGORIES` as text and `NUMBERS`, rows as in `points`.

        Parameters
        ----------
        points : DataFrame
            See `COLUMNS`: decimal years, m, m/yr, kg m⁻² yr⁻¹, K.
        surveys : DataFrame
            From `survey_metadata`; what it lacks is missing.
        """
        said = points.select("survey_no").join(
            surveys, on="survey_no", how="left", maintain_order="left"
        )
        band = (column(points, "year") // self.year_band) * self.year_band
        columns: dict[str, Any] = {name: said[name].fill_null(MISSING) for name in SURVEY_SAYS}
        columns["years"] = _names(band)
        for name, category in BINNED.items():
            values = column(points, name)
            place = np.searchsorted(self.edges[name], values, side="right").astype(np.float64)
            columns[category] = _names(np.where(np.isnan(values), np.nan, place))
        columns["thickness"] = np.log1p(column(points, "ice_thickness"))
        columns["bed"] = column(points, "bed_elev")
        columns["slope"] = np.log(np.maximum(column(points, "s"), _SLOPE_FLOOR))
        columns["speed"] = np.log1p(np.hypot(column(points, "vx"), column(points, "vy")))
        return pl.DataFrame(columns)

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON values."""
        edges = {name: list(values) for name, values in self.edges.items()}
        return {"year_band": self.year_band, "edges": edges}

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> PointTable:
        """From what `to_mapping` gave."""
        edges = {name: tuple(values) for name, values in document["edges"].items()}
        return cls(document["year_band"], edges)


def _names(values: npt.NDArray[np.float64]) -> pl.Series:
    """Whole numbers as names of categories, NaN as missing."""
    numbers = pl.Series(values).fill_nan(None).cast(pl.Int64)
    return numbers.cast(pl.String).fill_null(MISSING)


def learn_table(points: pl.DataFrame, settings: GnsmPointsSettings) -> PointTable:
    """Borders of the bins, with as many of `points` in each where values allow."""
    edges = {}
    shares = np.linspace(0, 1, settings.bins + 1)[1:-1]
    for name in BINNED:
        values = column(points, name)
        known = values[np.isfinite(values)]
        found = np.unique(np.quantile(known, shares)) if known.size else np.empty(0)
        edges[name] = tuple(found.tolist())
    return PointTable(settings.year_band, edges)
