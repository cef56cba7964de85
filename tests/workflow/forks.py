"""Snakemake's plans in forks of one process that has imported it: the import is half of a small plan's time."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pytest", "snakemake.cli"])


def snakemake(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a folder, in a process of its own; standard error joins standard output."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
        process = _CONTEXT.Process(
            target=_main, args=(list(arguments), folder, dict(environment), output.name)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), timeout, output.read())
        return subprocess.CompletedProcess(list(arguments), process.exitcode, output.read())


def _main(arguments: list[str], folder: Path, environment: dict[str, str], output: str) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with open(output, "a") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    from snakemake.cli import main

    sys.argv = ["snakemake", *arguments]
    main(arguments)
