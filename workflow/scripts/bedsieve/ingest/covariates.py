"""What is known of the ice at each point from elsewhere: positions in, velocity, surface and climate out.

Each covariate is a grid that the configuration names, all of them optional; they are sampled by
bilinear interpolation (study B), block by block of the grid, so that memory stays bounded however
large the grid and however wide the survey. A point whose cell lacks a corner has no value. Speed
and slope are derived: v = hypot(vx, vy), s = the gradient magnitude of z.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from bedsieve.errors import ConfigError
from bedsieve.ingest.grids import Grid, open_grid
from bedsieve.ingest.projection import Crs, Floats, as_crs, transform

SOURCES = ("vx", "vy", "ith_bm", "smb", "z", "temp")
NAMES = ("vx", "vy", "v", "ith_bm", "smb", "z", "s", "temp")
_KEYS = ("path", "variable", "factor", "crs")
_BLOCK = 1024
_BATCH = 1 << 21
_EARTH_RADIUS = 6_371_000.0


@dataclass(frozen=True)
class Source:
    """One grid of the configuration; values are multiplied by `factor`."""

    name: str
    path: str
    variable: str | None = None
    factor: float = 1.0
    crs: str | None = None

    def open(self) -> Grid:
        """The grid itself."""
        return open_grid(self.path, self.variable, self.crs)


class Covariates:
    """The grids of a configuration, to be sampled at positions of one CRS.

    Parameters
    ----------
    sources : mapping of str to Source
        By the name of the covariate, a subset of `SOURCES`.
    crs : str or int or pyproj.CRS
        CRS of the positions.
    """

    def __init__(self, sources: Mapping[str, Source], crs: Crs) -> None:
        self.sources, self.crs = dict(sources), as_crs(crs)
        self._open: dict[str, Grid] = {}

    @classmethod
    def from_config(cls, spec: Mapping[str, Mapping[str, Any]] | None, crs: Crs) -> Covariates:
        """Read the configuration's section ``covariates``.

        Parameters
        ----------
        spec : mapping, or None
            By covariate: path, and optionally variable, factor (to the unit wanted) and crs.
        crs : str or int or pyproj.CRS
            CRS that positions will be in.

        Raises
        ------
        ConfigError
            Naming an unknown covariate or key with the nearest known one, or what is missing.
        """
        sources = {}
        for name, keys in (spec or {}).items():
            if name not in SOURCES:
                raise ConfigError(f"covariates: unknown grid {name!r}{_nearest(name, SOURCES)}.")
            for key in keys:
                if key not in _KEYS:
                    raise ConfigError(
                        f"covariates.{name}: unknown key {key!r}{_nearest(key, _KEYS)}."
                    )
            if "path" not in keys:
                raise ConfigError(f"covariates.{name}: no path. Name the grid's file.")
            variable = keys.get("variable")
            named = {"variable": None if variable is None else str(variable)}
            sources[name] = Source(name, **{**keys, **named})
        return cls(sources, crs)

    @property
    def names(self) -> tuple[str, ...]:
        """The covariates that `sample` gives."""
        derived = {"v": {"vx", "vy"}, "s": {"z"}}
        return tuple(name for name in NAMES if derived.get(name, {name}) <= self.sources.keys())

    @property
    def notes(self) -> list[str]:
        """One line on what is left out for want of a grid; none where nothing is."""
        absent = [name for name in NAMES if name not in self.names]
        return [f"covariates left out, no grid given: {', '.join(absent)}"] if absent else []

    def sample(self, east: Floats, north: Floats) -> dict[str, NDArray[np.float32]]:
        """Values at positions.

        Parameters
        ----------
        east, north : ndarray of float64, shape (n,)
            In the CRS of the positions (m).

        Returns
        -------
        dict of str to ndarray of float32, shape (n,)
            For each of `names`; NaN where the grid has no value. vx and vy point along the axes
            of the positions' CRS, also where the grid's axes point elsewhere.

        Raises
        ------
        InputError
            If a grid cannot be read, naming its file and variable.
        ConfigError
            If vx and vy are grids of different CRSs.
        """
        east = np.asarray(east, dtype=np.float64)
        north = np.asarray(north, dtype=np.float64)
        out = {name: np.full(len(east), np.nan, dtype=np.float32) for name in self.names}
        for name, source in self.sources.items():
            grid = self._grid(name)
            for part in _batches(len(east)):
                x, y = transform(east[part], north[part], self.crs, grid.crs)
                out[name][part] = _bilinear(grid, x, y, _values) * source.factor
                if name == "z":
                    out["s"][part] = _bilinear(grid, x, y, _gradient) * abs(source.factor)
        if "v" in out:
            self._turn(out, east, north)
            out["v"] = np.hypot(out["vx"], out["vy"])
        return out

    def _grid(self, name: str) -> Grid:
        # Kept open: surveys come in many batches, and an open file keeps what it has unpacked.
        if name not in self._open:
            self._open[name] = self.sources[name].open()
        return self._open[name]

    def close(self) -> None:
        """Let go of the files."""
        while self._open:
            self._open.popitem()[1].close()

    def _turn(self, out: dict[str, NDArray[np.float32]], east: Floats, north: Floats) -> None:
        """Turn vx and vy from the grid's axes to those of the positions."""
        crs = self._grid("vx").crs
        if self._grid("vy").crs != crs:
            raise ConfigError("covariates: vx and vy must be grids of one CRS.")
        if crs == self.crs:
            return
        for part in _batches(len(east)):
            u, v = out["vx"][part].astype(np.float64), out["vy"][part].astype(np.float64)
            turned = _turned(u, v, east[part], north[part], self.crs, crs)
            out["vx"][part], out["vy"][part] = turned


