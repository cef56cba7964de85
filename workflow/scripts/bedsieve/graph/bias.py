"""Bias of lines and of surveys, from the network of their crossovers.

In: crossover tables. Out: a constant and a drift for each line (or survey), so that a biased line is
one finding and not ten thousand. Solved over all crossovers at once, as GMT's x2sys_solve does, but
robustly; then frozen with a model version: a new line is fitted against the frozen ones alone.

The drift runs along the main axis of a line's crossovers, so that the bias at any point follows from
its position: bias_m + drift_m_per_km * ((east - east_0) axis_east + (north - north_0) axis_north) / 1000.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from bedsieve.graph.network_solve import HUBER, Network, OneLine, huber, uncertainty

Floats = NDArray[np.float64]
Unit = Literal["line", "survey_no"]

# One standard deviation each (ours). That of the drift must be tight: a plane through all biases
# changes no mis-tie, so a loose one lets the network tilt (on the demo 1 m/km trebled sigma).
PRIOR_BIAS = 100.0  # m
PRIOR_DRIFT = 0.1  # m/km
_PRIOR = np.array([1 / PRIOR_BIAS, 1 / PRIOR_DRIFT])
AGREES = 3.0  # a crossing agrees with the biases when what they leave is below so many scales
_FRAME = ("east_0", "north_0", "axis_east", "axis_north")


def read_network(
    crossovers: Sequence[str | Path], kinds: Sequence[str] = ("crossing",), unit: Unit = "line"
) -> pl.DataFrame:
    """Read the mis-ties between different lines (or surveys) from crossover tables.

    Parameters
    ----------
    crossovers : sequence of path
        Crossover tables of tiles.
    kinds : sequence of str
        ``crossing``, ``double_hit`` or both.
    unit : {'line', 'survey_no'}
        What has a bias.

    Returns
    -------
    DataFrame
        a, b (int64, the two lines or surveys), east, north (m), mistie = h_a - h_b (m).
    """
    found = pl.scan_parquet([Path(path) for path in crossovers]).filter(
        pl.col("kind").cast(pl.String).is_in(list(kinds))
    )
    return found.select(
        pl.col(f"{unit}_a").cast(pl.Int64).alias("a"),
        pl.col(f"{unit}_b").cast(pl.Int64).alias("b"),
        "east",
        "north",
        "mistie",
    ).filter(pl.col("a") != pl.col("b")).collect()  # fmt: skip


def solve_bias(network: pl.DataFrame, unit: Unit = "line") -> pl.DataFrame:
    """Solve for the bias and drift of every line by robust least squares over the network.

    Parameters
    ----------
    network : DataFrame
        Mis-ties as `read_network` gives them.
    unit : {'line', 'survey_no'}
        Name of the first column of the result.

    Returns
    -------
    DataFrame
        line (or survey_no), n_crossings, agree (share of them whose mis-tie the biases explain),
        bias_m (too thick is positive; relative to the median line of its component of the network),
        drift_m_per_km, sigma (m, of bias_m), z = bias_m / sigma, component, and the frame of the drift: east_0, north_0 (m), axis_east, axis_north.

    Notes
    -----
    Model as in GMT x2sys_solve: mis-tie = bias_a - bias_b, each constant + drift; Huber weights by
    iteration instead of plain least squares. Mis-ties leave the datum open: a weak ridge fixes it and
    the median of each component is then set to 0, since most lines are right.
    """
    codes, ends = np.unique(
        np.concatenate([network["a"].to_numpy(), network["b"].to_numpy()]), return_inverse=True
    )
    a, b = np.split(ends, 2)
    east, north = network["east"].to_numpy(), network["north"].to_numpy()
    frame = _frames(ends, np.tile(east, 2), np.tile(north, 2), codes.size)
    along = _along(frame, a, east, north), _along(frame, b, east, north)
    system = Network(a, b, *along, codes.size)
    solution, weights, scale = huber(system, network["mistie"].to_numpy(), _PRIOR)
    bias, drift = solution.T
    links = coo_matrix((np.ones(a.size), (a, b)), shape=(codes.size, codes.size))
    component = connected_components(links, directed=False)[1].astype(np.int32)
    table = _table(unit, codes, np.bincount(ends, minlength=codes.size), bias, drift, frame)
    table = table.with_columns(
        pl.Series("sigma", uncertainty(system, weights, scale, _PRIOR)),
        pl.Series("component", component),
        _agree(ends, np.tile(weights, 2), codes.size),
    )
    datum = pl.col("bias_m") - pl.col("bias_m").median().over("component")
    return _with_z(table.with_columns(datum.alias("bias_m")))


def fit_new_lines(frozen: pl.DataFrame, network: pl.DataFrame, unit: Unit = "line") -> pl.DataFrame:
    """Fit lines that a frozen solution does not hold, each against the frozen lines alone.

    Parameters
    ----------
    frozen : DataFrame
        What `solve_bias` gave when the model version was made.
    network : DataFrame
        Mis-ties as `read_network` gives them; those between two frozen or two new lines are unused.
    unit : {'line', 'survey_no'}
        Name of the first column.

    Returns
    -------
    DataFrame
        As `solve_bias`, one row a new line that crosses a frozen one; component is that of the
        frozen line it crosses most. A new line never changes another's row, new or frozen.
    """
    known = frozen[unit].to_numpy()
    sides = pl.concat(
        [
            network.select(pl.col("a").alias("new"), pl.col("b").alias("old"), "east", "north", "mistie"),
            network.select(pl.col("b").alias("new"), pl.col("a").alias("old"), "east", "north", -pl.col("mistie")),
        ]
    ).filter(~pl.col("new").is_in(known.tolist()) & pl.col("old").is_in(known.tolist()))  # fmt: skip
    order = np.argsort(known)
    at = order[np.searchsorted(known, sides["old"].to_numpy(), sorter=order)]
    frame = frozen.select(_FRAME).to_numpy().T
    along = _along(frame, at, sides["east"].to_numpy(), sides["north"].to_numpy())
    of_old = frozen["bias_m"].to_numpy()[at] + frozen["drift_m_per_km"].to_numpy()[at] * along
    sides = sides.with_columns(
        pl.Series("excess", sides["mistie"].to_numpy() + of_old),
        pl.Series("component", frozen["component"].to_numpy()[at]),
    )
    rows = [_fit_one(part, unit) for part in sides.partition_by("new", maintain_order=True)]
    return pl.concat(rows).sort(unit) if rows else frozen.clear()


def bias_at(
    table: pl.DataFrame, code: NDArray[np.int64], east: Floats, north: Floats, unit: Unit = "line"
) -> Floats:
    """Bias (m) of points by their line (or survey) and position; 0 where the table has none.

    Parameters
    ----------
    table : DataFrame
        From `solve_bias` or `fit_new_lines`; not empty.
    code : ndarray of int64, shape (n,)
        Line or survey_no of each point.
    east, north : ndarray of float64, shape (n,)
        Positions (m).
    """
    known = table[unit].to_numpy()
    order = np.argsort(known)
    at = order[np.minimum(np.searchsorted(known, code, sorter=order), known.size - 1)]
    along = _along(table.select(_FRAME).to_numpy().T, at, east, north)
    bias = table["bias_m"].to_numpy()[at] + table["drift_m_per_km"].to_numpy()[at] * along
    return np.where(known[at] == code, bias, 0.0)


def _fit_one(part: pl.DataFrame, unit: Unit) -> pl.DataFrame:
    east, north = part["east"].to_numpy(), part["north"].to_numpy()
    none = np.zeros(part.height, np.int64)
    frame = _frames(none, east, north, 1)
    system = OneLine(_along(frame, none, east, north))
    solution, weights, scale = huber(system, part["excess"].to_numpy(), _PRIOR)
    code = part["new"].to_numpy()[:1]
    count = np.array([part.height])
    table = _table(unit, code, count, solution[:, 0], solution[:, 1], frame)
    component = part["component"].mode(maintain_order=False).sort().head(1)
    return _with_z(
        table.with_columns(
            pl.Series("sigma", uncertainty(system, weights, scale, _PRIOR)),
            component.alias("component"),
            _agree(none, weights, 1),
        )
    )


def _agree(code: NDArray[np.int64], weights: Floats, n: int) -> pl.Series:
    """Share of each unit's crossings whose residual is small; Huber's weight falls as 1 / residual."""
    near = (weights >= HUBER / AGREES).astype(np.float64)
    return pl.Series("agree", np.bincount(code, near, n) / np.bincount(code, minlength=n))


def _table(
    unit: Unit,
    codes: NDArray[np.int64],
    count: NDArray[np.int64],
    bias: Floats,
    drift: Floats,
    frame: Floats,
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            unit: codes,
            "n_crossings": count.astype(np.int64),
            "bias_m": bias,
            "drift_m_per_km": drift,
        }
        | dict(zip(_FRAME, frame, strict=True))
    )


def _with_z(table: pl.DataFrame) -> pl.DataFrame:
    first = [table.columns[0], "n_crossings", "agree", "bias_m", "drift_m_per_km", "sigma"]
    return table.with_columns((pl.col("bias_m") / pl.col("sigma")).alias("z")).select(
        *first, "z", "component", *_FRAME
    )


def _frames(code: NDArray[np.int64], east: Floats, north: Floats, n: int) -> Floats:
    """Centre and main axis of the crossovers of each line, shape (4, n)."""
    count = np.bincount(code, minlength=n)
    east_0 = np.bincount(code, east, n) / count
    north_0 = np.bincount(code, north, n) / count
    dx, dy = east - east_0[code], north - north_0[code]
    xx, yy = np.bincount(code, dx * dx, n), np.bincount(code, dy * dy, n)
    angle = 0.5 * np.arctan2(2 * np.bincount(code, dx * dy, n), xx - yy)
    return np.stack([east_0, north_0, np.cos(angle), np.sin(angle)])


def _along(frame: Floats, at: NDArray[np.int64], east: Floats, north: Floats) -> Floats:
    """Distance (km) from the centre along the axis."""
    east_0, north_0, axis_east, axis_north = frame
    along: Floats = (east - east_0[at]) * axis_east[at] + (north - north_0[at]) * axis_north[at]
    return along / 1000.0
