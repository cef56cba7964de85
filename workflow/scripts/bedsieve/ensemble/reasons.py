"""The reason of a flagged point in words, from the evidence that its detectors left in their tables.

Goes in: a frame with the members' scores and evidence. Comes out: one text a row, the member with the
highest score first. `PHRASES` says what a detector's evidence means; a detector without an entry is named
with its score alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

TELLING_SCORE = 0.5
"""Members that score at least this are named in a reason, and always the highest (ours)."""


BROKEN = 0.5
"""Evidence from which a physical law counts as broken, as in `detectors.physics_laws`."""


_LONGEST = 1_000_000  # m: an absurd thickness has no figures worth reading


@dataclass(frozen=True)
class Phrase:
    """What one detector's evidence means.

    Parameters
    ----------
    evidence : tuple of str
        Columns of the detector's score table that the words are made of.
    words : callable
        Takes a column expression by evidence name and returns a text expression, null where the evidence
        is missing.
    """

    evidence: tuple[str, ...]
    words: Callable[[Callable[[str], pl.Expr]], pl.Expr]


def metres(value: pl.Expr) -> pl.Expr:
    """An unsigned length in words: ``187 m``, ``3.4 m`` below 10 m, and ``over 1000000 m`` from there on."""
    size = value.abs()
    whole = size.clip(upper_bound=_LONGEST).round(0).cast(pl.Int64).cast(pl.String)
    whole = pl.when(size > _LONGEST).then("over " + whole).otherwise(whole)
    return pl.when(size < 9.95).then(size.round(1).cast(pl.String)).otherwise(whole) + " m"


def _along_track(evidence: Callable[[str], pl.Expr]) -> pl.Expr:
    residual = evidence("residual").cast(pl.Float64).fill_nan(None)
    side = pl.when(residual >= 0).then(pl.lit("thicker")).otherwise(pl.lit("thinner"))
    place = " than the median of its 8 neighbours along the track"
    return metres(residual) + " " + side + place


def _segments(evidence: Callable[[str], pl.Expr]) -> pl.Expr:
    offset, residual = (
        evidence(name).cast(pl.Float64).fill_nan(None) for name in ("offset_m", "residual_m")
    )
    side = pl.when(offset >= 0).then(pl.lit("thick")).otherwise(pl.lit("thin"))
    run = pl.lit("in a run of its track ") + metres(offset) + " too " + side + _cause(evidence)
    off = pl.when(residual >= 0).then(pl.lit("thicker")).otherwise(pl.lit("thinner"))
    alone = metres(residual) + " " + off + " than other tracks around say"
    return pl.coalesce(run, pl.lit("in a run of its track") + _cause(evidence), alone)


def _cause(evidence: Callable[[str], pl.Expr]) -> pl.Expr:
    return pl.lit(" (") + evidence("cause") + ")"


def _pca(evidence: Callable[[str], pl.Expr]) -> pl.Expr:
    laws = {
        "law_rate": "jumps more along its track than ice does",
        "law_crossing": "disagrees with other tracks that cross it",
        "law_shear": "means a driving stress that ice cannot bear",
    }
    broken = [pl.when(evidence(name) >= BROKEN).then(pl.lit(words)) for name, words in laws.items()]
    usual = pl.lit("unusual together with bed, surface, velocity and climate")
    return pl.coalesce(
        pl.concat_str(broken, separator=" and ", ignore_nulls=True).replace("", None), usual
    )


def _gnn(evidence: Callable[[str], pl.Expr]) -> pl.Expr:
    return pl.lit("resembles points that other tracks contradict, by its ") + evidence("because")


def _carving(evidence: Callable[[str], pl.Expr]) -> pl.Expr:
    share = (100 * evidence("purity").cast(pl.Float64)).floor().cast(pl.Int64)
    name = pl.concat_str(evidence("fold"), evidence("family").cast(pl.String))
    carved = pl.format(
        "belongs to outlier family {}, {} % of whose labelled points are bad", name, share
    )
    far = evidence("distance").cast(pl.Float64).round(1)
    near = pl.format("{} times as far from a family of outliers as it reaches", far)
    return pl.coalesce(carved, near)


def _gae(evidence: Callable[[str], pl.Expr]) -> pl.Expr:
    residual = evidence("residual_m").cast(pl.Float64).fill_nan(None)
    side = pl.when(residual >= 0).then(pl.lit("thicker")).otherwise(pl.lit("thinner"))
    slope = evidence("gradient").cast(pl.Float64).round(2).cast(pl.String)
    rebuilt = metres(residual) + " " + side + " than rebuilt from its surroundings"
    return rebuilt + ", to which it changes by " + slope + " m per m"


def _pegasus(evidence: Callable[[str], pl.Expr]) -> pl.Expr:
    origin = evidence("origin")
    words = {
        "off": "cannot be rebuilt from what usually goes together",
        "on": "an extreme or isolated case of what usually goes together",
        "both": "extreme or isolated, and cannot be rebuilt from what usually goes together",
        "none": "less rare than the points to look at",
    }
    return origin.replace_strict(words, default=None, return_dtype=pl.String)


def _gnsm(evidence: Callable[[str], pl.Expr]) -> pl.Expr:
    usual = pl.lit("its survey and physics seldom come together")
    named = usual + ", least of all its " + evidence("because")
    return pl.coalesce(named, usual)


def _sparker(evidence: Callable[[str], pl.Expr]) -> pl.Expr:
    residuals = {
        "track": "along their tracks",
        "neighbour": "against other tracks around",
        "crossing": "where tracks meet",
    }
    where = evidence("feature").replace_strict(residuals, default=None)
    return pl.lit("its survey has too many points that stand out like it ") + where


def _local_entropy(evidence: Callable[[str], pl.Expr]) -> pl.Expr:
    own, around = (
        evidence(name).cast(pl.Float64).round(2).cast(pl.String)
        for name in ("entropy", "local_mean")
    )
    z = evidence("z").cast(pl.Float64)
    side = pl.when(z >= 0).then(pl.lit("less")).otherwise(pl.lit("more"))
    return pl.format(
        "the graph network is {} sure of it than of the known points most like it (entropy {} against {})",
        side,
        own,
        around,
    )


PHRASES: dict[str, Phrase] = {
    "along_track": Phrase(evidence=("residual",), words=_along_track),
    "segments": Phrase(evidence=("offset_m", "residual_m", "cause"), words=_segments),
    "pca": Phrase(evidence=("law_rate", "law_crossing", "law_shear"), words=_pca),
    "gnn": Phrase(evidence=("because",), words=_gnn),
    "carving": Phrase(evidence=("family", "fold", "purity", "distance"), words=_carving),
    "sparker": Phrase(evidence=("feature",), words=_sparker),
    "gae": Phrase(evidence=("residual_m", "gradient"), words=_gae),
    "pegasus": Phrase(evidence=("origin",), words=_pegasus),
    "gnsm": Phrase(evidence=("because",), words=_gnsm),
    "local_entropy": Phrase(evidence=("z", "entropy", "local_mean"), words=_local_entropy),
}


def evidence_column(member: str, name: str) -> str:
    """The name under which a member's evidence stands in the frame given to `reasons`."""
    return f"{member}.{name}"


