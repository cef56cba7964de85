"""along_track's median and IQR of eight neighbours beside numpy's sliding windows and partition.

Both start from thickness and line in the order of flight and end with the score. numpy takes the lines
as one (its ends of lines would be wrong), which only spares it work.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bedsieve.detectors.along_track import along_track
from bedsieve.simulate.scale import track_points
from bench.side_by_side import compare

FLOOR = 100.0
_CHUNK = 1 << 20


def _numpy(thickness: np.ndarray) -> np.ndarray:
    score = np.zeros(thickness.size, np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(thickness, 9)
    beside = [0, 1, 2, 3, 5, 6, 7, 8]
    for first in range(0, len(windows), _CHUNK):
        part = np.partition(windows[first : first + _CHUNK, beside], [1, 2, 3, 4, 5, 6], axis=1)
        low = part[:, 1] + 0.75 * (part[:, 2] - part[:, 1])
        high = part[:, 5] + 0.25 * (part[:, 6] - part[:, 5])
        middle = 0.5 * (part[:, 3] + part[:, 4])
        here = thickness[first + 4 : first + 4 + len(part)]
        score[first + 4 : first + 4 + len(part)] = np.tanh(
            np.abs(here - middle) / np.maximum(high - low, FLOOR)
        )
    return score


def run(n: int) -> list[dict[str, Any]]:
    """One row, for n points in the order of flight."""
    points = track_points(n)
    thickness = points["ice_thickness"]
    line = (points["survey_no"].astype(np.int64) << 32) + points["track_id"]
    del points
    ours, theirs = along_track(thickness, line)["score"], _numpy(thickness)
    inside = np.zeros(n, bool)
    inside[4:-4] = line[8:] == line[:-8]
    if not np.allclose(ours[inside], theirs[inside], atol=1e-6):
        raise ValueError("numpy and bedsieve give different scores")
    del ours, theirs, inside
    return compare(
        "along_track, 8 neighbours",
        n,
        lambda: along_track(thickness, line),
        {"numpy sliding windows + partition": lambda: _numpy(thickness)},
    )