def _turned(
    u: Floats, v: Floats, east: Floats, north: Floats, crs: CRS, grid_crs: CRS
) -> tuple[Floats, Floats]:
    """Velocity along the axes of `crs`: the way that a short step with it leads on that map.

    The step is taken rather than an angle, since maps such as Albers' turn each direction by a
    different angle. The speed stays.
    """
    x, y = transform(east, north, crs, grid_crs)
    speed = np.hypot(u, v)
    with np.errstate(invalid="ignore"):
        step = np.where(speed > 0, 10.0 / speed, 0.0)
    dx, dy = u * step, v * step
    if grid_crs.is_geographic:
        dx, dy = (
            np.degrees(dx / _EARTH_RADIUS / np.cos(np.radians(y))),
            np.degrees(dy / _EARTH_RADIUS),
        )
    there = transform(x + dx, y + dy, grid_crs, crs)
    back = transform(x - dx, y - dy, grid_crs, crs)
    along, across = there[0] - back[0], there[1] - back[1]
    length = np.hypot(along, across)
    share = np.where(length > 0, speed / np.where(length > 0, length, 1.0), length)
    return along * share, across * share


def _batches(n: int) -> Iterator[slice]:
    for start in range(0, n, _BATCH):
        yield slice(start, start + _BATCH)