def reasons(frame: pl.DataFrame, phrases: Mapping[str, Phrase] = PHRASES) -> pl.Series:
    """Say why each row stands out.

    Parameters
    ----------
    frame : DataFrame, n rows
        score_{member} for each member, and {member}.{evidence} for what the members' phrases need.
    phrases : mapping of str to Phrase
        By member.

    Returns
    -------
    Series of str, n
        For instance ``187 m thicker than the median of its 8 neighbours along the track (along_track
        score 0.93); gnn score 0.71``. Null where no member has a score.
    """
    members = [name.removeprefix("score_") for name in frame.columns if name.startswith("score_")]
    if not members or frame.height == 0:
        return pl.Series("reason", [None] * frame.height, dtype=pl.String)
    texts = frame.select(
        _sentence(member, frame.columns, phrases).alias(member) for member in members
    )
    scores = np.column_stack(
        [frame[f"score_{m}"].fill_null(float("nan")).to_numpy().astype(float) for m in members]
    )
    return _joined(texts, np.where(np.isnan(scores), -1.0, scores))


def with_line_bias(frame: pl.DataFrame, texts: pl.Series) -> pl.Series:
    """Say in the reasons that the whole line is biased: first where that explains all, else last.

    Parameters
    ----------
    frame : DataFrame, n rows
        line_bias_m (m, null off biased lines) and explained.
    texts : Series of str, n
        From `reasons`.
    """
    bias = pl.col("line_bias_m").cast(pl.Float64)
    side = pl.when(bias >= 0).then(pl.lit("thick")).otherwise(pl.lit("thin"))
    line = pl.lit("its whole line is ") + metres(bias) + pl.lit(" too ") + side
    text = pl.col("reason")
    told = (
        pl.when(bias.is_null())
        .then(text)
        .when(pl.col("explained"))
        .then(pl.format("{}; {}", line, text))
        .otherwise(pl.format("{}; {}", text, line))
    )
    return frame.with_columns(texts.alias("reason")).select(told.alias("reason"))["reason"]


def _joined(texts: pl.DataFrame, scores: NDArray[np.float64]) -> pl.Series:
    ranked = np.argsort(-scores, axis=1, kind="stable")
    scores = np.take_along_axis(scores, ranked, axis=1)
    sentences = np.column_stack([texts[name].to_numpy() for name in texts.columns]).astype(object)
    sentences = np.take_along_axis(sentences, ranked, axis=1)
    told = scores >= TELLING_SCORE
    told[:, 0] = scores[:, 0] >= 0
    lines = [
        "; ".join(row[keep]) if keep[0] else None for row, keep in zip(sentences, told, strict=True)
    ]
    return pl.Series("reason", lines, dtype=pl.String)


def _sentence(member: str, columns: Sequence[str], phrases: Mapping[str, Phrase]) -> pl.Expr:
    score = pl.col(f"score_{member}").cast(pl.Float64)
    # Cut, not rounded: 0.996 must not read as a full 1.00.
    hundredths = (score * 100 + 1e-4).floor().cast(pl.Int64)
    shown = pl.format("{}.{}", hundredths // 100, (hundredths % 100).cast(pl.String).str.zfill(2))
    bare = pl.format(f"{member} score {{}}", shown)
    phrase = phrases.get(member)
    if phrase is None:
        return bare
    needed = [evidence_column(member, name) for name in phrase.evidence]
    if not set(needed) <= set(columns):
        return bare
    words = phrase.words(lambda name: pl.col(evidence_column(member, name)))
    return pl.coalesce(pl.format(f"{{}} ({member} score {{}})", words, shown), bare)
