"""A table of categories and numbers as codes: what the network of categorical score matching reads.

In: a table, and which of its columns are categories and which are numbers. Out: for each row the place of
each category among the known ones, and each number standardised. Both are learnt from a table once and
frozen. A missing category is a category of its own. A missing number counts as the mean and takes no part
in loss and score; where numbers may be missing, that they are is a category of its own, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from bedsieve.errors import BedsieveError

MISSING = ""
"""The category of a value that is missing."""


class Coded(NamedTuple):
    """Rows of a table as codes.

    `category` is int64 (n, categories); `number` and `present` are float32 (n, numbers), `present` 1 where
    the number is known and 0 where it is missing; `known` is bool (n,), False for a row with a category
    that was never seen (its code is 0) or with a missing number where none may be missing.
    """

    category: npt.NDArray[np.int64]
    number: npt.NDArray[np.float32]
    present: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]

    def rows(self, index: npt.NDArray[np.int64] | slice) -> Coded:
        """Some of the rows."""
        return Coded(
            self.category[index], self.number[index], self.present[index], self.known[index]
        )


@dataclass(frozen=True)
class Coding:
    """How a table becomes codes.

    Parameters
    ----------
    categories : dict of str to tuple of str
        Known categories of each categorical column, in the order of their codes.
    numbers : dict of str to tuple of float
        Mean and standard deviation of each numeric column.
    gaps : tuple of str
        Numeric columns of which values may be missing.
    """

    categories: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, tuple[float, float]]
    gaps: tuple[str, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Categories of each block of the network: those of each column, and 2 for each of `gaps`."""
        return (*(len(known) for known in self.categories.values()), *(2 for _ in self.gaps))

    def encode(self, table: pl.DataFrame) -> Coded:
        """Codes of a table's rows; it needs the columns by name, in any order."""
        rows = table.height
        known = np.ones(rows, np.bool_)
        category = np.zeros((rows, len(self.sizes)), np.int64)
        for place, (name, values) in enumerate(self.categories.items()):
            code = _text(table, name).replace_strict(
                list(values), list(range(len(values))), default=-1, return_dtype=pl.Int64
            )
            category[:, place] = code.to_numpy()
        known &= (category >= 0).all(1)
        number = np.zeros((rows, len(self.numbers)), np.float32)
        present = np.ones_like(number)
        for place, (name, (mean, spread)) in enumerate(self.numbers.items()):
            values_ = _number(table, name)
            given = np.isfinite(values_)
            number[:, place] = np.where(given, (values_ - mean) / spread, 0.0)
            present[:, place] = given
            if name in self.gaps:
                category[:, len(self.categories) + self.gaps.index(name)] = given
            else:
                known &= given
        return Coded(np.maximum(category, 0), number, present, known)

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON values; the order of columns is kept in lists."""
        return {
            "categories": [[name, list(known)] for name, known in self.categories.items()],
            "numbers": [[name, list(scale)] for name, scale in self.numbers.items()],
            "gaps": list(self.gaps),
        }

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> Coding:
        """From what `to_mapping` gave."""
        return cls(
            {name: tuple(known) for name, known in document["categories"]},
            {name: (scale[0], scale[1]) for name, scale in document["numbers"]},
            tuple(document["gaps"]),
        )


def learn_coding(
    table: pl.DataFrame,
    categories: Sequence[str],
    numbers: Sequence[str] = (),
    learnt_from: pl.DataFrame | None = None,
) -> Coding:
    """Learn which categories there are and how numbers are spread.

    Parameters
    ----------
    table : DataFrame
        Which categories there are is taken from here.
    categories, numbers : sequence of str
        Its columns to use. One that holds one value only says nothing and is left out, which is said.
    learnt_from : DataFrame, optional
        Rows that mean and spread of the numbers are taken from; all of `table` by default.

    Raises
    ------
    BedsieveError
        If no column is left.
    """
    known = {name: tuple(sorted(_text(table, name).unique().to_list())) for name in categories}
    scales: dict[str, tuple[float, float]] = {}
    gaps: list[str] = []
    for name in numbers:
        values = _number(table if learnt_from is None else learnt_from, name)
        given = values[np.isfinite(values)]
        if given.size and given.min() < given.max():
            scales[name] = (float(given.mean()), float(given.std()))
            if not np.isfinite(_number(table, name)).all():
                gaps.append(name)
    used = {name: values for name, values in known.items() if len(values) > 1}
    idle = [name for name in (*categories, *numbers) if name not in used and name not in scales]
    if idle:
        print(f"gnsm: {', '.join(idle)} never changes; left out.", flush=True)
    if not used and not scales:
        raise BedsieveError("gnsm: no column of the table varies, so there is nothing to learn.")
    return Coding(used, scales, tuple(gaps))


def _text(table: pl.DataFrame, name: str) -> pl.Series:
    return table[name].cast(pl.String).fill_null(MISSING)


def _number(table: pl.DataFrame, name: str) -> npt.NDArray[np.float64]:
    return table[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
