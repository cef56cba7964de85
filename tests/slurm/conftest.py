"""A cluster, the small demo as one machine makes it, and copies of it to run on the cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.slurm.cluster import ACCOUNT, Cluster, output, wait
from tests.workflow.conftest import Project, environment, make_tiny

_PATIENCE = 1200  # seconds; a busy machine makes a run of minutes take long
_ROWS = pytest.StashKey[list[tuple[str, str, str]]]()
GPU_STAND_IN = "pca"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash[_ROWS]
    if rows:
        terminalreporter.section("what happened on SLURM")
        for row in (("fault", "jobs as SLURM counts them", "afterwards"), ("---",) * 3, *rows):
            terminalreporter.write_line(f"| {' | '.join(row)} |")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("BEDSIEVE_SLURM"):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="a SLURM of its own: `make test-slurm`"))


@dataclass(frozen=True)
class Row:
    """What the accounting says of one submission."""

    job: str
    state: str
    partition: str
    resources: str
    comment: str


class OnSlurm:
    """A project whose profile names the test cluster's account, run through that profile.

    Parameters
    ----------
    project : Project
        A copy that may be changed.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.profile = project.path("profiles/slurm/config.yaml")
        text = self.profile.read_text()
        assert "my_account" in text
        self.profile.write_text(text.replace("my_account", ACCOUNT))
        # The GPUs are pretended: PyTorch finds none.
        self.edit(lambda profile: profile.pop("config"))
        self.known = set(output("sacct", "-nX", "-o", "JobIDRaw").split())

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the profile as a user would."""
        document = yaml.safe_load(self.profile.read_text())
        change(document)
        self.profile.write_text(yaml.safe_dump(document, sort_keys=False))

    def resources(self, rule: str, **values: object) -> None:
        """Set resources of a rule."""
        self.edit(lambda profile: profile["set-resources"].setdefault(rule, {}).update(values))

    def command(self, *arguments: str) -> list[str]:
        # What a site would not change but one machine needs: few jobs at a time, quick looks.
        return [
            *(sys.executable, "-m", "snakemake", "--configfile", self.project.overlay),
            *("--workflow-profile", "profiles/slurm", "--jobs", "3", "--cores", "4"),
            *("--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10"),
            *arguments,
        ]

    def start(self) -> subprocess.Popen[str]:
        """Start a run that a test then disturbs."""
        return subprocess.Popen(
            self.command(),
            cwd=self.project.folder,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
        )

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Wait for a run, which must end well; its output."""
        try:
            said, _ = process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.returncode == 0, said[-6000:]
        return said

    def run(self) -> str:
        """Run, which must end well; its output."""
        return self.finish(self.start())

    def rows(self) -> list[Row]:
        """Submissions since this object was made, once the accounting knows that they ended."""

        def read() -> list[Row]:
            fields = "JobIDRaw,State,Partition,AllocTRES,Comment"
            lines = output("sacct", "-nXP", "--delimiter=\t", "-o", fields).splitlines()
            rows = [Row(*line.split("\t")) for line in lines]
            return [row for row in rows if row.job not in self.known]

        wait(
            lambda: read() and not {"RUNNING", "PENDING"} & {r.state for r in read()}, "sacct", 120
        )
        return read()

    def running(self) -> list[tuple[str, str]]:
        """Job and node of what runs now."""
        lines = output("squeue", "-h", "-t", "R", "-o", "%A %N").splitlines()
        return [(line.split()[0], line.split()[1]) for line in lines]

    def wait_until_running(self) -> tuple[str, str]:
        """Wait for the first job to run; job and node."""
        wait(self.running, "a job to run", _PATIENCE)
        return self.running()[0]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The daemons, up."""
    made = Cluster(Path(tempfile.mkdtemp(prefix="slurm-")))
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.base, ignore_errors=True)


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small demo, run on this machine without SLURM; not to be changed."""
    return on_this_machine(make_tiny(tmp_path_factory.mktemp("local")))


def on_this_machine(made: Project) -> Project:
    """Run a project without SLURM."""
    done = made.snakemake(timeout=_PATIENCE)
    assert done.returncode == 0, done.stdout[-4000:]
    return made


@pytest.fixture
def here(cluster: Cluster, local: Project, tmp_path: Path) -> OnSlurm:
    """A copy of the finished demo, to be run through the profile."""
    return OnSlurm(local.copy(tmp_path / "demo"))


@pytest.fixture
def half_done(here: OnSlurm) -> OnSlurm:
    """The demo with some products gone: four jobs of one submission each, and the page that shows them."""
    products = here.project.path("results/demo/products")
    for name in ("flagged.parquet", "summary.tsv", "maps/score.png", "profiles.png"):
        (products / name).unlink()
    return here


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str, OnSlurm, str], None]:
    """Put a row into the table that is printed at the end."""

    def add(fault: str, on: OnSlurm, afterwards: str) -> None:
        states = [row.state.split()[0] for row in on.rows()]
        counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
        request.config.stash[_ROWS].append((fault, counts, afterwards))

    return add
