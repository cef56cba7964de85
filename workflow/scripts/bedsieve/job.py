"""What every workflow script starts with: threads fixed before imports, output into the log, errors as one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedsieve.errors import BedsieveError

_THREAD_VARIABLES = (
    "POLARS_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)


@contextmanager
def job(log: str, threads: int) -> Iterator[None]:
    """Run a script's body as a job.

    Sets the thread counts of polars, numba and BLAS (so heavy packages must be imported inside the
    body), sends standard output and error to `log`, and turns a `BedsieveError` into one line on the
    real standard error and exit status 1.
    """
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(threads)
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    terminal = sys.stderr
    with open(log, "w", buffering=1, encoding="utf-8") as stream:
        sys.stdout = sys.stderr = stream
        try:
            yield
        except BedsieveError as error:
            message = f"bedsieve: {error}"
            print(message, file=stream)
            print(message, file=terminal, flush=True)
            raise SystemExit(1) from None
        finally:
            sys.stdout, sys.stderr = sys.__stdout__, terminal
