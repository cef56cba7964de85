"""The known points that others are compared with: where they lie in the latent space, and their entropies.

In: latent vectors and entropies of correctly classified training points of one model. Out: a file, and for
any latent vector the entropies of its nearest ones, exactly. What the variant for sparse regions needs to
know of all of them is worked out once and kept beside them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bedsieve.detectors.local_entropy import Doubles, local_z, shrunk_z
from bedsieve.detectors.local_entropy_settings import LocalEntropySettings
from bedsieve.files import replacing

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Compared:
    """A point among its neighbours.

    Parameters
    ----------
    z : float64 ndarray (n,)
    mean, std : float64 ndarray (n,)
        Of the neighbours' entropies, as the variant in use has them; std before the floor.
    distance : float64 ndarray (n,)
        To the last of the neighbours, in the latent space.
    """

    z: Doubles
    mean: Doubles
    std: Doubles
    distance: Doubles


@dataclass(frozen=True)
class Reference:
    """Correctly classified training points of one model.

    Parameters
    ----------
    point_id : uint64 ndarray (n,)
    latent : float32 ndarray (n, width)
        Dropout off.
    entropy : float32 ndarray (n,)
        Dropout on.
    reach : float
        Distance up to which a neighbour counts as near.
    """

    point_id: npt.NDArray[np.uint64]
    latent: Singles
    entropy: Singles
    reach: float

    @classmethod
    def of(
        cls,
        point_id: npt.NDArray[np.uint64],
        latent: Singles,
        entropy: Singles,
        settings: LocalEntropySettings,
    ) -> Reference:
        """Of points in any order; needs more of them than a point has neighbours."""
        order = np.argsort(point_id, kind="stable")
        latent, entropy = np.ascontiguousarray(latent[order]), entropy[order]
        k = settings.neighbours
        distance, index = nearest(latent, latent, k + 1)
        # A point is no neighbour of itself; where copies push it off its own list, the last goes.
        own = index == np.arange(len(latent))[:, None]
        own[~own.any(1), -1] = True
        last = np.where(own[:, -1], distance[:, -2], distance[:, -1])
        reach = float(np.quantile(last, settings.reach_quantile))
        return cls(point_id[order], latent, entropy.astype(np.float32), reach)

    def compare(
        self, latent: Singles, entropy: Doubles, settings: LocalEntropySettings
    ) -> Compared:
        """z-score of points' entropies among their nearest ones.

        Parameters
        ----------
        latent : float32 ndarray (n, width)
        entropy : float64 ndarray (n,)
        settings : LocalEntropySettings
        """
        distance, index = nearest(self.latent, latent, settings.neighbours)
        around = self.entropy[index]
        if settings.shrink:
            every = self.entropy.astype(np.float64)
            found = shrunk_z(
                entropy,
                around,
                distance <= self.reach,
                float(every.mean()),
                float(every.std(ddof=1)),
                settings.strength,
                settings.floor,
            )
        else:
            found = local_z(entropy, around, settings.floor)
        return Compared(*found, distance[:, -1])

    def save(self, path: str | Path) -> None:
        """Write a safetensors file."""
        from safetensors.numpy import save

        arrays: dict[str, npt.NDArray[Any]] = {
            "point_id": self.point_id,
            "latent": self.latent,
            "entropy": self.entropy,
        }
        with replacing(path) as part:
            part.write_bytes(save(arrays, {"reach": json.dumps(self.reach)}))

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Read what `save` wrote."""
        from safetensors import safe_open

        with safe_open(str(path), "numpy") as stored:
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            reach = float(json.loads(stored.metadata()["reach"]))
        return cls(arrays["point_id"], arrays["latent"], arrays["entropy"], reach)


def nearest(known: Singles, wanted: Singles, k: int) -> tuple[Doubles, npt.NDArray[np.int64]]:
    """The k nearest of `known` (m, width) to each of `wanted` (n, width), exactly.

    Returns
    -------
    distance : float64 ndarray (n, k)
        Euclidean, rising.
    index : int64 ndarray (n, k)
        Rows of `known`.

    Notes
    -----
    All distances are worked out: in so many dimensions a tree looks at nearly every point, too. Products
    are summed in double precision.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(wanted) == 0:
        return np.empty((0, k)), np.empty((0, k), np.int64)
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(known)
    distance, index = search.kneighbors(wanted)
    return np.asarray(distance, np.float64), np.asarray(index, np.int64)
