"""Families of outliers in the plane: where outlier seeds are dense, and how pure that place is.

In: latent points of the outlier and inlier seeds that trained an encoder. Out: a family for each
outlier seed, and for each family its reach, its purity and whether it is kept. Labels alone decide, no
score. Study B, seed 000, "Latent-Space Outlier Carving – Final outlier map".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bedsieve.detectors.carving_settings import CarvingSettings

Values = npt.NDArray[np.float32]
NOISE = -1


@dataclass(frozen=True)
class Family:
    """A dense place of outlier seeds.

    Parameters
    ----------
    number : int
        From 0, the family with most members first.
    members : float32 ndarray (m, 2)
        Their latent points.
    reach : float
        Points no farther from the nearest member than this belong to the family.
    outliers, inliers : int
        Members, and inlier seeds in reach.
    kept : bool
        Whether it is pure enough to be propagated.
    """

    number: int
    members: Values
    reach: float
    outliers: int
    inliers: int
    kept: bool

    @property
    def purity(self) -> float:
        """Outliers over outliers and inlier seeds in reach."""
        return self.outliers / (self.outliers + self.inliers)


def cluster(
    latent: Values, settings: CarvingSettings
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float64]]:
    """Family of each outlier seed, and its core distance.

    Parameters
    ----------
    latent : float32 ndarray (m, 2)
        In an order that depends on nothing but the seeds: equal distances are taken in turn.
    settings : CarvingSettings

    Returns
    -------
    family : int16 ndarray (m,)
        From 0 by falling size, -1 for noise.
    core_distance : float64 ndarray (m,)
        Distance to the so many-th nearest other seed as the least family has members.

    Notes
    -----
    Campello, Moulavi and Sander 2013, with their one parameter for both sizes. The tree is exact: the
    package's default is approximate, and gives other families.
    """
    from hdbscan import HDBSCAN
    from scipy.spatial import cKDTree

    points = latent.astype(np.float64)
    least = settings.family_size(len(points))
    found = HDBSCAN(
        min_cluster_size=least,
        min_samples=least,
        approx_min_span_tree=False,
        core_dist_n_jobs=1,
    ).fit(points)
    core = cKDTree(points).query(points, k=[least + 1])[0][:, 0]
    return _by_size(found.labels_), core


def _by_size(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.int16]:
    inside = labels >= 0
    sizes = np.bincount(labels[inside])
    # Of two equal ones the one with the earlier seed comes first.
    first = np.full(sizes.size, labels.size)
    np.minimum.at(first, labels[inside], np.flatnonzero(inside))
    rank = np.empty(sizes.size, np.int16)
    rank[np.lexsort((first, -sizes))] = np.arange(sizes.size)
    family = np.full(labels.size, NOISE, np.int16)
    family[inside] = rank[labels[inside]]
    return family


def measure(
    outliers: Values,
    family: npt.NDArray[np.int16],
    core_distance: npt.NDArray[np.float64],
    inliers: Values,
    settings: CarvingSettings,
) -> list[Family]:
    """Reach, purity and decision of each family.

    Parameters
    ----------
    outliers : float32 ndarray (m, 2)
        Latent points of the outlier seeds.
    family, core_distance : ndarray (m,)
        As `cluster` gives them.
    inliers : float32 ndarray (n, 2)
        Latent points of the inlier seeds.
    settings : CarvingSettings
    """
    found = []
    for number in range(int(family.max(initial=NOISE)) + 1):
        own = family == number
        members = outliers[own]
        # A family of copies still reaches the copies of its members.
        reach = max(float(np.quantile(core_distance[own], settings.reach_quantile)), 1e-9)
        near = int(within(members, reach, inliers).sum())
        kept = len(members) / (len(members) + near) >= settings.least_purity
        found.append(Family(number, members, reach, len(members), near, kept))
    return found


def within(members: Values, reach: float, points: Values) -> npt.NDArray[np.bool_]:
    """Whether each point lies no farther than `reach` from the nearest member."""
    from scipy.spatial import cKDTree

    if len(points) == 0:
        return np.zeros(0, np.bool_)
    distance, _ = cKDTree(members.astype(np.float64)).query(points.astype(np.float64))
    return np.asarray(distance <= reach)
