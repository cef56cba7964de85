"""The summary of a run: how many points score how high, by detector, and what became of each survey.

Goes in: the tallies of the tiles. Comes out: counts, shares and median residuals in the score bands of Study B
(seed 000, "Along-track outliers"), points without a score by code, and flagged points by survey. Medians come
from logarithmic bins, good to 0.3 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.files import replacing
from bedsieve.products.bins import ABOVE, BANDS, ENSEMBLE, residual_at
from bedsieve.products.tallies import added, read_tallies

SCORES = {
    "detector": pl.String,
    "kind": pl.String,
    "range": pl.String,
    "count": pl.Int64,
    "share": pl.Float64,
    "median_residual": pl.Float64,
}
SURVEYS = {
    "survey": pl.String,
    "points": pl.Int64,
    "scored": pl.Int64,
    "flagged": pl.Int64,
    "share_flagged": pl.Float64,
    "highest_score": pl.Float32,
}


@dataclass(frozen=True)
class Summary:
    """Tables of a run.

    Attributes
    ----------
    scores : DataFrame
        detector, kind (``band``, ``at_least``, ``not_scored``), range, count, share (of all points),
        median_residual (m, null where unknown).
    surveys : DataFrame
        survey, points, scored, flagged, share_flagged, highest_score.
    points : int
        All points.
    """

    scores: pl.DataFrame
    surveys: pl.DataFrame
    points: int


def summarise(
    tallies: Sequence[str | Path], members: Sequence[str], survey_names: Mapping[int, str]
) -> Summary:
    """Add up what was counted in all tiles.

    Parameters
    ----------
    tallies : sequence of path-like
        The tallies of each tile.
    members : sequence of str
        The detectors of the ensemble.
    survey_names : mapping of int to str
        Name of each survey number; all of them are listed, with or without points.
    """
    wanted = ("scores", "residuals", "missing", "surveys")
    counted = [read_tallies(path, wanted) for path in tallies]
    total = {name: added([each[name] for each in counted], name) for name in wanted}
    bands = total["scores"].group_by("detector", "band").agg(pl.col("points").sum())
    of_ensemble = [bands.filter(detector=ENSEMBLE), total["missing"].filter(detector=ENSEMBLE)]
    points = sum(int(part["points"].sum()) for part in of_ensemble)
    rows = [
        _score_rows(
            name,
            dict(bands.filter(detector=name).select("band", "points").iter_rows()),
            total["residuals"].filter(detector=name),
            dict(total["missing"].filter(detector=name).select("code", "points").iter_rows()),
            points,
        )
        for name in (*members, ENSEMBLE)
    ]
    return Summary(pl.concat(rows), _survey_table(total["surveys"], survey_names), points)


def write_summary(summary: Summary, scores_tsv: str | Path, surveys_tsv: str | Path) -> None:
    """Write the tables of a summary as tab-separated text."""
    for table, path in ((summary.scores, scores_tsv), (summary.surveys, surveys_tsv)):
        with replacing(path) as part:
            # Six digits, not six decimals: a share of all Bedmap's points may be 1e-8.
            table.with_columns(pl.selectors.float().round_sig_figs(6)).write_csv(
                part, separator="\t"
            )


def read_summary(scores_tsv: str | Path, surveys_tsv: str | Path) -> Summary:
    """Read back what `write_summary` wrote."""
    scores = pl.read_csv(scores_tsv, separator="\t", schema=SCORES)
    of_ensemble = scores.filter(pl.col("kind") != "at_least", detector=ENSEMBLE)
    surveys = pl.read_csv(surveys_tsv, separator="\t", schema=SURVEYS)
    return Summary(scores, surveys, int(of_ensemble["count"].sum()))


def _median(residuals: pl.DataFrame) -> float | None:
    """Median of residuals (m) by their bins, ascending; None without any."""
    counts = residuals["points"].to_numpy()
    total = int(counts.sum())
    if total == 0:
        return None
    ranks = np.array([(total + 1) // 2, total // 2 + 1])
    middle: NDArray[np.int64] = residuals["residual"].to_numpy()[
        np.searchsorted(np.cumsum(counts), ranks)
    ]
    return float(residual_at(middle).mean())


def _score_rows(
    name: str,
    bands: Mapping[int, int],
    residuals: pl.DataFrame,
    missing: Mapping[str, int],
    points: int,
) -> pl.DataFrame:
    def share(count: int) -> float:
        return count / points if points else 0.0

    rows: list[tuple[str, str, str, int, float, float | None]] = []
    for k in range(len(BANDS) - 1):
        span, count = f"{BANDS[k]:g}–{BANDS[k + 1]:g}", bands.get(k, 0)
        middle = _median(residuals.filter(band=k))
        rows.append((name, "band", span, count, share(count), middle))
    for threshold in ABOVE:
        count = sum(n for k, n in bands.items() if k >= BANDS.index(threshold))
        rows.append((name, "at_least", f"{threshold:g}", count, share(count), None))
    for code, count in sorted(missing.items()):
        rows.append((name, "not_scored", code, count, share(count), None))
    return pl.DataFrame(rows, schema=SCORES, orient="row")


def _survey_table(total: pl.DataFrame, survey_names: Mapping[int, str]) -> pl.DataFrame:
    names = pl.DataFrame(
        list(survey_names.items()),
        schema={"survey_no": pl.Int64, "survey": pl.String},
        orient="row",
    )
    joined = names.join(total, on="survey_no", how="left").with_columns(
        pl.col("points", "scored", "flagged").fill_null(0)
    )
    share = pl.when(pl.col("points") > 0).then(pl.col("flagged") / pl.col("points"))
    return (
        joined.with_columns(share.alias("share_flagged"))
        .sort("survey_no")
        .select("survey", "points", "scored", "flagged", "share_flagged", "highest_score")
    )
