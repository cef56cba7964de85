"""The last pass over a survey: settled rows of a scratch folder in, its Parquet table out."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.io.plugins import register_io_source

from bedsieve.files import SURVEY_ROWS
from bedsieve.ingest.header import Header
from bedsieve.ingest.ledger import KEPT
from bedsieve.ingest.scratch import Scratch
from bedsieve.ingest.tracks import Tracks
from bedsieve.progress import Progress

COVARIATES = ("vx", "vy", "v", "ith_bm", "smb", "z", "s", "temp")
POINTS_SCHEMA = pl.Schema(
    {
        "point_id": pl.UInt64,
        "survey": pl.String,
        "survey_no": pl.UInt32,
        "row": pl.UInt32,
        "east": pl.Float64,
        "north": pl.Float64,
        "lon": pl.Float64,
        "lat": pl.Float64,
        "ice_thickness": pl.Float64,
        "bed_elev": pl.Float64,
        "bed_reconstructed": pl.Boolean,
        "surface_alt": pl.Float64,
        "year_start": pl.Int32,
        "year_end": pl.Int32,
        "timestamp": pl.Int64,
        "atd": pl.Float64,
        "track_id": pl.Int32,
        "track_seq": pl.UInt32,
        "track_method": pl.String,
        "platform": pl.String,
        "institution": pl.String,
        "instrument": pl.String,
        **dict.fromkeys(COVARIATES, pl.Float32),
    }
)
_COPIED = (
    "east",
    "north",
    "lon",
    "lat",
    "ice_thickness",
    "bed_elev",
    "surface_alt",
    "atd",
    "timestamp",
)


class Sampler(Protocol):
    """Grids that can be sampled at positions, such as `bedsieve.ingest.covariates.Covariates`."""

    @property
    def notes(self) -> Sequence[str]:
        """What could not be sampled, and why."""

    def sample(
        self, east: NDArray[np.float64], north: NDArray[np.float64]
    ) -> Mapping[str, NDArray[np.float32]]:
        """Values at positions, NaN where missing; only the covariates that have a grid."""


@dataclass(frozen=True)
class Stamp:
    """What all points of a survey share."""

    survey: str
    survey_no: int
    year_start: int | None
    year_end: int | None
    track_method: str
    platform: str | None
    institution: str | None
    instrument: str | None

    @classmethod
    def of(
        cls,
        survey: str,
        survey_no: int,
        header: Header,
        track_method: str,
        sheet: Mapping[str, str | int | None],
    ) -> Stamp:
        """Take from a file's header what the sample sheet does not say (years: the other way round)."""
        start, end = header.years()
        if start is None:
            start, end = _year(sheet, "year_start"), _year(sheet, "year_end")
        said = {key: header.fields.get(key, "").strip(" -") or None for key in header.fields}
        return cls(
            survey,
            survey_no,
            start,
            start if end is None else end,
            track_method,
            *(_text(sheet, key) or said.get(key) for key in _TEXTS),
        )


_TEXTS = ("platform", "institution", "instrument")


def _year(sheet: Mapping[str, str | int | None], key: str) -> int | None:
    value = sheet.get(key)
    return None if value is None else int(value)


def _text(sheet: Mapping[str, str | int | None], key: str) -> str:
    return str(sheet.get(key) or "")


def points(
    scratch: Scratch, tracks: Tracks, stamp: Stamp, covariates: Sampler | None
) -> Iterator[pl.DataFrame]:
    """The kept rows of a survey, chunk by chunk, under `POINTS_SCHEMA`.

    Parameters
    ----------
    scratch : Scratch
        The settled rows; columns track_id and track_seq, where there are such, go before `tracks`.
    tracks : Tracks
    stamp : Stamp
    covariates : Sampler, optional

    Notes
    -----
    The surface z is the grid's where there is a grid, else the file's. A missing bed is the
    surface less the thickness, and marked as reconstructed.
    """
    progress = Progress(f"Writing {stamp.survey}", scratch.rows, "rows")
    for start, stop in scratch.spans():
        kept = np.flatnonzero(scratch.read("code", start, stop) == KEPT)
        progress.advance(stop - start)
        if len(kept):
            yield _table(_columns(scratch, start, stop, kept, tracks), stamp, covariates)


