"""The accounting of the pseudo-labels, as study B gives it: pairs by cause, labels, conflicts.

In: verdicts and labels of tiles. Out: counts that add up over tiles, since each pair and each core
point belongs to one tile, and one table of them all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from bedsieve.labels.verdict import VERDICTS

_LABELLED = VERDICTS[:3]


class Labels(NamedTuple):
    """Labels of a tile's points and verdicts on its pairs, with the columns that `write_labels` names."""

    labels: pl.DataFrame
    pairs: pl.DataFrame


def account(result: Labels) -> dict[str, Any]:
    """Study B's accounting of a tile: pairs by verdict, and the labels that they leave."""
    counts = dict(result.pairs["verdict"].cast(pl.String).value_counts().iter_rows())
    verdicts = {name: int(counts.get(name, 0)) for name in VERDICTS}
    label = result.labels["label"]
    return {
        "pairs": result.pairs.height,
        "verdicts": verdicts,
        "inliers": int((label == 0).sum()),
        "outliers": int((label == 1).sum()),
        "conflicts": int(result.labels["conflict"].sum()),
    }


def accounting_table(paths: Sequence[str | Path]) -> pl.DataFrame:
    """Study B's table over all tiles: from pairs by cause to unique labels and conflicts.

    Parameters
    ----------
    paths : sequence of path
        The accountings of tiles, as `write_labels` leaves them.

    Returns
    -------
    DataFrame
        stage (``pairs``, ``discarded``, ``labelled``, ``points``), what, n: first all pairs, then
        each cause, then double inliers and inlier/outlier pairs, then unique labels and conflicts.
    """
    tiles = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    total = {name: sum(tile["verdicts"][name] for tile in tiles) for name in VERDICTS}
    causes = [("discarded", name, n) for name, n in total.items() if name not in _LABELLED]
    mixed = total["inlier_outlier"] + total["outlier_inlier"]
    rows = [
        ("pairs", "all", sum(tile["pairs"] for tile in tiles)),
        ("discarded", "all", sum(n for _, _, n in causes)),
        *causes,
        ("labelled", "inlier_inlier", total["inlier_inlier"]),
        ("labelled", "inlier_and_outlier", mixed),
        *(
            ("points", what, sum(tile[what] for tile in tiles))
            for what in ("inliers", "outliers", "conflicts")
        ),
    ]
    return pl.DataFrame(
        rows, schema={"stage": pl.String, "what": pl.String, "n": pl.Int64}, orient="row"
    )
