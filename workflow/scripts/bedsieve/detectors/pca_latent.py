"""Where a point lies on the plane that the physics PCA keeps, beside how far it lies off it.

In: a grid's frozen components and its features (NaN where missing). Out: coordinates along the principal axes
of the kept plane. The plane is the detector's own (`GridModel.discarded` is what is perpendicular to it), and
a missing feature takes the value that the error assumes: the one that fits the row best.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bedsieve.detectors.pca import GridModel

Floats = npt.NDArray[np.float64]

_FLAT = 1e-9
"""Share of the variance below which an axis carries nothing."""


def standardised(grid: GridModel, X: npt.NDArray[Any]) -> Floats:
    """Rows in the model's units, missing features at their best fit.

    Parameters
    ----------
    grid : GridModel
    X : (n, m) float array
        Features as the model was trained on; NaN where missing.

    Returns
    -------
    (n, p) float64 array
        Finite. With R the projector on the discarded components, the missing m of a row get
        x_m = −R_mm⁺ R_mo x_o, the least error's; of several such the smallest.
    """
    Z: Floats = (X[:, grid.columns].astype(np.float64) - grid.centre) / grid.scale
    lacks = ~np.isfinite(Z)
    if not lacks.any():
        return Z
    projector = grid.discarded @ grid.discarded.T
    sets = lacks @ (1 << np.arange(lacks.shape[1]))
    for bits in np.unique(sets[sets > 0]):
        rows = np.flatnonzero(sets == bits)
        m, o = lacks[rows[0]], ~lacks[rows[0]]
        inner = np.linalg.pinv(projector[np.ix_(m, m)], rcond=1e-9, hermitian=True)
        Z[np.ix_(rows, m)] = -Z[np.ix_(rows, o)] @ projector[np.ix_(o, m)] @ inner
    return Z


def latent_axes(grid: GridModel, X: npt.NDArray[Any]) -> Floats:
    """Principal axes of some rows within the plane that the grid's model keeps.

    Parameters
    ----------
    grid : GridModel
    X : (n, m) float array
        A sample of the rows that the model describes, n > 0.

    Returns
    -------
    (p, k) float64 array
        Orthonormal columns perpendicular to `grid.discarded`, by falling variance; of two directions of an axis
        the one whose largest part is positive.
    """
    on_plane = _onto(grid, standardised(grid, X))
    values, vectors = np.linalg.eigh(on_plane.T @ on_plane / len(on_plane))
    kept = grid.columns.size - grid.discarded.shape[1]
    axes = vectors[:, ::-1][:, :kept]
    axes = axes[:, values[::-1][:kept] > _FLAT * max(values[-1], _FLAT)]
    largest = np.abs(axes).argmax(axis=0)
    signs = np.sign(axes[largest, np.arange(axes.shape[1])])
    return np.ascontiguousarray(axes * signs)


def latent_coordinates(grid: GridModel, axes: Floats, X: npt.NDArray[Any]) -> Floats:
    """Coordinates of rows along `latent_axes`, shape (n, k), in standard deviations of features."""
    coordinates: Floats = standardised(grid, X) @ axes
    return coordinates


def _onto(grid: GridModel, Z: Floats) -> Floats:
    """Rows projected onto the kept plane."""
    projected: Floats = Z - (Z @ grid.discarded) @ grid.discarded.T
    return projected