def _columns(
    scratch: Scratch, start: int, stop: int, kept: NDArray[np.intp], tracks: Tracks
) -> dict[str, NDArray[Any]]:
    rows = kept + start
    columns = {name: scratch.read(name, start, stop)[kept] for name in _COPIED}
    columns["row"] = rows.astype(np.uint32)
    own = scratch.has("track_id")
    columns["track_id"] = scratch.read("track_id", start, stop)[kept] if own else tracks.ids(rows)
    columns["track_seq"] = scratch.read("track_seq", start, stop)[kept] if own else columns["row"]
    return columns


def _table(
    columns: dict[str, NDArray[Any]], stamp: Stamp, covariates: Sampler | None
) -> pl.DataFrame:
    sampled = covariates.sample(columns["east"], columns["north"]) if covariates else {}
    surface = columns["surface_alt"]
    z = sampled["z"].astype(np.float64) if "z" in sampled else surface
    bed = columns["bed_elev"]
    columns["bed_reconstructed"] = np.isnan(bed) & np.isfinite(z)
    columns["bed_elev"] = np.where(np.isnan(bed), z - columns["ice_thickness"], bed)
    columns["point_id"] = columns["row"].astype(np.uint64) + np.uint64(stamp.survey_no << 32)
    columns |= {"z": surface.astype(np.float32), **sampled}
    return pl.DataFrame(columns).select(
        _column(name, dtype, columns, stamp) for name, dtype in POINTS_SCHEMA.items()
    )


def _column(
    name: str, dtype: pl.DataType, columns: Mapping[str, NDArray[Any]], stamp: Stamp
) -> pl.Expr:
    if name not in columns:
        value = getattr(stamp, name, None)
        return pl.lit(value, dtype=_encoded(name, dtype, value)).alias(name)
    column = pl.col(name)
    if columns[name].dtype.kind == "f":
        column = column.fill_nan(None)
    return column.cast(dtype)


def _encoded(name: str, dtype: pl.DataType, value: str | None) -> pl.DataType:
    # A text that is the same in every row takes polars a quarter of the writing time, for it
    # looks each one up; an Enum of one category gives the same pages for nothing.
    return pl.Enum([value or name]) if dtype == pl.String else dtype


def sink_points(frames: Iterator[pl.DataFrame], stamp: Stamp, path: str | Path) -> None:
    """Write the frames of `points` as they come into one Parquet file of `POINTS_SCHEMA`."""
    schema = pl.Schema(
        {
            name: _encoded(name, dtype, getattr(stamp, name, None))
            for name, dtype in POINTS_SCHEMA.items()
        }
    )
    # Readers take types from here: the constant texts are plain strings to them.
    sink(frames, schema, path, {"ARROW:schema": _arrow_schema(POINTS_SCHEMA)})


def _arrow_schema(schema: pl.Schema) -> str:
    message = schema.to_frame().to_arrow().schema.serialize()
    return base64.b64encode(message.to_pybytes()).decode()


def sink(
    frames: Iterator[pl.DataFrame],
    schema: pl.Schema,
    path: str | Path,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write frames, as they come, into one Parquet file (zstd 1); none give an empty table."""
    with ThreadPoolExecutor(1) as maker:

        def source(
            with_columns: list[str] | None,
            predicate: pl.Expr | None,
            n_rows: int | None,
            batch_size: int | None,
        ) -> Iterator[pl.DataFrame]:
            # Nothing is pushed down: the whole table is written as it is. Frames are made in one
            # thread of Python's: in polars' own, which come and go, PROJ crashes. One is made
            # while another is written.
            coming = maker.submit(next, frames, None)
            while (frame := coming.result()) is not None:
                coming = maker.submit(next, frames, None)
                yield frame

        register_io_source(source, schema=schema, is_pure=False).sink_parquet(
            path,
            compression="zstd",
            compression_level=1,
            row_group_size=SURVEY_ROWS,
            metadata=metadata,
        )
