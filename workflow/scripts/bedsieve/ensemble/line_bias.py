"""Biased lines: one finding a line, and which of its points need no other cause.

In: the bias network of the model version, a tile's crossovers for lines that came later, and what the
members saw. Out: the lines whose offset is beyond what chance and honest differences allow, the bias of
each point on them, and whether it alone explains what other tracks hold against the point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.detectors.manifest import read_manifest
from bedsieve.ensemble.lookup import values_at
from bedsieve.errors import InputError
from bedsieve.graph.bias import bias_at, fit_new_lines, read_network
from bedsieve.graph.lines import LINE

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_CROSSINGS = 3
"""Fewer crossings do not tell a biased line from a bad place (ours)."""
LEAST_AGREE = 2 / 3
"""Share of a line's crossings that its bias must explain: else a part of it is bad, not all (ours)."""
HONEST_M = 45.0
"""What may remain beside the bias (m): below it lie honest differences, as for `segments`."""
OWN_TRACK = 0.5
"""Score of a member that looks along the track alone from which a point has a cause of its own."""
ALONG = {"along_track": "score", "pca": "law_rate"}
"""What a member says from 0 to 1 about a point beside its own track alone, to which a bias of the whole line is
nothing: the column of its table."""
ACROSS = {"segments": (("residual_m", "offset_m"), "sigma_m")}
"""Members that measure offsets from other tracks, of the point and of the run it is in, and their
uncertainty (m)."""

_COLUMNS = ["line", "n_crossings", "agree", "bias_m", "drift_m_per_km", "sigma", "robust_z"]
_FRAME = ["east_0", "north_0", "axis_east", "axis_north"]


def biased_lines(folder: str | Path, crossovers: Sequence[str | Path], z: float) -> pl.DataFrame:
    """The lines that are biased as a whole.

    Parameters
    ----------
    folder : path-like
        models/{version}/bias, as `train_bias` wrote it.
    crossovers : sequence of path-like
        Crossover tables that hold the crossings of lines which came after training.
    z : float
        Least |robust_z|.

    Returns
    -------
    DataFrame
        line, n_crossings, agree, bias_m, drift_m_per_km, sigma (m), robust_z, the frame of the drift, and
        frozen (false: fitted against the frozen lines alone), by line.

    Raises
    ------
    InputError
        If the model's files are not those that its manifest describes, or it was made before lines told
        how many of their crossings agree.

    Notes
    -----
    robust_z = bias / sqrt(sigma² + tau²), tau being 1.4826 times the median |bias| of all frozen lines: lines
    differ honestly by some metres, so a bias that is sure need not be a large one.
    """
    folder = Path(folder)
    read_manifest(folder / "manifest.json", detector="bias")
    frozen = pl.read_parquet(folder / "lines.parquet")
    if "agree" not in frozen.columns:
        raise InputError(
            folder / "lines.parquet",
            "this model version does not tell how many crossings of a line agree with its bias",
            "Name a new models.version; what the old one gave stays",
        )
    new = fit_new_lines(frozen, read_network(crossovers)).select(frozen.columns)
    both = pl.concat(
        [frozen.with_columns(frozen=pl.lit(True)), new.with_columns(frozen=pl.lit(False))]
    )
    median = frozen["bias_m"].abs().median()
    tau = 1.4826 * float(median) if isinstance(median, float) else 0.0
    spread = (pl.col("sigma") ** 2 + tau**2).sqrt()
    return (
        both.with_columns((pl.col("bias_m") / spread).alias("robust_z"))
        .filter(
            pl.col("robust_z").abs() >= z,
            pl.col("n_crossings") >= LEAST_CROSSINGS,
            pl.col("agree") >= LEAST_AGREE,
        )
        .select(*_COLUMNS, *_FRAME, "frozen")
        .sort("line")
    )


def bias_of_points(lines: pl.DataFrame, points: pl.DataFrame) -> Floats:
    """Bias (m) of the line of each point, NaN off biased lines.

    Parameters
    ----------
    lines : DataFrame
        From `biased_lines`.
    points : DataFrame, n rows
        survey_no, track_id, east, north (m).
    """
    line = points.select(LINE)["line"].to_numpy()
    on = np.isin(line, lines["line"].to_numpy())
    bias = np.full(points.height, np.nan)
    if on.any():
        east, north = points["east"].to_numpy()[on], points["north"].to_numpy()[on]
        bias[on] = bias_at(lines, line[on], east, north)
    return bias


