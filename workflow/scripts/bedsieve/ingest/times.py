"""Dates and times of day in the less usual ways that survey files write them.

The compiled reader takes ISO dates, packed dates, clock times and seconds of the day by itself;
the rest comes here, text by text. What does not parse is left out, never guessed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np

from bedsieve.ingest.cell_kernels import LONGEST_DAY

_DATES = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y")
_CLOCK = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.\d*)?)?Z?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1 << 14)
def days_of(text: str) -> float:
    """Days since 1970-01-01 of a date; NaN where it does not parse or is not of 1900 to 2099.

    Parameters
    ----------
    text : str
        ``2007-01-12``, ``20070112`` (also ``20070112.0``), ``2007/01/12``, day first as
        ``12/01/2007``, ``12-01-2007`` or ``12.01.2007``. What follows a ``T`` or a blank is
        ignored.
    """
    head = re.split(r"[T ]", text.strip(), maxsplit=1)[0].removesuffix(".0")
    for form in _DATES:
        try:
            day = datetime.strptime(head, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        # strptime takes single digits: %Y%m%d makes a date of 2007112 too.
        if 1900 <= day.year <= 2099 and not (form == "%Y%m%d" and len(head) != 8):
            return float((day - _EPOCH).days)
    return float("nan")


@lru_cache(maxsize=1 << 17)
def seconds_of(text: str) -> float:
    """Whole seconds of the day of a time; NaN where it does not parse.

    Parameters
    ----------
    text : str
        ``10:23:45``, ``10:23:45.6``, ``9:05``, with or without ``Z``, or seconds of the day; up to
        two days, as flights past midnight count on.
    """
    text = text.strip()
    match = _CLOCK.fullmatch(text)
    if match:
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        if minutes >= 60 or seconds >= 60:
            return float("nan")
        value = 3600.0 * hours + 60.0 * minutes + seconds
    else:
        try:
            value = float(np.floor(float(text)))
        except ValueError:
            return float("nan")
    return value if 0 <= value < LONGEST_DAY else float("nan")
