"""What made the graph network call a point bad: which of its features, at their usual value, would not have.

In: a model, a tile's graph, and the points that score high. Out: for each the groups of features whose
absence lowers its logit most, in words. A group is taken away everywhere at once, from the point and from
all that the network sees around it, by setting it to the training points' median (0 after scaling); for
edges, to no change of thickness. That is exact, needs no gradients, and does not depend on the tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bedsieve.detectors.gnn_model import GnnModel
from bedsieve.detectors.nets.sampling import Graph
from bedsieve.detectors.node_features import FEATURES

GROUPS: dict[str, tuple[str, ...]] = {
    "ice thickness": ("sl_ice",),
    "bed elevation": ("bed", "surf_minus_bed"),
    "surface, bed and thickness that do not add up": ("geom_resid",),
    "ice velocity": ("log_speed", "dir_x", "dir_y"),
    "surface slope": ("s",),
    "surface elevation": ("z",),
    "climate": ("smb", "temp"),
}
NEIGHBOURS = "change of thickness to its neighbours"
_SECOND = 0.5  # a second cause is named where it weighs at least this share of the first (ours)


def causes(
    model: GnnModel,
    graph: Graph,
    rows: npt.NDArray[np.int64],
    fold: npt.NDArray[np.int64],
    logit: npt.NDArray[np.float32],
) -> list[str | None]:
    """Name what raises the logit of points.

    Parameters
    ----------
    model : GnnModel
    graph : Graph
        The tile's, features scaled.
    rows : int64 ndarray (n,)
        Rows of the points.
    fold : int64 ndarray (n,)
        The model that scores each.
    logit : float32 ndarray (n,)
        What it said.

    Returns
    -------
    list of str or None
        One or two of `GROUPS` and `NEIGHBOURS` joined by "and", the weightier first; None where no
        group raises the logit.
    """
    names, fall = [], []
    for name, without in _without_each(graph):
        names.append(name)
        fall.append(logit - model.logits(without, rows, fold))
    return [_named(names, column) for column in np.array(fall).T]


def _without_each(graph: Graph) -> Iterator[tuple[str, Graph]]:
    for name, features in GROUPS.items():
        columns = [FEATURES.index(feature) for feature in features]
        if not graph.x[:, columns].any():
            continue
        x = graph.x.copy()
        x[:, columns] = 0
        yield name, replace(graph, x=x)
    yield NEIGHBOURS, replace(graph, log_slope=np.zeros_like(graph.log_slope))


def _named(names: list[str], fall: npt.NDArray[np.float32]) -> str | None:
    order = np.argsort(-fall, kind="stable")[:2]
    told = [names[c] for c in order if fall[c] > 0 and fall[c] >= _SECOND * fall[order[0]]]
    return " and ".join(told) or None