def witnesses(
    members: Mapping[str, Sequence[str | Path]], ids: NDArray[np.uint64], bias: Floats
) -> tuple[list[Floats], list[tuple[Floats, Floats]]]:
    """What the members that are there say about points on biased lines.

    Parameters
    ----------
    members : mapping of str to paths
        Score tables of each member.
    ids : (n,) uint64
        The points.
    bias : (n,) float64
        Bias of the line of each point (m); NaN off biased lines.

    Returns
    -------
    along : list of (n,) float64
        How odd a point is beside its own track, by each member of `ALONG`.
    across : list of ((n,) float64, (n,) float64)
        Offsets from other tracks and their uncertainty (m), by each member of `ACROSS`. NaN off biased
        lines and where a member could not say.
    """
    on = np.flatnonzero(~np.isnan(bias))

    def looked_up(member: str, names: Sequence[str]) -> Floats:
        values = np.full((len(names), len(ids)), np.nan)
        if len(on):
            found = values_at(ids[on], members[member], names).select(names)
            values[:, on] = found.cast(pl.Float64).fill_null(float("nan")).to_numpy().T
        return values

    along = [looked_up(name, [column])[0] for name, column in ALONG.items() if name in members]
    across = []
    for name, (offsets, sigma) in ACROSS.items():
        if name in members:
            values = looked_up(name, [sigma, *offsets])
            across += [(offset, values[0]) for offset in values[1:]]
    return along, across


def explained(
    bias: Floats, along: Sequence[Floats], across: Sequence[tuple[Floats, Floats]]
) -> Bools:
    """Whether the bias of its line alone explains what is odd about a point.

    Parameters
    ----------
    bias : (n,) float64
        m; NaN off biased lines.
    along, across : sequence
        As `witnesses` gives them.

    Returns
    -------
    (n,) bool
        True on biased lines where no member sees anything odd along the track itself, and what other
        tracks say is met by the bias to within 45 m or 3 sigma. Where no member looks at either, nothing is
        explained.
    """
    if not along and not across:
        return np.zeros(len(bias), bool)
    result = ~np.isnan(bias)
    for odd in along:
        result &= ~(odd >= OWN_TRACK)
    for residual, sigma in across:
        limit = np.fmax(HONEST_M, 3.0 * sigma)
        result &= ~(np.abs(residual - bias) > limit)
    return np.asarray(result)


def findings(lines: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """One row a biased line that has points here.

    Parameters
    ----------
    lines : DataFrame
        From `biased_lines`.
    points : DataFrame
        survey_no, track_id, explained and flag of each point.

    Returns
    -------
    DataFrame
        Columns of `lines` but the frame, then n_points, n_explained, n_flagged.
    """
    counts = (
        points.with_columns(LINE)
        .group_by("line")
        .agg(
            pl.len().cast(pl.Int64).alias("n_points"),
            pl.col("explained").sum().cast(pl.Int64).alias("n_explained"),
            pl.col("flag").sum().cast(pl.Int64).alias("n_flagged"),
        )
    )
    return lines.drop(_FRAME).join(counts, on="line", maintain_order="left")


def list_biased_lines(
    tables: Sequence[str | Path], survey_names: Mapping[int, str]
) -> pl.DataFrame:
    """Every biased line once, from the tables of the tiles, the largest |robust_z| first.

    Parameters
    ----------
    tables : sequence of path-like
        The tiles' biased_lines.parquet. A line that came after training was fitted in each tile to the
        crossings there; the fit of the tile with most of them is given.
    survey_names : mapping of int to str
        Name of each survey number.

    Returns
    -------
    DataFrame
        survey, track_id, n_points, n_flagged, n_explained, bias_m, drift_m_per_km, sigma (m), robust_z,
        n_crossings, agree, frozen.
    """
    every = pl.concat([pl.read_parquet(path) for path in sorted(map(str, tables))])
    every = every.sort("n_crossings", "line", descending=[True, False], maintain_order=True)
    once = every.group_by("line", maintain_order=True).agg(
        pl.col("n_points", "n_explained", "n_flagged").sum(),
        pl.exclude("n_points", "n_explained", "n_flagged").first(),
    )
    survey = (pl.col("line") // 2**32).replace_strict(
        dict(survey_names), default="?", return_dtype=pl.String
    )
    return once.sort(pl.col("robust_z").abs(), "line", descending=[True, False]).select(
        survey.alias("survey"),
        (pl.col("line") % 2**32).alias("track_id"),
        *("n_points", "n_flagged", "n_explained", "bias_m", "drift_m_per_km", "sigma"),
        *("robust_z", "n_crossings", "agree", "frozen"),
    )
