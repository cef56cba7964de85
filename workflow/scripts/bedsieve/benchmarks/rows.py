"""One figure of a repeated experiment, and its file.

In: what a method's module measured for one case and one seed. Out: a JSON file of rows, which the
table over all seeds reads. A row carries the source's figure beside ours, so that the comparison is
made where the experiment is written down.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from bedsieve.errors import InputError
from bedsieve.files import write_json


class Row(NamedTuple):
    """A figure measured once.

    `source` and `source_sd` are the publication's mean and standard deviation, None where it gives
    none (our baselines, curves and ablations).
    """

    method: str
    case: str
    variant: str
    metric: str
    seed: int
    value: float
    source: float | None = None
    source_sd: float | None = None


def write_rows(path: str | Path, rows: list[Row]) -> None:
    """Write the rows of one case and one seed."""
    write_json([row._asdict() for row in rows], path)


def read_rows(path: str | Path) -> list[Row]:
    """Read such a file.

    Raises
    ------
    InputError
        If the file does not hold rows.
    """
    try:
        return [Row(**row) for row in json.loads(Path(path).read_text())]
    except (ValueError, TypeError) as error:
        raise InputError(
            path, f"not rows of a benchmark: {error}", "Delete the file and run again."
        ) from error
