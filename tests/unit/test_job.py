"""The frame around every script: threads, log, one-line errors; and progress lines."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bedsieve.progress import Progress, duration

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"


def run(body: str, log: Path) -> subprocess.CompletedProcess[str]:
    program = f"from bedsieve.job import job\nwith job({str(log)!r}, 3):\n    {body}\n"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=SCRIPTS,
        capture_output=True,
        text=True,
        check=False,
    )


def test_threads_are_set_before_the_body(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    done = run(
        "import os; print(*map(os.environ.get, "
        "['POLARS_MAX_THREADS', 'NUMBA_NUM_THREADS', 'OMP_NUM_THREADS', 'OMP_WAIT_POLICY']))",
        log,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert log.read_text().splitlines()[0] == "3 3 3 PASSIVE"


def test_the_log_ends_with_time_and_peak_memory(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert run("import time; a = bytearray(1 << 29); time.sleep(1)", log).returncode == 0
    told = r"Done in (.*) s \((.*) s of processor time\); at most (.*) GiB of memory\.\n"
    words = re.fullmatch(told, log.read_text())
    assert words is not None
    assert 1.0 <= float(words[1]) < 30.0
    assert 0.0 < float(words[2]) < float(words[1])
    assert 0.5 <= float(words[3]) < 0.6


def test_a_users_error_is_one_line_in_log_and_on_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    done = run(
        "from bedsieve.errors import InputError; raise InputError('x.csv', 'is odd', 'Mend it', 7)",
        log,
    )
    assert done.returncode == 1
    assert done.stderr == "bedsieve: x.csv:7: is odd. Mend it.\n"
    assert log.read_text() == done.stderr


def test_a_fault_of_ours_keeps_its_traceback(tmp_path: Path) -> None:
    done = run("1 / 0", tmp_path / "a.log")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "ZeroDivisionError" in (tmp_path / "a.log").read_text()


DAMAGED = """
import sys
from pathlib import Path
from types import SimpleNamespace
from bedsieve.errors import InputError
from bedsieve.job import job
from bedsieve.provenance.record import write_manifests

def told(inputs, output):
    return SimpleNamespace(rule="r", log=["results/logs/r.log"], input=inputs, output=[output], params={})

for name in ("a.parquet", "b.parquet", "dropped_in.csv"):
    Path("results").mkdir(exist_ok=True)
    Path("results", name).write_text(name)
write_manifests(told([], "results/a.parquet"))
write_manifests(told([], "results/b.parquet"))
Path("results/a.parquet").write_text("cut")
Path("results/dropped_in.csv").write_text("another")
snakemake = told([f"results/{name}" for name in ("a.parquet", "b.parquet", "dropped_in.csv")], "results/c")
with job(snakemake.log[0], 1):
    raise ERROR
"""


@pytest.mark.parametrize(
    "error", ["ValueError('not parquet')", "InputError('a', 'is odd', 'Mend it')"]
)
def test_a_damaged_input_is_named_where_a_job_fails(tmp_path: Path, error: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DAMAGED.replace("ERROR", error)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    first = ["bedsieve: a: is odd. Mend it."] if "odd" in error else []
    assert done.stderr.splitlines() == [
        *first,
        "bedsieve: results/a.parquet: its bytes are not those that were written. Run `make repair` with the "
        "CONFIG of this run.",
    ]
    log = (tmp_path / "results/logs/r.log").read_text()
    assert log.endswith(done.stderr)
    assert ("not parquet" in log) is ("odd" not in error)


def test_progress_says_share_and_time_left() -> None:
    stream = io.StringIO()
    progress = Progress("Scoring", 200, every=0.0, stream=stream)
    progress.advance(50)
    line = stream.getvalue()
    assert line.startswith("Scoring: 25 % (50 of 200 points), ")
    assert line.endswith(" left\n")


def test_progress_keeps_quiet_between_lines() -> None:
    stream = io.StringIO()
    progress = Progress("Scoring", 200, every=60.0, stream=stream)
    progress.advance(50)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (42, "42 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")]
)
def test_durations_read_well(seconds: float, words: str) -> None:
    assert duration(seconds) == words
