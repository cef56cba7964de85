"""Lines that are biased as a whole: the odds of each line from its crossings with all the others.

In: the crossings of a tile, and the odds that the chain gives the points on both sides of each. Out: a row a
line with the log-odds that all of it is offset, and the offset. The chain alone cannot tell: a line that is off
from end to end takes no step, and where it meets one other line the mis-tie may be the other's. What the other
line shows elsewhere decides: if it agrees with twenty more, and does not step here, it is not the one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PRIOR = 0.01  # share of lines that are biased as a whole (ours): "a line in some hundred"
_LEAST, _MOST, _RATIO = 45.0, 3500.0, 1.1  # m (ours): levels of the offset, both signs
_SIDE = 1 + int(np.log(_MOST / _LEAST) / np.log(_RATIO))
LEVELS: Floats = np.concatenate(
    [sign * _LEAST * _RATIO ** np.arange(_SIDE) for sign in (-1.0, 1.0)]
)
_HONEST_LEVELS: Floats = np.arange(-42.0, 43.0, 7.0)  # m
_HONEST_SPREAD = (
    15.0  # m (ours): instruments, and old surveys above all, differ that much as a whole
)
_TOLERANCE = 0.05  # how much the offset of a line may vary, as a share of it (ours)
_USUAL, _USUAL_COUNT = 20.0, 10.0  # m, crossings: stand in where a tile has few (ours)
_DOUBT = 0.005  # chance that a point is bad although the chain sees nothing (ours)
# Student's t for mis-ties of honest lines, with 5 degrees of freedom (ours): rarer than normal tails allow.
_FREEDOM, _PEAK = 5.0, 8.0 / (3.0 * np.pi * np.sqrt(5.0))
_ROUNDS = 3
_BLOCK = 20_000  # pairs of lines whose likelihoods are held at once: 0.2 GB


def crossings_of_lines(points: pl.DataFrame, crossovers: pl.DataFrame) -> pl.DataFrame:
    """Crossings of different lines, with what the chain says about both of their points.

    Parameters
    ----------
    points : DataFrame
        point_id, line (i64), log_odds (of the chain); all points of the window.
    crossovers : DataFrame
        point_id_a, point_id_b, mistie (m, a minus b), kind, self_crossing.

    Returns
    -------
    DataFrame
        line_a, line_b, mistie, doubt_a, doubt_b: chance that the line is bad here but not as a whole. A
        line's least chance along it is taken off, since so much of it the chain may owe to the whole line.
    """
    bad = 1.0 / (1.0 + (-pl.col("log_odds").clip(-500.0, 500.0)).exp())
    known = points.select("point_id", "line", bad=bad).with_columns(
        doubt=(pl.col("bad") - pl.col("bad").min().over("line")).clip(_DOUBT, 1.0)
    )
    found = crossovers.filter(
        pl.col("kind").cast(pl.String) == "crossing", ~pl.col("self_crossing")
    ).select("point_id_a", "point_id_b", "mistie")
    for side in ("a", "b"):
        of_side = known.select(
            pl.col("point_id").alias(f"point_id_{side}"),
            pl.col("line").alias(f"line_{side}"),
            pl.col("doubt").alias(f"doubt_{side}"),
        )
        found = found.join(of_side, on=f"point_id_{side}", maintain_order="left")
    return found.filter(pl.col("line_a") != pl.col("line_b")).select(
        "line_a", "line_b", "mistie", "doubt_a", "doubt_b"
    )


def line_odds(crossings: pl.DataFrame) -> pl.DataFrame:
    """Log-odds that each line is biased as a whole.

    Parameters
    ----------
    crossings : DataFrame
        As `crossings_of_lines` gives them.

    Returns
    -------
    DataFrame
        line (i64), met (u32, other lines that it crosses), line_log_odds (f64), line_offset_m (f64, mean offset
        given that there is one), by line; lines that cross no other have no row.

    Notes
    -----
    However often two lines cross, the median of their mis-ties counts once. It is drawn from Student's t around
    the line's offset: a normal one of 15 m, less than 45 m, if it is honest, else one that is as likely in each
    octave; where either line is bad otherwise, it is drawn from all offsets alike. The chance that the other line is biased itself comes
    from its crossings with third lines, in three rounds, as messages in belief propagation (Pearl 1988): so
    a line that meets a biased one is cleared by what the biased one shows elsewhere.
    """
    pairs = _pairs(crossings)
    if not pairs.height:
        return pl.DataFrame(schema=_SCHEMA)
    mistie, own, doubt = (pairs[name].to_numpy() for name in ("mistie", "own", "doubt"))
    lines, starts = np.unique(pairs["line"].to_numpy(), return_index=True)
    # The same two lines seen from the other one.
    back = np.lexsort((pairs["line"].to_numpy(), pairs["other"].to_numpy()))
    scale = _scale(crossings["mistie"].to_numpy())
    message = np.zeros(pairs.height)
    odds, offset = np.empty(len(lines)), np.empty(len(lines))
    for _ in range(_ROUNDS):
        to_other = np.empty(pairs.height)
        for block, rows in _blocks(starts, pairs.height):
            to_other[rows], odds[block], offset[block] = _round(
                mistie[rows],
                scale,
                own[rows],
                doubt[rows],
                message[rows],
                starts[block] - rows.start,
            )
        message = _chance(to_other)[back]
    return pl.DataFrame(
        {
            "line": lines,
            "met": np.diff(np.append(starts, pairs.height)),
            "line_log_odds": odds,
            "line_offset_m": offset,
        },
        schema=_SCHEMA,
    )


def _blocks(starts: NDArray[np.int64], rows: int) -> Iterator[tuple[slice, slice]]:
    """Slices of lines, and of their rows, some `_BLOCK` rows at a time and whole lines."""
    ends = np.append(starts[1:], rows)
    first = 0
    while first < len(starts):
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + _BLOCK, side="right")))
        yield slice(first, last), slice(int(starts[first]), int(ends[last - 1]))
        first = last


def _round(
    mistie: Floats,
    scale: float,
    own: Floats,
    doubt: Floats,
    message: Floats,
    starts: NDArray[np.int64],
) -> tuple[Floats, Floats, Floats]:
    """What lines say to those that they cross, and the odds and offset of each, in one round.

    Rows of a line stand together, from `starts` on.
    """
    honest, offset = (_densities(mistie, scale, levels) for levels in (_HONEST_LEVELS, LEVELS))
    anything = offset.mean(axis=1, keepdims=True)
    q = (1.0 - (1.0 - doubt) * (1.0 - message))[:, None]
    either = 1.0 - (1.0 - q) * (1.0 - own[:, None])
    good = np.log((1.0 - either) * honest + either * anything)
    bad = np.log((1.0 - q) * offset + q * anything)
    all_good, all_bad = (np.add.reduceat(values, starts, axis=0) for values in (good, bad))
    at = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(mistie))))
    # What a line says to another leaves out what that one told it.
    to_other = _odds(all_bad[at] - bad, all_good[at] - good)
    weight = np.exp(all_bad - all_bad.max(axis=1, keepdims=True))
    return to_other, _odds(all_bad, all_good), weight @ LEVELS / weight.sum(axis=1)


_SCHEMA = {
    "line": pl.Int64,
    "met": pl.UInt32,
    "line_log_odds": pl.Float64,
    "line_offset_m": pl.Float64,
}


def either_odds(a: Floats, b: Floats) -> Floats:
    """Log-odds that one of two independent things is so, from the log-odds of each."""
    return np.logaddexp(np.logaddexp(a, b), a + b)


def _pairs(crossings: pl.DataFrame) -> pl.DataFrame:
    """A row a line and other line: median mis-tie and mean doubts; by line, then other."""
    sides = [
        crossings.select(
            pl.col(f"line_{mine}").alias("line"),
            pl.col(f"line_{their}").alias("other"),
            (sign * pl.col("mistie")).alias("mistie"),
            pl.col(f"doubt_{mine}").alias("own"),
            pl.col(f"doubt_{their}").alias("doubt"),
        )
        for mine, their, sign in (("a", "b", 1.0), ("b", "a", -1.0))
    ]
    return (
        pl.concat(sides)
        .sort("line", "other", "mistie")
        .group_by("line", "other", maintain_order=True)
        .agg(pl.col("mistie").median(), pl.col("own").mean(), pl.col("doubt").mean())
    )


def _scale(mistie: Floats) -> float:
    """Usual size of a mis-tie (m), by the median; few crossings lean on what is usual elsewhere."""
    measured = (1.4826 * float(np.median(np.abs(mistie)))) ** 2
    n = len(mistie)
    return float(np.sqrt((n * measured + _USUAL_COUNT * _USUAL**2) / (n + _USUAL_COUNT)))


def _densities(mistie: Floats, scale: float, levels: Floats) -> Floats:
    """Density of each mis-tie for a line with each of the offsets (m), shape (n, levels)."""
    spread = np.hypot(scale, _TOLERANCE * levels)
    u = 1.0 / (1.0 + ((mistie[:, None] - levels) / spread) ** 2 / _FREEDOM)
    return np.asarray(u * u * u * (_PEAK / spread))


def _odds(bad: Floats, good: Floats) -> Floats:
    """Log-odds of a bias from the log-likelihoods by offset (n, levels) of a biased and of an honest line."""
    share = np.exp(-0.5 * (_HONEST_LEVELS / _HONEST_SPREAD) ** 2)
    biased = _mean(bad, np.ones(len(LEVELS)))
    return np.asarray(biased - _mean(good, share) + np.log(_PRIOR / (1.0 - _PRIOR)))


def _mean(log_values: Floats, share: Floats) -> Floats:
    """Logarithm of the weighted mean of each row's values, given their logarithms."""
    most = log_values.max(axis=1)
    return np.asarray(most + np.log(np.exp(log_values - most[:, None]) @ (share / share.sum())))


def _chance(log_odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -500.0, 500.0))))
