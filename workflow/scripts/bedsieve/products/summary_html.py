"""The summary's tables as HTML fragments, for the report and the index page."""

from __future__ import annotations

from html import escape

from bedsieve.products.bins import ENSEMBLE, RESIDUAL_OF
from bedsieve.products.summary import Summary

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p.lead, figcaption, caption, p.note { color: #52606d; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; padding: .3rem 0 .6rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e4e7eb; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #9aa5b1; } tr.group th { text-align: left; color: #52606d;
  padding-top: .9rem; font-weight: 600; }
th.series { text-align: center; border-left: 1px solid #cbd2d9; }
td.first, th.first { border-left: 1px solid #cbd2d9; }
figure { margin: 1.5rem 0; } img { max-width: 100%; border: 1px solid #e4e7eb; }
"""
"""Style sheet of the report's own pages."""

_GROUPS = {
    "band": "Points by score",
    "at_least": "Points that score at least",
    "not_scored": "Points without a score",
}


def page(title: str, body: str) -> str:
    """A whole HTML document that needs no other file."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def scores_html(summary: Summary) -> str:
    """Count, share and median residual by score band, a group of columns a detector."""
    detectors = summary.scores["detector"].unique(maintain_order=True).to_list()
    if detectors == [RESIDUAL_OF, ENSEMBLE]:
        # With a single member the ensemble is that member.
        detectors = [ENSEMBLE]
    cells = {
        (row["detector"], row["kind"], row["range"]): row
        for row in summary.scores.iter_rows(named=True)
    }
    over = "".join(f'<th class="series" colspan="3">{escape(name)}</th>' for name in detectors)
    under = '<th class="first">points</th><th>share</th><th>median residual</th>' * len(detectors)
    lines = [f"<tr><th></th>{over}</tr>", f"<tr><th>score</th>{under}</tr></thead><tbody>"]
    for kind, heading in _GROUPS.items():
        ranges = summary.scores.filter(kind=kind)["range"].unique(maintain_order=True).to_list()
        if not ranges:
            continue
        lines.append(
            f'<tr class="group"><th colspan="{1 + 3 * len(detectors)}">{heading}</th></tr>'
        )
        for span in ranges:
            row = "".join(_three(cells.get((name, kind, span))) for name in detectors)
            lines.append(f"<tr><td>{escape(span.replace('_', ' '))}</td>{row}</tr>")
    caption = (
        f"{summary.points:,} points. Residual: distance of a thickness from the median of its "
        "neighbours along the track."
    )
    return (
        f'<div class="wide"><table><caption>{caption}</caption><thead>'
        + "\n".join(lines)
        + "</tbody></table></div>"
    )


def surveys_html(summary: Summary) -> str:
    """Points and flagged points by survey."""
    names = ("survey", "points", "scored", "flagged", "share flagged", "highest score")
    head = "".join(f"<th>{name}</th>" for name in names)
    lines = []
    for row in summary.surveys.sort("flagged", descending=True, maintain_order=True).iter_rows(
        named=True
    ):
        counts = "".join(f"<td>{row[name]:,}</td>" for name in ("points", "scored", "flagged"))
        highest = "–" if row["highest_score"] is None else f"{row['highest_score']:.2f}"
        lines.append(
            f"<tr><td>{escape(row['survey'])}</td>{counts}<td>{_share(row['share_flagged'])}</td>"
            f"<td>{highest}</td></tr>"
        )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>'
        + "\n".join(lines)
        + "</tbody></table></div>"
    )


def _three(row: dict[str, object] | None) -> str:
    if row is None:
        return '<td class="first">0</td><td>–</td><td></td>'
    residual = row["median_residual"]
    shown = f"{residual:.3g} m" if isinstance(residual, float) else ""
    if isinstance(residual, float) and residual >= 100:
        shown = f"{residual:,.0f} m"
    return f'<td class="first">{row["count"]:,}</td><td>{_share(row["share"])}</td><td>{shown}</td>'


def _share(value: object) -> str:
    if not isinstance(value, float):
        return "–"
    percent = 100 * value
    if percent == 0:
        return "0 %"
    if percent < 0.001:
        return "&lt; 0.001 %"
    return f"{percent:.1f} %" if percent >= 10 else f"{percent:.2g} %"