def _bilinear(
    grid: Grid, x: Floats, y: Floats, nodes: Callable[[Grid, int, int, int, int], Floats]
) -> Floats:
    """Interpolate what `nodes` gives at the grid's nodes; NaN outside and beside missing nodes."""
    around = _wraps(grid)
    axis = grid.x if around is None else np.append(grid.x, around)
    if grid.crs.is_geographic:
        x = axis.min() + (x - axis.min()) % 360.0
    column, across = _cells(axis, x)
    row, along = _cells(grid.y, y)
    out = np.full(len(x), np.nan)
    inside = np.flatnonzero((column >= 0) & (row >= 0))
    blocks = (row[inside] // _BLOCK) * (len(grid.x) // _BLOCK + 1) + column[inside] // _BLOCK
    order = np.argsort(blocks, kind="stable")
    for chosen in np.split(inside[order], np.flatnonzero(np.diff(blocks[order])) + 1):
        if not len(chosen):
            continue
        i, j = row[chosen], column[chosen]
        top, left = int(i.min()), int(j.min())
        window = nodes(grid, top, int(i.max()) + 2, left, int(j.max()) + 2)
        i, j, t, u = i - top, j - left, along[chosen], across[chosen]
        low = window[i, j] * (1 - u) + window[i, j + 1] * u
        high = window[i + 1, j] * (1 - u) + window[i + 1, j + 1] * u
        out[chosen] = low * (1 - t) + high * t
    return out


def _wraps(grid: Grid) -> float | None:
    """For a grid around the globe, the longitude at which its far column is met again."""
    if not grid.crs.is_geographic:
        return None
    step = float(grid.x[1] - grid.x[0])
    again = float(grid.x[0]) + 360.0 * np.sign(step)
    return again if abs(again - grid.x[-1]) < 1.5 * abs(step) and again != grid.x[-1] else None


def _cells(axis: Floats, values: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Index of the node before each value (-1 outside), and how far on it lies to the next."""
    rising = axis if axis[-1] > axis[0] else axis[::-1]
    last = len(axis) - 2
    with np.errstate(invalid="ignore"):
        outside = ~((values >= rising[0]) & (values <= rising[-1]))
    at = np.clip(np.searchsorted(rising, values, side="right") - 1, 0, last)
    if rising is not axis:
        at = last - at
    share = (values - axis[at]) / (axis[at + 1] - axis[at])
    return np.where(outside, -1, at), share


def _values(grid: Grid, top: int, bottom: int, left: int, right: int) -> Floats:
    """Nodes of rows top..bottom-1 and columns left..right-1, which may go around the globe."""
    rows, columns = slice(top, bottom), len(grid.x)
    if left < 0 or right > columns:
        index = np.arange(left, right) % columns
        cuts = np.flatnonzero(np.diff(index) != 1) + 1
        runs = np.split(index, cuts)
        return np.hstack([grid.read(rows, slice(int(run[0]), int(run[-1]) + 1)) for run in runs])
    return grid.read(rows, slice(left, right))


def _gradient(grid: Grid, top: int, bottom: int, left: int, right: int) -> Floats:
    """Gradient magnitude at those nodes: central differences, one-sided at the grid's rim."""
    round_it = _wraps(grid) is not None
    upper, lower = max(top - 1, 0), min(bottom + 1, len(grid.y))
    west = left - 1 if round_it else max(left - 1, 0)
    east = right + 1 if round_it else min(right + 1, len(grid.x))
    z = _values(grid, upper, lower, west, east)
    x = grid.x[np.arange(west, east) % len(grid.x)]
    if grid.crs.is_geographic:
        y_metres = np.radians(grid.y[upper:lower]) * _EARTH_RADIUS
        x_metres = np.unwrap(np.radians(x)) * _EARTH_RADIUS
        stretch = np.cos(np.radians(grid.y[upper:lower]))[:, None]
    else:
        unit = float(grid.crs.axis_info[0].unit_conversion_factor)
        y_metres, x_metres, stretch = grid.y[upper:lower] * unit, x * unit, np.ones((1, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        across = _differences(z.T, x_metres).T / stretch
        slope = np.hypot(across, _differences(z, y_metres))
    slope[~np.isfinite(slope + z)] = np.nan
    return np.asarray(slope[top - upper : bottom - upper, left - west : right - west])


def _differences(z: Floats, at: Floats) -> Floats:
    """dz/dy by rows: over the two rows beside each, at the ends over the one beside and itself."""
    low = np.maximum(np.arange(len(at)) - 1, 0)
    high = np.minimum(np.arange(len(at)) + 1, len(at) - 1)
    return np.asarray((z[high] - z[low]) / (at[high] - at[low])[:, None])


def _nearest(word: str, words: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.4)
    return f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(words)})"
