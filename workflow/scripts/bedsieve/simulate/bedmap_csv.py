"""Write a table of points as a Bedmap CSV file: 18 header lines, the column line, the rows.

In: what the file says about itself and a frame with any of Bedmap's columns, whole or part by part. Out:
the file, the same bytes for the same values: positions have 6 decimals, metres 2, and missing is -9999.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from bedsieve.files import replacing

HEADER_KEYS = (
    "project",
    "time_coverage_start",
    "time_coverage_end",
    "creator_name",
    "institution",
    "acknowledgement",
    "source",
    "references",
    "platform",
    "instrument",
    "history",
    "electromagnetic_wave_speed_in_ice",
    "firn_correction",
    "centre_frequency",
    "comment",
    "metadata_link",
    "license",
    "Conventions",
)
COLUMNS = {
    "trajectory_id": "trajectory_id",
    "trace_number": "trace_number",
    "lon": "longitude (degree_east)",
    "lat": "latitude (degree_north)",
    "date": "date",
    "time": "time_UTC",
    "surface": "surface_altitude (m)",
    "thickness": "land_ice_thickness (m)",
    "bed": "bedrock_altitude (m)",
    "travel_time": "two_way_travel_time (m)",
    "aircraft": "aircraft_altitude (m)",
    "along": "along_track_distance (m)",
}
_DECIMALS = {"lon": 6, "lat": 6, "travel_time": 9}
_HEADER_DEFAULTS = {
    "electromagnetic_wave_speed_in_ice": "168.4 m/microseconds",
    "firn_correction": "10 m",
    "license": "CC0 (simulated data)",
    "Conventions": "CF-1.8",
}


def write_bedmap_csv(
    target: str | Path,
    header: Mapping[str, str],
    table: pl.DataFrame | Iterable[pl.DataFrame],
    missing: str = "-9999",
) -> None:
    """Write one survey.

    Parameters
    ----------
    target : path-like
    header : mapping of str to str
        Values of `HEADER_KEYS`; keys not given are left blank or have their usual value.
    table : polars.DataFrame or iterable of polars.DataFrame
        The rows, or parts of them that follow each other. Any of the keys of `COLUMNS`; null, NaN and whole columns not given are written as `missing`.
    missing : str
        ``"-9999"`` or ``"-9999.0"``.
    """
    values = {**_HEADER_DEFAULTS, **header}
    head = "".join(f"#{key}: {values.get(key, '')}\n" for key in HEADER_KEYS)
    parts = [table] if isinstance(table, pl.DataFrame) else table
    with replacing(target) as part, open(part, "wb") as stream:
        stream.write(head.encode())
        stream.write((",".join(COLUMNS.values()) + "\n").encode())
        for rows in parts:
            _titled(rows).write_csv(
                stream, include_header=False, null_value=missing, float_scientific=False
            )


def _titled(table: pl.DataFrame) -> pl.DataFrame:
    return table.select(
        _column(table, name).alias(title) if name in table.columns else pl.lit(None).alias(title)
        for name, title in COLUMNS.items()
    )


def _column(table: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name)
    if table.schema[name].is_float():
        return column.fill_nan(None).round(_DECIMALS.get(name, 2))
    return column
