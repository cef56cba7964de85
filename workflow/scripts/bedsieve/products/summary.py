"""The summary of a run: how many points score how high, by detector, and what became of each survey.

Goes in: the tiles' ensembles and the detectors' tables. Comes out: counts, shares and median residuals in
the score bands of Study B (seed 000, "Along-track outliers"), points without a score by code, and flagged
points by survey. Tiles are taken one after another; medians come from logarithmic bins, good to 0.3 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedsieve.ensemble.lookup import values_at
from bedsieve.files import replacing
from bedsieve.progress import Progress

BANDS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)
ABOVE = (0.5, 0.7, 0.9)
ENSEMBLE = "ensemble"
NO_MEMBER = "no_member"
RESIDUAL_OF = "along_track"

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

_LEAST, _BINS_A_DECADE, _DECADES = 1e-4, 1000, 9
_BINS = _BINS_A_DECADE * _DECADES + 1


@dataclass
class Tally:
    """Running counts of one detector: points by band, their residuals by band and bin, codes."""

    bands: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(BANDS) - 1, np.int64))
    residuals: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(BANDS) - 1, _BINS), np.int64)
    )
    above: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(ABOVE), np.int64))
    codes: dict[str, int] = field(default_factory=dict)

    def add(self, scores: NDArray[np.float32], residual_bin: NDArray[np.int64]) -> None:
        """Count points that have a score; `residual_bin` from `bin_of`, -1 where unknown."""
        band = band_of(scores)
        self.bands += np.bincount(band, minlength=len(BANDS) - 1)
        for k, threshold in enumerate(ABOVE):
            self.above[k] += np.count_nonzero(scores >= np.float32(threshold))
        known = residual_bin >= 0
        flat = band[known] * _BINS + residual_bin[known]
        self.residuals += np.bincount(flat, minlength=self.residuals.size).reshape(-1, _BINS)

    def count_codes(self, codes: pl.Series) -> None:
        """Count points without a score by their code."""
        for code, n in codes.value_counts(sort=True).iter_rows():
            self.codes[code] = self.codes.get(code, 0) + n


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
    tiles: Sequence[tuple[str | Path, str | Path]],
    members: Mapping[str, Sequence[str | Path]],
    survey_names: Mapping[int, str],
) -> Summary:
    """Count the scores of all tiles.

    Parameters
    ----------
    tiles : sequence of (points, ensemble)
        Paths of each tile's points.parquet and ensemble.parquet.
    members : mapping of str to paths
        Score tables of each detector: their codes say why a point has no score, and those of along_track
        hold the residual (m) to the neighbours along the track.
    survey_names : mapping of int to str
        Name of each survey number; all of them are listed, with or without points.
    """
    tallies = {name: Tally() for name in (*members, ENSEMBLE)}
    surveys = [
        _survey_counts(
            pl.DataFrame(schema={"point_id": pl.UInt64, "score": pl.Float32, "flag": pl.Boolean})
        )
    ]
    progress = Progress("summary", len(tiles), "tiles")
    for _, ensemble in sorted(tiles, key=lambda tile: str(tile[1])):
        columns = ["point_id", "score", "flag", *(f"score_{member}" for member in members)]
        frame = pl.read_parquet(ensemble, columns=columns)
        _tally(frame, members, tallies)
        surveys.append(_survey_counts(frame))
        progress.advance(1)
    points = int(sum(tallies[ENSEMBLE].bands) + sum(tallies[ENSEMBLE].codes.values()))
    return Summary(
        scores=pl.concat([_score_rows(name, tally, points) for name, tally in tallies.items()]),
        surveys=_survey_table(pl.concat(surveys), survey_names),
        points=points,
    )


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


def band_of(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Band of each score: a band holds its lower edge, the last one also its upper edge."""
    inner = np.array(BANDS[1:-1], dtype=np.float32)
    return np.searchsorted(inner, scores, side="right").astype(np.int64)


def bin_of(residual: NDArray[np.float32]) -> NDArray[np.int64]:
    """Logarithmic bin of each residual (m); -1 where it is NaN."""
    unknown = np.isnan(residual)
    size = np.maximum(np.abs(np.where(unknown, 0, residual)).astype(np.float64), _LEAST)
    decades = np.log10(size / _LEAST)
    bins = np.minimum((decades * _BINS_A_DECADE).astype(np.int64), _BINS - 1)
    return np.where(unknown, -1, bins)


def _median(bins: NDArray[np.int64]) -> float | None:
    total = int(bins.sum())
    if total == 0:
        return None
    ranks = np.array([(total + 1) // 2, total // 2 + 1])
    middle = np.searchsorted(np.cumsum(bins), ranks)
    return float(
        np.where(middle == 0, 0.0, _LEAST * 10 ** ((middle + 0.5) / _BINS_A_DECADE)).mean()
    )


def _tally(
    frame: pl.DataFrame, members: Mapping[str, Sequence[str | Path]], tallies: dict[str, Tally]
) -> None:
    ids = frame["point_id"].to_numpy()
    residual_bin = np.full(len(ids), -1)
    if RESIDUAL_OF in members:
        found = values_at(ids, members[RESIDUAL_OF], ["residual"])["residual"]
        residual_bin = bin_of(found.cast(pl.Float32).fill_null(float("nan")).to_numpy())
    for name, tally in tallies.items():
        scores = frame["score" if name == ENSEMBLE else f"score_{name}"]
        missing = scores.is_null().to_numpy()
        tally.add(scores.drop_nulls().to_numpy(), residual_bin[~missing])
        if name == ENSEMBLE:
            codes = pl.Series([NO_MEMBER]).extend_constant(NO_MEMBER, int(missing.sum()))[1:]
        else:
            codes = values_at(ids[missing], members[name], ["code"])["code"].cast(pl.String)
        tally.count_codes(codes.fill_null("no_row").alias("code"))


def _score_rows(name: str, tally: Tally, points: int) -> pl.DataFrame:
    def share(count: int) -> float:
        return count / points if points else 0.0

    rows: list[tuple[str, str, str, int, float, float | None]] = []
    for k, count in enumerate(tally.bands.tolist()):
        span = f"{BANDS[k]:g}–{BANDS[k + 1]:g}"
        rows.append((name, "band", span, count, share(count), _median(tally.residuals[k])))
    for threshold, count in zip(ABOVE, tally.above.tolist(), strict=True):
        rows.append((name, "at_least", f"{threshold:g}", count, share(count), None))
    for code, count in sorted(tally.codes.items()):
        rows.append((name, "not_scored", code, count, share(count), None))
    return pl.DataFrame(rows, schema=SCORES, orient="row")


def _survey_counts(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.group_by((pl.col("point_id") // 2**32).cast(pl.Int64).alias("survey_no")).agg(
        pl.len().cast(pl.Int64).alias("points"),
        pl.col("score").count().cast(pl.Int64).alias("scored"),
        pl.col("flag").sum().cast(pl.Int64).alias("flagged"),
        pl.col("score").max().alias("highest_score"),
    )


def _survey_table(parts: pl.DataFrame, survey_names: Mapping[int, str]) -> pl.DataFrame:
    total = parts.group_by("survey_no").agg(
        pl.col("points", "scored", "flagged").sum(), pl.col("highest_score").max()
    )
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
