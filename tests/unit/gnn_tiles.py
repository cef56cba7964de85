"""Made tiles with edges and labels, for tests of the graph network as a detector."""

from pathlib import Path

import numpy as np
import polars as pl

from bedsieve.graph.edges import write_edges

REACH = 600.0


def made_points(n: int = 1500, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Points of four surveys on a plane of 20 by 4 km, and which of them are bad."""
    rng = np.random.default_rng(seed)
    east, north = rng.uniform(0, 20_000, n), rng.uniform(0, 4_000, n)
    z = 2000 + 0.01 * east
    bed = 300 * np.sin(east / 3000) + 200 * np.cos(north / 2000)
    bad = rng.random(n) < 0.08
    thickness = z - bed + np.where(bad, rng.choice([-1, 1], n) * rng.uniform(200, 500, n), 0.0)
    survey = rng.integers(1, 5, n)
    points = pl.DataFrame(
        {
            "point_id": survey.astype(np.uint64) * np.uint64(2**32) + np.arange(n, dtype=np.uint64),
            "survey_no": survey.astype(np.uint32),
            "track_id": np.zeros(n, np.int32),
            "east": east,
            "north": north,
            "ice_thickness": thickness,
            "bed_elev": z - thickness,
            "bed_reconstructed": np.ones(n, np.bool_),
            "z": z.astype(np.float32),
            "s": np.full(n, 0.01, np.float32),
            "vx": rng.normal(20, 5, n).astype(np.float32),
            "vy": rng.normal(0, 5, n).astype(np.float32),
            "smb": rng.normal(150, 20, n).astype(np.float32),
            "temp": pl.Series([None] * n, dtype=pl.Float32),
        }
    )
    return points, bad


def write_tiles(
    folder: Path,
    points: pl.DataFrame,
    label: np.ndarray,
    size: float = 1e6,
    hops: int = 3,
    k: int = 6,
) -> list[dict[str, Path]]:
    """Cut points into tiles of `size` (m) in east; label 1, 0 or -1 (none) a point."""
    tiles = []
    east = points["east"].to_numpy()
    for ix in range(int(np.floor(east.max() / size)) + 1):
        west, right = ix * size, (ix + 1) * size
        gap = np.maximum(np.maximum(west - east, east - right), 0)
        inside = (east >= west) & (east < right)
        ring = np.maximum(np.ceil(gap / REACH), 1).astype(np.uint8)
        halo = np.flatnonzero(~inside & (gap <= hops * REACH))
        halo = halo[np.lexsort((halo, ring[halo]))]
        core = np.flatnonzero(inside)
        paths = {
            kind: folder / f"x{ix}" / name
            for kind, name in (
                ("points", "points.parquet"),
                ("halo", "halo.parquet"),
                ("edges", "edges.arrow"),
                ("labels", "labels.parquet"),
            )
        }
        paths["points"].parent.mkdir(parents=True)
        points[core].write_parquet(paths["points"])
        points[halo].with_columns(ring=pl.Series(ring[halo])).write_parquet(paths["halo"])
        write_edges(
            paths["points"],
            paths["halo"],
            paths["edges"],
            tile=f"x{ix}_y0",
            tile_size=size,
            reach=hops * REACH,
            k=k,
            max_neighbour_distance=REACH,
            hops=hops,
        )
        known = core[label[core] >= 0]
        pl.DataFrame(
            {
                "point_id": points["point_id"].to_numpy()[known],
                "label": label[known].astype(np.int8),
            }
        ).write_parquet(paths["labels"])
        tiles.append(paths)
    return tiles
