"""Names of tiles: ``x{ix}_y{iy}`` is the square whose lower-left corner is (ix, iy) times the tile size."""

from __future__ import annotations

import re

MAX_REACH = 50_000.0  # how far (m) from a survey its coverage lists tiles: none may look further
SEGMENT_MARGIN = 600.0
"""What the segments detector sees beyond its reach and window (m), three of its cells: a node may lie a cell's
diagonal from its point, and its own points as far again."""

TILE_NAME = re.compile(r"x(-?\d+)_y(-?\d+)")


def tile_name(ix: int, iy: int) -> str:
    """Name of a tile by its column and row."""
    return f"x{ix}_y{iy}"


def tile_index(tile: str) -> tuple[int, int]:
    """Column and row of a tile by its name: ``x-3_y12`` is (-3, 12).

    Raises
    ------
    ValueError
        If it is no tile's name.
    """
    match = TILE_NAME.fullmatch(tile)
    if match is None:
        raise ValueError(f"{tile!r} is no tile name such as x-3_y12")
    return int(match[1]), int(match[2])
