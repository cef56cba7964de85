"""The methods whose published experiments are repeated, and where their data come from.

In: a method's name. Out: its cases, the files that a case reads and the function that runs it. A method
is a module of this package with

- ``CASES``, a tuple of str: the experiments, names of letters, digits, ``_`` and ``-``;
- ``run(case, seed, data)``: one experiment with one seed, the data's folder a Path; gives a list of `Row`;
- ``FILES``, a mapping, where a case reads files: their names in the data's folder, by case;
- ``MOST_SEEDS``, a mapping, where fewer seeds than the method's do for a case: their number, by case.

Such a module imports what is heavy inside its functions: the plan asks it for its cases.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from bedsieve.benchmarks.gnsm_files import FETCHED
from bedsieve.benchmarks.rows import Row
from bedsieve.errors import ConfigError

METHODS: tuple[str, ...] = ("pegasus", "gnsm", "local_entropy", "sparker")
"""Every method there is; the one list of them."""

Run = Callable[[str, int, Path], list[Row]]


class Source(NamedTuple):
    """Public address of a data file, and what it must be; blank where not known."""

    url: str = ""
    sha256: str = ""
    note: str = ""


SOURCES: dict[str, Source] = {
    "mnist.npz": Source(
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
        "Keras, keras.datasets.mnist",
    ),
} | {
    file.name: Source(file.url, note="the UCI machine learning repository")
    for part in FETCHED.values()
    for file in part
}
"""Files that can be fetched, by name. A file that already lies in the data's folder is taken as it is."""


def source_of(name: str) -> Source:
    """Where to fetch a file; an empty address where none is known."""
    return SOURCES.get(name, Source(note="the data page of the method's publication"))


def cases(method: str) -> tuple[str, ...]:
    """The experiments of a method.

    Raises
    ------
    ConfigError
        If there is no such method.
    """
    found: tuple[str, ...] = _module(method).CASES
    return found


def files(method: str, case: str) -> tuple[str, ...]:
    """Names of the files in the data's folder that a case reads.

    Raises
    ------
    ConfigError
        If there is no such method.
    """
    by_case: dict[str, tuple[str, ...]] = getattr(_module(method), "FILES", {})
    return by_case.get(case, ())


def seeds(method: str, case: str, wanted: int) -> range:
    """The seeds that a case is run with, where the method's experiments are run with `wanted`.

    Raises
    ------
    ConfigError
        If there is no such method.
    """
    most: dict[str, int] = getattr(_module(method), "MOST_SEEDS", {})
    return range(min(wanted, most.get(case, wanted)))


def runner(method: str) -> Run:
    """The function that runs one case of a method with one seed.

    Raises
    ------
    ConfigError
        If there is no such method.
    """
    run: Run = _module(method).run
    return run


def module_file(method: str) -> str:
    """Path of the method's module below the scripts' folder, for the digest of its code."""
    return f"bedsieve/benchmarks/{method}.py"


def _module(method: str) -> ModuleType:
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise ConfigError(f"benchmarks: there is no method '{method}'. Known: {known}.")
    return import_module(f"bedsieve.benchmarks.{method}")
