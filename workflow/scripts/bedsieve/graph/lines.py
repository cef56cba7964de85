"""One number a line, unique over surveys: survey_no * 2**32 + track_id.

In: the survey and the track of points, as arrays or as columns of a table. Out: the line of each.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

LINE = (pl.col("survey_no").cast(pl.Int64) * 2**32 + pl.col("track_id")).alias("line")
"""Line of each point of a table, i64."""


def line_of(survey_no: NDArray[np.uint32], track_id: NDArray[np.int32]) -> NDArray[np.int64]:
    """Line of each point, shape (n,), of its survey and its track, each of shape (n,)."""
    return survey_no.astype(np.int64) * 2**32 + track_id
