"""All flagged points as one GeoParquet, for QGIS, geopandas and anything else that reads the format.

Goes in: each tile's flagged points. Comes out: one row a flagged point with its position, thickness,
scores and reason. Tiles are written one after another, so memory holds one tile's flagged points.
Metadata follow GeoParquet 1.1 (geoparquet.org), with a bounding-box column for spatial filters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyproj import CRS

from bedsieve.files import replacing

_POINT = np.dtype([("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])
_BBOX = pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])


def write_flagged(
    tiles: Sequence[str | Path],
    survey_names: Mapping[int, str],
    crs: str,
    out: str | Path,
    members: Sequence[str],
) -> int:
    """Write the flagged points of all tiles.

    Parameters
    ----------
    tiles : sequence of path-like
        The table of `flagged_points` of each tile.
    survey_names : mapping of int to str
        Name of each survey number.
    crs : str
        The projected system of east and north, as pyproj reads it.
    out : path-like
        The GeoParquet to write. Columns: point_id, survey, survey_no, row, track_id, lon, lat,
        ice_thickness (m), score, score_{member}, line_bias_m (m, null off biased lines), reason, bbox,
        geometry.
    members : sequence of str
        The detectors of the ensemble.

    Returns
    -------
    int
        How many points are flagged.
    """
    schema = _schema(members)
    extent = np.array([np.inf, np.inf, -np.inf, -np.inf])
    count = 0
    with replacing(out) as part, _writer(part, schema) as writer:
        for tile in sorted(tiles, key=str):
            frame = pl.read_parquet(tile)
            if frame.height == 0:
                continue
            writer.write_table(_table(frame, survey_names, schema))
            east, north = frame["east"].to_numpy(), frame["north"].to_numpy()
            extent[:2] = np.minimum(extent[:2], (east.min(), north.min()))
            extent[2:] = np.maximum(extent[2:], (east.max(), north.max()))
            count += frame.height
        metadata = geo_metadata(crs, extent if count else None)
        writer.add_key_value_metadata({"geo": json.dumps(metadata)})
    return count


def geo_metadata(crs: str, extent: NDArray[np.float64] | None) -> dict[str, Any]:
    """The `geo` entry of a GeoParquet 1.1 file of points, with bounds where there are any points."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["Point"],
        "crs": CRS.from_user_input(crs).to_json_dict(),
        "covering": {"bbox": {field.name: ["bbox", field.name] for field in _BBOX}},
    }
    if extent is not None:
        column["bbox"] = extent.tolist()
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def point_wkb(east: NDArray[np.float64], north: NDArray[np.float64]) -> pa.Array:
    """Points as well-known binary, little-endian.

    Parameters
    ----------
    east, north : (n,) float64

    Returns
    -------
    Array of binary, n
    """
    points = np.zeros(len(east), dtype=_POINT)
    points["order"], points["type"], points["x"], points["y"] = 1, 1, east, north
    size = pa.binary(_POINT.itemsize)
    packed = pa.Array.from_buffers(size, len(east), [None, pa.py_buffer(points.tobytes())])
    return packed.cast(pa.binary())


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # Arrow's own copy of the schema would be read in place of the metadata added when closing.
    return pq.ParquetWriter(path, schema, compression="zstd", store_schema=False)


def _schema(members: Sequence[str]) -> pa.Schema:
    return pa.schema(
        [
            ("point_id", pa.uint64()),
            ("survey", pa.string()),
            ("survey_no", pa.uint32()),
            ("row", pa.uint32()),
            ("track_id", pa.int32()),
            ("lon", pa.float64()),
            ("lat", pa.float64()),
            ("ice_thickness", pa.float64()),
            ("score", pa.float32()),
            *((f"score_{member}", pa.float32()) for member in members),
            ("line_bias_m", pa.float32()),
            ("reason", pa.string()),
            ("bbox", _BBOX),
            ("geometry", pa.binary()),
        ]
    )


def _table(frame: pl.DataFrame, survey_names: Mapping[int, str], schema: pa.Schema) -> pa.Table:
    frame = frame.with_columns(
        (pl.col("point_id") // 2**32).cast(pl.UInt32).alias("survey_no"),
        (pl.col("point_id") % 2**32).cast(pl.UInt32).alias("row"),
    ).with_columns(
        pl.col("survey_no")
        .replace_strict(survey_names, default=None, return_dtype=pl.String)
        .alias("survey")
    )
    east, north = frame["east"].to_numpy(), frame["north"].to_numpy()
    bounds = [pa.array(values) for values in (east, north, east, north)]
    columns = {
        **{name: frame[name].to_arrow() for name in schema.names if name in frame.columns},
        "bbox": pa.StructArray.from_arrays(bounds, fields=list(_BBOX)),
        "geometry": point_wkb(east, north),
    }
    return pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema)
