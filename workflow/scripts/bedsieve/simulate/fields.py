"""Smooth random fields on a grid, and their values anywhere.

In: a random generator, a correlation length and a roughness. Out: a `Field`, sampled by cubic splines,
so that the terrain of a simulated region is the same wherever a flight line meets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """A square grid: its lower-left node (m), the distance of nodes (m) and their number a side."""

    x0: float
    y0: float
    step: float
    nodes: int

    def axes(self) -> tuple[Floats, Floats]:
        """Coordinates (m) of the nodes: x (1, n) and y (n, 1), ready to broadcast."""
        ticks = np.arange(self.nodes, dtype=np.float64) * self.step
        return np.asarray(self.x0 + ticks)[None, :], np.asarray(self.y0 + ticks)[:, None]


@dataclass(frozen=True)
class Field:
    """Values on a `Frame`, rows along y.

    Attributes
    ----------
    frame : Frame
    values : float64 (nodes, nodes)
    """

    frame: Frame
    values: Floats

    @cached_property
    def _spline(self) -> Floats:
        return np.asarray(ndimage.spline_filter(self.values, order=3, mode="nearest"))

    def at(self, x: Floats, y: Floats) -> Floats:
        """Values (n,) at positions (n,), by cubic splines; beyond the grid the border's."""
        places = np.stack([(y - self.frame.y0), (x - self.frame.x0)]) / self.frame.step
        return np.asarray(
            ndimage.map_coordinates(self._spline, places, order=3, mode="nearest", prefilter=False)
        )

    def smoothed(self, length: float) -> Field:
        """The field after a Gaussian filter of `length` metres."""
        return Field(self.frame, gaussian(self.values, length / self.frame.step))


def gaussian(values: Floats, nodes: float) -> Floats:
    """A Gaussian filter of `nodes` grid steps, mirrored at the border."""
    return np.asarray(ndimage.gaussian_filter(values, nodes, mode="reflect", truncate=3.0))


def random_field(frame: Frame, length: float, roughness: float, rng: np.random.Generator) -> Floats:
    """A stationary Gaussian field of mean 0 and standard deviation 1 with a Matérn spectrum.

    Parameters
    ----------
    frame : Frame
    length : float
        Correlation length (m).
    roughness : float
        Matérn's smoothness ν: 0.5 is jagged, 2 is smooth.
    rng : numpy Generator

    Returns
    -------
    float64 (nodes, nodes)
    """
    n = frame.nodes
    k = 2 * np.pi * fft.fftfreq(n, frame.step)
    k_half = 2 * np.pi * fft.rfftfreq(n, frame.step)
    spectrum = (1 + (k[:, None] ** 2 + k_half[None, :] ** 2) * length**2) ** (-(roughness + 1) / 2)
    white = fft.rfft2(rng.standard_normal((n, n)))
    field = fft.irfft2(white * spectrum, s=(n, n))
    field -= field.mean()
    return np.asarray(field / field.std())
