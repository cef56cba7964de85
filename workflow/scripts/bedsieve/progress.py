"""Progress of long work: at most one line every few seconds, with the share done and an ETA."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Progress:
    """Report progress on a known amount of work.

    Parameters
    ----------
    what : str
        What is being done, as a user would say it.
    total : float
        The whole amount, in `unit`.
    unit : str
        For instance ``"points"``.
    every : float
        Seconds between two lines at least.
    stream : text stream, optional
        Where lines go; standard error by default.
    """

    def __init__(
        self,
        what: str,
        total: float,
        unit: str = "points",
        every: float = 5.0,
        stream: TextIO | None = None,
    ) -> None:
        self.what, self.total, self.unit, self.every = what, float(total), unit, every
        self.done = 0.0
        self._stream = stream
        self._start = self._last = time.monotonic()

    def advance(self, amount: float) -> None:
        """Say that `amount` more is done; prints a line when one is due."""
        self.done += amount
        now = time.monotonic()
        if now - self._last >= self.every:
            self._last = now
            print(self.line(now), file=self._stream or sys.stderr, flush=True)

    def line(self, now: float | None = None) -> str:
        """The line as it would be printed now."""
        elapsed = (time.monotonic() if now is None else now) - self._start
        share = min(self.done / self.total, 1.0) if self.total > 0 else 1.0
        left = elapsed * (1 - share) / share if share > 0 else float("nan")
        eta = "unknown" if share == 0 else duration(left)
        return (
            f"{self.what}: {100 * share:.0f} % ({self.done:,.0f} of {self.total:,.0f} {self.unit}), "
            f"{duration(elapsed)} so far, {eta} left"
        )


def duration(seconds: float) -> str:
    """Seconds as a person reads them: ``42 s``, ``3 min 05 s``, ``2 h 07 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
