"""What the source of categorical score matching measured.

Seed 002, Table 2. Constants only, so that naming a benchmark's cases imports nothing heavy.
"""

from __future__ import annotations

import math

GNSM, RELEASED, LESS_ECOD, IFOREST, IFOREST_PYOD, ECOD = (
    "GNSM",
    "GNSM as released",
    "less ECOD on the same split",
    "IForest (scikit-learn)",
    "IForest (PyOD)",
    "ECOD (PyOD)",
)

SOURCE: dict[str, dict[str, tuple[float, float]]] = {
    GNSM: {
        "bank": (0.6558, 0.0345),
        "census": (0.4779, 0.0229),
        "chess": (0.0160, 0.0068),
        "cmc": (0.2587, 0.0993),
        "probe": (0.9748, 0.0062),
        "solar": (0.6334, 0.0541),
        "u2r": (0.8235, 0.0545),
    },
    IFOREST: {
        "bank": (0.6324, 0.0174),
        "census": (0.4064, 0.0207),
        "chess": (0.0231, 0.0136),
        "cmc": (0.2272, 0.0157),
        "probe": (0.9295, 0.0228),
        "solar": (0.6799, 0.0348),
        "u2r": (0.5274, 0.1288),
    },
    ECOD: {
        "bank": (0.6652, 0.0057),
        "census": (0.4096, 0.0015),
        "chess": (0.0143, 0.0005),
        "cmc": (0.2379, 0.0175),
        "probe": (0.9539, 0.0038),
        "solar": (0.7223, 0.0091),
        "u2r": (0.6784, 0.0139),
    },
}
"""Mean and standard deviation over 5 seeds in the source's Table 2, as shares."""


def published(variant: str, case: str) -> tuple[float, float] | tuple[None, None]:
    """Mean and standard deviation of a variant, or of GNSM's distance from ECOD; None where there is none.

    PyOD's isolation forest is scikit-learn's under another name, and the source's GNSM is one column: it
    does not say which it took of the former, and its text and its code measure the latter in two ways.
    """
    if variant.endswith(LESS_ECOD):
        (ours, spread), (theirs, their_spread) = SOURCE[GNSM][case], SOURCE[ECOD][case]
        return ours - theirs, math.hypot(spread, their_spread)
    same = {IFOREST_PYOD: IFOREST, RELEASED: GNSM}
    return SOURCE.get(same.get(variant, variant), {}).get(case, (None, None))
