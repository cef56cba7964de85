"""Errors that a user can act on: each message names the file, the place, what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path


class BedsieveError(Exception):
    """Something the user can mend; printed as one line, without a traceback."""


class InputError(BedsieveError):
    """Input data that cannot be used.

    Parameters
    ----------
    path : path-like
        The file at fault.
    problem : str
        What is wrong with it.
    remedy : str
        What the user can do about it.
    line : int, optional
        1-based line of the file, where one line is at fault.
    """

    def __init__(
        self, path: str | Path, problem: str, remedy: str, line: int | None = None
    ) -> None:
        place = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {problem}. {remedy.rstrip('.')}.")
        self.path, self.problem, self.remedy, self.line = Path(path), problem, remedy, line


class ConfigError(BedsieveError):
    """A configuration or sample sheet that does not say what it must."""
