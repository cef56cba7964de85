"""The ledger: what became of every row of a survey file, counted and named.

No row leaves the data silently. Each has one code; `kept` and the others add up to the rows in
the file, and a row that was merged names the row that carries its mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.ingest.header import Header

# A row's code is its place in this tuple; 0 is what remains.
CODES = (
    "kept",
    "no_thickness",
    "nonpositive_thickness",
    "no_position",
    "outside_crs",
    "duplicate_merged",
    "duplicate_conflict",
)
KEPT, NO_THICKNESS, NONPOSITIVE, NO_POSITION, OUTSIDE_CRS, MERGED, CONFLICT = range(len(CODES))

DROPPED_SCHEMA = pl.Schema({"row": pl.UInt32, "code": pl.String, "kept_row": pl.UInt32})
# In an unsigned column of kept rows, "none".
NO_ROW = np.iinfo(np.uint32).max


def dropped_rows(
    first_row: int, codes: NDArray[np.uint8], kept_rows: NDArray[np.uint32] | None
) -> pl.DataFrame:
    """The rows of a chunk that were dropped, and why.

    Parameters
    ----------
    first_row : int
        Row number of the chunk's first row.
    codes : ndarray of uint8, shape (n,)
        Code of each row.
    kept_rows : ndarray of uint32, shape (n,), optional
        The row that carries a merged row's mean; `NO_ROW` elsewhere.
    """
    out = np.flatnonzero(codes)
    kept = np.full(len(out), NO_ROW, np.uint32) if kept_rows is None else kept_rows[out]
    frame = pl.DataFrame({"row": (out + first_row).astype(np.uint32), "kept_row": kept})
    names = pl.Series(CODES).gather(codes[out])
    kept_row = pl.when(pl.col("kept_row") != NO_ROW).then(pl.col("kept_row")).alias("kept_row")
    return frame.select("row", names.alias("code"), kept_row)


def ledger(
    *,
    survey: str,
    survey_no: int,
    file: str,
    sha256: str,
    counts: NDArray[np.int64],
    track_method: str,
    tracks: int,
    order: str,
    header: Header,
    notes: list[str],
) -> Mapping[str, Any]:
    """The ledger of a survey as a JSON document.

    Parameters
    ----------
    counts : ndarray of int64, shape (len(CODES),)
        Rows of each code.
    order : str
        ``file`` or ``chain``.

    Returns
    -------
    mapping
        survey, survey_no, file, sha256, rows_in_file, counts by code, track_method, tracks,
        order, header, notes.
    """
    return {
        "survey": survey,
        "survey_no": survey_no,
        "file": file,
        "sha256": sha256,
        "rows_in_file": int(counts.sum()),
        "counts": {code: int(n) for code, n in zip(CODES, counts, strict=True)},
        "track_method": track_method,
        "tracks": tracks,
        "order": order,
        "header": header.fields,
        "notes": notes,
    }
