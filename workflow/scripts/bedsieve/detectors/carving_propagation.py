"""From families of seeds to all points: who is in reach, and how far in or out.

In: latent points, the kept families and the inliers' centre. Out: family, flag and graded score of each
point, chunk by chunk, so that memory does not grow with the number of points beyond the answer itself.
Each point is judged alone: neither chunks nor threads nor the points beside it change its score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bedsieve.detectors.carving_families import NOISE, Family

CHUNK = 1 << 17
"""Points judged at a time."""

AT_REACH = 0.5
"""Score at the edge of a family's reach, so that exactly the points in reach score at least this."""

_BELOW = np.nextafter(np.float32(AT_REACH), np.float32(0))


class Judged(NamedTuple):
    """Judgement of points; NaN and -1 throughout where no family is kept.

    Attributes
    ----------
    score : float32 ndarray (n,)
        0 to 1; at least 0.5 exactly for the points in reach.
    family : int16 ndarray (n,)
        Number of the family in whose reach the point lies, the one that scores highest; else -1.
    distance : float32 ndarray (n,)
        To the nearest member of that family, or of the family whose reach is nearest, in units of the
        reach.
    """

    score: npt.NDArray[np.float32]
    family: npt.NDArray[np.int16]
    distance: npt.NDArray[np.float32]


class Propagation:
    """Judges latent points by the kept families of one encoder.

    Parameters
    ----------
    families : sequence of Family
        Those that are not kept are passed over.
    centre : float ndarray (2,)
        Centre of the inliers.
    """

    def __init__(self, families: Sequence[Family], centre: npt.NDArray[np.floating]) -> None:
        from scipy.spatial import cKDTree

        self._kept = [family for family in families if family.kept]
        self._trees = [cKDTree(family.members.astype(np.float64)) for family in self._kept]
        self._centre = centre.astype(np.float64)

    def judge(self, latent: npt.NDArray[np.float32], chunk: int = CHUNK) -> Judged:
        """Judge points of the plane.

        Parameters
        ----------
        latent : float32 ndarray (n, 2)
        chunk : int
            Points at a time; the result does not depend on it.

        Notes
        -----
        In the reach r of a family of purity p, d from its nearest member, the score is
        ½ + ½ p (1 − d/r). Outside all it is ½ a/(a + g), a the distance from the inliers' centre and g
        the gap d − r to the nearest reach: ½ at a family's edge, 0 at the inliers' centre (ours).
        """
        judged = Judged(
            np.full(len(latent), np.nan, np.float32),
            np.full(len(latent), NOISE, np.int16),
            np.full(len(latent), np.nan, np.float32),
        )
        if self._kept:
            for start in range(0, len(latent), chunk):
                part = slice(start, start + chunk)
                found = self._judge(latent[part].astype(np.float64))
                judged.score[part], judged.family[part] = found.score, found.family
                judged.distance[part] = found.distance
        return judged

    def _judge(self, points: npt.NDArray[np.float64]) -> Judged:
        n = len(points)
        inside, gap = np.full(n, -np.inf), np.full(n, np.inf)
        family, ratio, ratio_out = np.full(n, NOISE, np.int16), np.empty(n), np.empty(n)
        for kept, tree in zip(self._kept, self._trees, strict=True):
            distance = tree.query(points)[0]
            grade = AT_REACH + (1 - AT_REACH) * kept.purity * (1 - distance / kept.reach)
            better = (distance <= kept.reach) & (grade > inside)
            inside[better], family[better] = grade[better], kept.number
            ratio[better] = distance[better] / kept.reach
            nearer = distance - kept.reach < gap
            gap[nearer] = distance[nearer] - kept.reach
            ratio_out[nearer] = distance[nearer] / kept.reach
        out = family == NOISE
        away = np.sqrt(((points[out] - self._centre) ** 2).sum(axis=1))
        score = inside.astype(np.float32)
        # Rounding must not lift a point just outside into the family.
        score[out] = np.minimum((AT_REACH * away / (away + gap[out])).astype(np.float32), _BELOW)
        ratio[out] = ratio_out[out]
        return Judged(score, family, ratio.astype(np.float32))
