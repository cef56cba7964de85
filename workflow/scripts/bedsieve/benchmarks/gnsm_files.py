"""Where the tables of categorical score matching that are not prepared are published.

Apart from the method's figures, since the list of all methods reads this: a figure that is mended must not run
the experiments of the others again.
"""

from __future__ import annotations

from typing import NamedTuple


class Fetched(NamedTuple):
    """A file to fetch: its name in the data folder, and its address."""

    name: str
    url: str


_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases"
FETCHED: dict[str, tuple[Fetched, ...]] = {
    "census": tuple(
        Fetched(f"census-income.{part}.gz", f"{_UCI}/census-income-mld/census-income.{part}.gz")
        for part in ("data", "test")
    ),
    "probe": (Fetched("kddcup99-corrected.gz", f"{_UCI}/kddcup99-mld/corrected.gz"),),
}
"""Files of the sets that are fetched. Each is plain comma-separated text, gzipped, without a header."""
