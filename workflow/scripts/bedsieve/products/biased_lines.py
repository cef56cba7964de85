"""The table of biased lines as a sentence for the front page.

Goes in: biased_lines.tsv. Comes out: at most one remark, so that a biased line is read as one finding.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl


def line_notes(table: str | Path) -> list[str]:
    """What to say of the lines that are biased as a whole; nothing where there are none.

    Parameters
    ----------
    table : path-like
        biased_lines.tsv.
    """
    lines = pl.read_csv(table, separator="\t")
    if lines.height == 0:
        return []
    worst = lines.row(0, named=True)
    side = "thick" if worst["bias_m"] >= 0 else "thin"
    many = "1 line is" if lines.height == 1 else f"{lines.height} lines are"
    return [
        f"{many} biased as a whole, with {lines['n_points'].sum():,} points of which "
        f"{lines['n_flagged'].sum():,} are flagged (products/biased_lines.tsv). The surest is track "
        f"{worst['track_id']} of {worst['survey']}, {abs(worst['bias_m']):.0f} m too {side}."
    ]
