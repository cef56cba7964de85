"""What the manifolds of Pegasus are told from: artefacts of a tile, by manifold and role."""

MANIFOLD_FILES: dict[str, dict[str, str]] = {
    "pca": {"points": "points.parquet"},
    "gae": {"points": "points.parquet", "halo": "halo.parquet", "edges": "edges.arrow"},
}
"""File names in the tile's folder."""
