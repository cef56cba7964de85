"""Flagged points as GeoParquet: what geopandas reads back, and what the format asks for."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from bedsieve.errors import BedsieveError
from bedsieve.products.flagged import write_flagged
from bedsieve.products.flagged_points import flagged_points

SURVEYS = {1: "NASA_2011_ICEBRIDGE", 2: "BAS_1994_Évans"}


def tile(folder: Path, name: str, ids: list[int], flags: list[bool], east: float) -> Path:
    n = len(ids)
    home = folder / name
    home.mkdir()
    pl.DataFrame(
        {
            "point_id": pl.Series(ids, dtype=pl.UInt64),
            "track_id": pl.Series(range(n), dtype=pl.Int32),
            "lon": np.linspace(10.0, 11.0, n),
            "lat": np.full(n, -75.0),
            "ice_thickness": 1000.0 + np.arange(n),
            "east": east + 100.0 * np.arange(n),
            "north": np.full(n, -7000.0),
            "year": [2001.5] * n,
        }
    ).write_parquet(home / "points.parquet")
    pl.DataFrame(
        {
            "point_id": pl.Series(ids, dtype=pl.UInt64),
            "score": pl.Series([0.9 if flag else 0.1 for flag in flags], dtype=pl.Float32),
            "n_members": pl.Series([1] * n, dtype=pl.UInt8),
            "score_along_track": pl.Series([0.9 if f else None for f in flags], dtype=pl.Float32),
            "flag": flags,
            "line_bias_m": pl.Series([None] * n, dtype=pl.Float32),
            "reason": ["too thick, by far" if flag else None for flag in flags],
        },
        schema_overrides={"flag": pl.Boolean, "reason": pl.String},
    ).write_parquet(home / "ensemble.parquet")
    found = flagged_points(home / "points.parquet", home / "ensemble.parquet", ["along_track"])
    found.write_parquet(home / "flagged.parquet")
    return home / "flagged.parquet"


@pytest.fixture
def tiles(tmp_path: Path) -> list[Path]:
    return [
        tile(tmp_path, "x0_y-1", [2**32 + 7, 2**33 + 1, 2**32], [True, False, True], 500.0),
        tile(tmp_path, "x1_y-1", [2**33 + 9, 2**33 + 2], [False, True], 100_000.0),
        tile(tmp_path, "x2_y-1", [2**33 + 10], [False], 200_000.0),
    ]


def test_geopandas_reads_points_crs_and_columns(tmp_path: Path, tiles: list) -> None:
    out = tmp_path / "flagged.parquet"
    assert write_flagged(tiles, SURVEYS, "EPSG:3031", out, ["along_track"]) == 3
    frame = geopandas.read_parquet(out)
    assert frame.crs == "EPSG:3031"
    assert list(frame.geometry.x) == [500.0, 700.0, 100_100.0]
    assert list(frame.geometry.y) == [-7000.0] * 3
    assert frame.point_id.tolist() == [2**32 + 7, 2**32, 2**33 + 2]
    assert frame.survey.tolist() == [SURVEYS[1], SURVEYS[1], SURVEYS[2]]
    assert frame.survey_no.tolist() == [1, 1, 2]
    assert frame.row.tolist() == [7, 0, 2]
    assert frame.track_id.tolist() == [0, 2, 1]
    assert frame.ice_thickness.tolist() == [1000.0, 1002.0, 1001.0]
    assert frame.score_along_track.tolist() == pytest.approx([0.9] * 3)
    assert frame.reason.tolist() == ["too thick, by far"] * 3


def test_a_box_picks_points_through_the_covering(tmp_path: Path, tiles: list) -> None:
    out = tmp_path / "flagged.parquet"
    write_flagged(tiles, SURVEYS, "EPSG:3031", out, ["along_track"])
    picked = geopandas.read_parquet(out, bbox=(600, -8000, 50_000, 0))
    assert picked.row.tolist() == [0]


def test_metadata_are_those_of_geoparquet_1_1(tmp_path: Path, tiles: list) -> None:
    out = tmp_path / "flagged.parquet"
    write_flagged(tiles, SURVEYS, "EPSG:3578", out, ["along_track"])
    geo = json.loads(pq.read_schema(out).metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    assert geo["version"] == "1.1.0"
    assert column["encoding"] == "WKB"
    assert column["geometry_types"] == ["Point"]
    assert column["bbox"] == [500.0, -7000.0, 100_100.0, -7000.0]
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 3578}
    assert column["covering"]["bbox"]["ymax"] == ["bbox", "ymax"]


def test_no_flagged_point_is_a_valid_file_too(tmp_path: Path, tiles: list) -> None:
    out = tmp_path / "flagged.parquet"
    assert write_flagged(tiles[2:], SURVEYS, "EPSG:3338", out, ["along_track"]) == 0
    frame = geopandas.read_parquet(out)
    assert len(frame) == 0
    assert frame.crs == "EPSG:3338"
    assert {"geometry", "score_along_track", "reason"} <= set(frame.columns)


def test_the_order_of_the_tiles_does_not_matter(tmp_path: Path, tiles: list) -> None:
    write_flagged(tiles, SURVEYS, "EPSG:3031", tmp_path / "a.parquet", ["along_track"])
    write_flagged(tiles[::-1], SURVEYS, "EPSG:3031", tmp_path / "b.parquet", ["along_track"])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize("rows", [slice(0, 2), [0, 2, 1]])
def test_tables_of_different_points_are_refused(tiles: list, rows: object) -> None:
    points, ensemble = (tiles[0].with_name(f"{name}.parquet") for name in ("points", "ensemble"))
    pl.read_parquet(ensemble)[rows].write_parquet(ensemble)
    with pytest.raises(BedsieveError, match=r"ensemble\.parquet: does not hold the points"):
        flagged_points(points, ensemble, [])
