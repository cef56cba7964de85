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
from scipy.sparse import coo_matrix, csr_matrix, diags_array, vstack
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import lsmr, splu

Floats = NDArray[np.float64]
Unit = Literal["line", "survey_no"]

HUBER = 1.345  # 95 % efficiency on normal errors
# One standard deviation each (ours). That of the drift must be tight: a plane through all biases
# changes no mis-tie, so a loose one lets the network tilt (on the demo 1 m/km trebled sigma).
PRIOR_BIAS = 100.0  # m
PRIOR_DRIFT = 0.1  # m/km
AGREES = 3.0  # a crossing agrees with the biases when what they leave is below so many scales
_FLOOR = 1.0  # m: mis-ties are never trusted to be better than this
_ROUNDS = 30
_BATCH = 256
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
    design = _design(a, b, codes.size, _along(frame, a, east, north), _along(frame, b, east, north))
    prior = np.repeat([1 / PRIOR_BIAS, 1 / PRIOR_DRIFT], codes.size)
    solution, weights, scale = _huber(design, network["mistie"].to_numpy(), prior)
    bias, drift = solution[: codes.size], solution[codes.size :]
    links = coo_matrix((np.ones(a.size), (a, b)), shape=(codes.size, codes.size))
    component = connected_components(links, directed=False)[1].astype(np.int32)
    table = _table(unit, codes, np.bincount(ends, minlength=codes.size), bias, drift, frame)
    table = table.with_columns(
        pl.Series("sigma", _sigma(design, weights, scale, prior)[: codes.size]),
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
    design = csr_matrix(np.column_stack([np.ones(part.height), _along(frame, none, east, north)]))
    prior = np.array([1 / PRIOR_BIAS, 1 / PRIOR_DRIFT])
    solution, weights, scale = _huber(design, part["excess"].to_numpy(), prior)
    code = part["new"].to_numpy()[:1]
    count = np.array([part.height])
    table = _table(unit, code, count, solution[:1], solution[1:], frame)
    component = part["component"].mode(maintain_order=False).sort().head(1)
    return _with_z(
        table.with_columns(
            pl.Series("sigma", _sigma(design, weights, scale, prior)[:1]),
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


def _design(
    a: NDArray[np.int64], b: NDArray[np.int64], n: int, along_a: Floats, along_b: Floats
) -> csr_matrix:
    """Rows: crossovers. Columns: n constants, then n drifts."""
    row = np.arange(a.size)
    one = np.ones(a.size)
    values = np.concatenate([one, -one, along_a, -along_b])
    columns = np.concatenate([a, b, n + a, n + b])
    return coo_matrix((values, (np.tile(row, 4), columns)), shape=(a.size, 2 * n)).tocsr()


def _huber(design: csr_matrix, mistie: Floats, prior: Floats) -> tuple[Floats, Floats, float]:
    """Solution, weights of the crossovers and scale (m) of the mis-ties, by reweighting."""
    weights = np.ones(mistie.size)
    solution = np.zeros(design.shape[1])
    scale = _FLOOR
    for _ in range(_ROUNDS):
        residual = mistie - design @ solution
        scale = max(_FLOOR, 1.4826 * float(np.median(np.abs(residual))))
        weights = np.minimum(1.0, HUBER * scale / np.maximum(np.abs(residual), 1e-12))
        root = np.sqrt(weights)
        # The ridge counts in units of the mis-ties' scale, as a prior of so many metres.
        system = vstack([diags_array(root) @ design, diags_array(scale * prior)]).tocsr()
        right = np.concatenate([root * mistie, np.zeros(prior.size)])
        before, solution = solution, lsmr(system, right, atol=1e-10, btol=1e-10, x0=solution)[0]
        if np.abs(solution - before).max(initial=0.0) < 1e-3:
            break
    return solution, weights, scale


def _sigma(design: csr_matrix, weights: Floats, scale: float, prior: Floats) -> Floats:
    """Standard deviation of each unknown through the noise of the mis-ties alone.

    The ridge's own uncertainty, which is that of the datum, stays out: with M the inverse of the
    ridged normal matrix the covariance is M N M, and its diagonal M_ii - |ridge M_i|^2.
    """
    ridge = (scale * prior) ** 2
    normal = (design.T @ diags_array(weights) @ design + diags_array(ridge)).tocsc()
    solver = splu(normal)
    n = ridge.size
    variance = np.empty(n)
    for first in range(0, n, _BATCH):
        at = np.arange(first, min(first + _BATCH, n))
        unit = np.zeros((n, at.size))
        unit[at, at - first] = 1.0
        inverse = solver.solve(unit)
        variance[at] = inverse[at, at - first] - (ridge[:, None] * inverse**2).sum(axis=0)
    floor = scale**2 / max(float(weights.sum()), 1.0)
    return np.sqrt(np.maximum(scale**2 * variance, floor))
