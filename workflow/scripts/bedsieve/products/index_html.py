"""The front page of a run: summary, maps, profiles and surveys on one page that needs no other file.

Goes in: the summary and the pictures. Comes out: index.html, with the pictures inside it, so that it can be
mailed or put anywhere.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bedsieve.errors import InputError
from bedsieve.files import write_text
from bedsieve.products.bins import ENSEMBLE
from bedsieve.products.summary import Summary
from bedsieve.products.summary_html import page, scores_html, surveys_html


@dataclass(frozen=True)
class Picture:
    """A picture of the page: its PNG file, a heading and a caption."""

    path: str | Path
    heading: str
    caption: str


CAPTIONS = {
    "thickness": (
        "Ice thickness and flagged points",
        "Mean thickness of the points in a pixel; flagged points are drawn on top, larger than they are.",
    ),
    "score_density": (
        "Where flagged points crowd",
        "Share of flagged points in square cells. A cell with a high share holds a bad line, a bad sector, "
        "or terrain that the detectors do not understand.",
    ),
    "score": ("Ensemble score", "Mean ensemble score of the points in a pixel."),
    "coverage": ("Coverage", "How many points there are in a pixel."),
    "profiles": (
        "Worst track sections",
        "Thickness along the track, growing downwards; the sections with the highest sum of flagged scores, "
        "one a track. Orange points are flagged.",
    ),
    "gnn_training": (
        "Training of the graph network",
        "Loss by epoch on the labels that it learns from and on those held back. Each model scores only the "
        "region that it never saw.",
    ),
    "gae_training": (
        "Training of the graph autoencoder",
        "Loss by epoch on the clean points that it rebuilds, and how many training points each terrain type gave. "
        "No label is used.",
    ),
    "counts": ("Points above 0.5, 0.7 and 0.9", "How many points score so high, by detector."),
    "logits": (
        "Scores as logits",
        "Share of the points by the logit of their score; dotted lines are 0.5, 0.7 and 0.9. Labels are the "
        "pseudo-labels from double hits.",
    ),
    "roc": (
        "Scores against pseudo-labels",
        "Recall and false-positive rate over all thresholds, in two regions. Detectors that learn from labels score "
        "a region by a model that never saw it.",
    ),
    "confusion": (
        "Confusion with pseudo-labels",
        "Pseudo-labels against scores of 0.5 and more, by region: counts, and shares of each label.",
    ),
    "rates": (
        "Where points are flagged",
        "Share of flagged points, and of outlier labels among the labelled points, in bins of each variable that "
        "hold as many points each; numbers are the lower ends of bins.",
    ),
    "reference": (
        "Difference from the reference grid",
        "Size of the difference between measured thickness and the grid, by score. The grid is no input of any "
        "detector, and it is itself made from such measurements.",
    ),
}
"""Heading and caption of a picture by the stem of its file name."""


def picture(path: str | Path) -> Picture:
    """A picture with the heading and caption that belong to its file name."""
    stem = Path(path).stem
    detector = stem.removeprefix("detector_")
    fallback = (f"Detector {detector}", f"Mean score of {detector} for the points in a pixel.")
    return Picture(path, *CAPTIONS.get(stem, fallback))


def write_index(
    summary: Summary,
    pictures: Sequence[str | Path],
    region: str,
    threshold: float,
    out: str | Path,
    notes: Sequence[str] = (),
) -> None:
    """Write the front page.

    Parameters
    ----------
    summary : Summary
        Tables of the run.
    pictures : sequence of path-like
        PNG files in the order to show them.
    region : str
        What the run is of.
    threshold : float
        Ensemble score from which a point is flagged.
    out : path-like
        The page to write.
    notes : sequence of str
        What a reader must know first, such as covariates or detectors left out.

    Raises
    ------
    InputError
        If a picture is missing.
    """
    flagged = int(summary.surveys["flagged"].sum())
    scored = summary.scores.filter(detector=ENSEMBLE, kind="band")["count"].sum()
    share = f"{100 * flagged / scored:.2g} %" if scored else "–"
    parts = [
        f"<h1>{escape(region)}: ice thicknesses to look at</h1>",
        f'<p class="lead">{summary.points:,} points of {summary.surveys.height} surveys, {flagged:,} '
        f"of them flagged ({share} of those scored), from an ensemble score of {threshold:g} on.</p>",
    ]
    if notes:
        items = "".join(f"<li>{escape(note)}</li>" for note in notes)
        parts.append(f'<ul class="notes">{items}</ul>')
    shown = [_figure(picture(path)) for path in pictures]
    parts += shown[:1]
    parts += ["<h2>Scores</h2>", scores_html(summary), *shown[1:]]
    parts += ["<h2>Surveys</h2>", surveys_html(summary)]
    write_text(page(f"{region}: bedsieve", "\n".join(parts)), out)


def _figure(picture: Picture) -> str:
    path = Path(picture.path)
    if not path.exists():
        raise InputError(path, "the picture is missing", "Run the workflow for it first")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    heading = escape(picture.heading)
    return (
        f'<h2>{heading}</h2>\n<figure><img alt="{heading}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )
