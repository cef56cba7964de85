"""What every workflow script starts with: threads fixed before imports, output into the log, errors as one line."""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bedsieve.errors import BedsieveError
from bedsieve.provenance.record import damaged_inputs, write_manifests

_THREAD_VARIABLES = (
    "POLARS_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)


def kernel_digest() -> str:
    """Digest of all modules with compiled kernels, 16 hexadecimal digits.

    numba's cache does not notice that a kernel called from another file has changed; a cache folder for each
    state of the kernels does.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        text = path.read_bytes()
        if b"numba" in text:
            digest.update(path.name.encode() + text)
    return digest.hexdigest()[:16]


def peak_memory() -> int:
    """The most memory (bytes) that this process has held so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would count what the process held before it became this program.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def job(log: str, threads: int) -> Iterator[None]:
    """Run a script's body as a job.

    Sets the thread counts of polars, numba and BLAS (so heavy packages must be imported inside the
    body), sends standard output and error to `log`, and turns a `BedsieveError` into one line on the
    real standard error and exit status 1. Any other error keeps its traceback, in the log too, unless an
    input is not what was written: then that is what is said. Files that a Snakemake script has made get
    their manifests. The log ends with the time taken, the processor time in it (all threads, imports
    included) and the peak memory.
    """
    started, used = time.monotonic(), time.process_time()
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(threads)
    # Idle threads of OpenMP would spin: training took twice the processor time beside other jobs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(".snakemake", "numba", kernel_digest())))
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    # The script's own globals: Snakemake puts its object there, and nowhere else.
    told = getattr(sys.modules["__main__"], "snakemake", None)
    terminal = sys.stderr
    with open(log, "w", buffering=1, encoding="utf-8") as stream:
        sys.stdout = sys.stderr = stream
        try:
            yield
            if told is not None:
                write_manifests(told)
            seconds, busy = time.monotonic() - started, time.process_time() - used
            print(
                f"Done in {seconds:.1f} s ({busy:.1f} s of processor time); "
                f"at most {peak_memory() / 2**30:.2f} GiB of memory.",
                file=stream,
            )
        except Exception as error:
            lines = _explain(error, told)
            if not isinstance(error, BedsieveError):
                traceback.print_exc(file=stream)
            if not lines:
                raise
            for line in lines:
                print(line, file=stream)
                print(line, file=terminal, flush=True)
            raise SystemExit(1) from None
        finally:
            sys.stdout, sys.stderr = sys.__stdout__, terminal


def _explain(error: Exception, told: Any) -> list[str]:
    """What a user can mend, in a line each; none if it is a fault of ours."""
    lines = [str(error)] if isinstance(error, BedsieveError) else []
    lines += [
        f"{name}: its bytes are not those that were written. Run `make repair` with the CONFIG of this run."
        for name in (damaged_inputs(told) if told is not None else [])
    ]
    return [f"bedsieve: {line}" for line in lines]
