"""Copies within one survey of any size: parsed rows in a scratch folder in, merged rows there out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bedsieve.ingest.duplicates import MERGED as MERGED_AWAY
from bedsieve.ingest.duplicates import (
    UNIQUE,
    Duplicates,
    Suspects,
    merge_positions,
    position_shares,
)
from bedsieve.ingest.ledger import CONFLICT, KEPT, MERGED, NO_ROW
from bedsieve.ingest.scratch import Scratch

_COLUMNS = ("lon", "lat", "east", "north", "ice_thickness")
# Suspected rows treated at once; at some 150 bytes each while they are sorted.
_AT_ONCE = 1 << 19


def settle_copies(
    scratch: Scratch, suspects: Suspects, max_relative_std: float, at_once: int = _AT_ONCE
) -> None:
    """Merge or drop exact copies, by (lon, lat), then by (east, north).

    Parameters
    ----------
    scratch : Scratch
        Its code and ice_thickness change; it gains kept_row (uint32, `NO_ROW` where none) if
        there are copies.
    suspects : Suspects
        Has seen the positions of all good rows.
    max_relative_std : float
        Largest relative standard deviation of copies that are merged.
    at_once : int
        How many suspected rows to hold in memory. More are treated in shares of the positions:
        equal (lon, lat) give equal (east, north), so all copies of a row are in one share.
    """
    suspected = sum(int(_suspected(scratch, suspects, *span).sum()) for span in scratch.spans())
    shares = -(-suspected // at_once)
    for share in range(shares):
        rows = np.concatenate(
            [_share_of(scratch, suspects, span, share, shares) for span in scratch.spans()]
        )
        _settle(scratch, rows, max_relative_std)


def _suspected(scratch: Scratch, suspects: Suspects, start: int, stop: int) -> NDArray[np.bool_]:
    # Looked at in the state that the shares before left: their rows are settled, and in no other.
    good = scratch.read("code", start, stop) == KEPT
    east, north = scratch.read("east", start, stop), scratch.read("north", start, stop)
    return suspects.among(east, north, good)


def _share_of(
    scratch: Scratch, suspects: Suspects, span: tuple[int, int], share: int, shares: int
) -> NDArray[np.int64]:
    rows = np.flatnonzero(_suspected(scratch, suspects, *span))
    if shares > 1:
        east, north = scratch.read("east", *span)[rows], scratch.read("north", *span)[rows]
        rows = rows[position_shares(east, north, shares) == share]
    return rows + span[0]


def _settle(scratch: Scratch, rows: NDArray[np.int64], max_relative_std: float) -> None:
    lon, lat, east, north, thickness = (_gather(scratch, name, rows) for name in _COLUMNS)
    found = merge_positions((lon, lat), (east, north), thickness, rows, max_relative_std)
    touched = (found.code != UNIQUE) | (found.ice_thickness != thickness)
    if not touched.any():
        return
    if not scratch.has("kept_row"):
        scratch.add_column("kept_row", "u4", NO_ROW)
    scratch.put("code", rows[touched], _ledger_codes(found)[touched])
    scratch.put("ice_thickness", rows[touched], found.ice_thickness[touched])
    merged = found.code == MERGED_AWAY
    scratch.put("kept_row", rows[merged], rows[found.kept_row[merged]])


def _ledger_codes(found: Duplicates) -> NDArray[np.uint8]:
    dropped = np.where(found.code == MERGED_AWAY, MERGED, CONFLICT)
    return np.where(found.kept, KEPT, dropped).astype(np.uint8)


def _gather(scratch: Scratch, name: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    parts = []
    for start, stop in scratch.spans():
        first, last = np.searchsorted(rows, (start, stop))
        if first < last:
            parts.append(scratch.read(name, start, stop)[rows[first:last] - start])
    return np.concatenate([np.empty(0), *parts])
