"""All figures of the repeated experiments beside the sources': a table, and a page to read.

In: rows of every method, case and seed. Out: a row a figure with its median and interval over seeds, and
whether it reaches the source's; the same as Markdown and as HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from bedsieve.benchmarks.rows import Row, read_rows

KEY = ("method", "case", "variant", "metric")
INTERVAL = (0.025, 0.975)
HEAD = ("variant", "metric", "source", "ours", "95 % over seeds", "seeds", "reached")
LEAD = (
    "Experiments of the methods' publications, repeated: the source's figure (± one standard deviation where it gives one), "
    "our median over seeds and the interval that holds 95 % of the seeds. A figure is reached where our median is within one "
    "standard deviation of the source's or above it; without a standard deviation, where our interval reaches up to it. Rows "
    "without a source's figure are our own: baselines, ablations and other budgets."
)


def benchmark_table(paths: Iterable[str | Path]) -> pl.DataFrame:
    """Summarise rows over seeds.

    Parameters
    ----------
    paths : iterable of path-like
        Files of `rows.write_rows`.

    Returns
    -------
    DataFrame
        method, case, variant, metric, source, source_sd, median, low, high (of the seeds' values), seeds, reached
        (null without a source's figure); in the order in which the figures first appear.

    Raises
    ------
    InputError
        If a file does not hold rows.
    """
    rows = [row._asdict() for path in paths for row in read_rows(path)]
    kinds: dict[str, Any] = dict.fromkeys(KEY, pl.String)
    kinds |= {"seed": pl.Int64, "value": pl.Float64, "source": pl.Float64, "source_sd": pl.Float64}
    assert tuple(kinds) == Row._fields
    value = pl.col("value")
    table = (
        pl.DataFrame(rows, schema=kinds)
        .group_by(KEY, maintain_order=True)
        .agg(
            pl.col("source").first(),
            pl.col("source_sd").first(),
            value.median().alias("median"),
            value.quantile(INTERVAL[0], "linear").alias("low"),
            value.quantile(INTERVAL[1], "linear").alias("high"),
            pl.col("seed").n_unique().cast(pl.Int64).alias("seeds"),
        )
    )
    within = pl.col("median") >= pl.col("source") - pl.col("source_sd")
    touches = pl.col("high") >= pl.col("source")
    return table.with_columns(pl.coalesce(within, touches).alias("reached"))


def markdown(table: pl.DataFrame, title: str = "Published experiments") -> str:
    """The table as a Markdown page, a section a method and case."""
    parts = [f"# {title}\n", f"{LEAD}\n"]
    for method, case, rows in _sections(table):
        parts.append(f"## {method}: {case}\n")
        lines = [HEAD, ["---"] * len(HEAD), *rows]
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n")
    return "\n".join(parts)


def html(table: pl.DataFrame, title: str = "Published experiments") -> str:
    """The table as a page of its own."""
    from bedsieve.products.summary_html import page

    parts = [f"<h1>{escape(title)}</h1>", f'<p class="lead">{escape(LEAD)}</p>']
    for method, case, rows in _sections(table):
        parts.append(f"<h2>{escape(method)}: {escape(case)}</h2>")
        head = "".join(f"<th>{escape(name)}</th>" for name in HEAD)
        body = "\n".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
        )
        parts.append(
            f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )
    return page(title, "\n".join(parts))


def _sections(table: pl.DataFrame) -> Iterable[tuple[str, str, Sequence[Sequence[str]]]]:
    for (method, case), part in table.group_by(["method", "case"], maintain_order=True):
        yield str(method), str(case), [_cells(row) for row in part.iter_rows(named=True)]


def _cells(row: dict[str, Any]) -> list[str]:
    source = _number(row["source"])
    if row["source_sd"] is not None:
        source += f" ± {_number(row['source_sd'])}"
    reached = {True: "yes", False: "no", None: "–"}[row["reached"]]
    span = f"{_number(row['low'])} to {_number(row['high'])}"
    return [
        *(row["variant"], row["metric"], source, _number(row["median"]), span),
        *(str(row["seeds"]), reached),
    ]


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3f}"
