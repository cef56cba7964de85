"""A cluster, a small region as one machine makes it, and copies of it to run on the cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.slurm.cluster import ACCOUNT, Cluster, environment_of, output, processes, wait
from tests.workflow.conftest import ROOT, Project, environment
from tests.workflow.small_region import BASE, make_region

PATIENCE = 3000  # seconds; a busy machine makes a run of minutes take long
STALLED = 200  # seconds with an empty queue; the plugin looks every three minutes at the latest
_ROWS = pytest.StashKey[list[tuple[str, ...]]]()
_HEAD = ("fault", "submissions, by final state", "computed twice", "same files")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash[_ROWS]
    if rows:
        terminalreporter.section("what happened on SLURM")
        for row in (_HEAD, ("---",) * len(_HEAD), *rows):
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
    seconds: int


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
        self.grouped, self.at_a_time = True, 3
        self.known = set(output("sacct", "-nX", "-o", "JobIDRaw").split())

    @property
    def results(self) -> Path:
        """Folder of the results."""
        overlay = yaml.safe_load(self.project.path(self.project.overlay).read_text())
        return self.project.path(overlay["paths"]["results"])

    def benchmarks(self) -> dict[str, list[float]]:
        """Seconds of the jobs of each rule, as Snakemake measured them."""
        found: dict[str, list[float]] = {}
        for path in (self.results / "benchmarks").rglob("*.tsv"):
            rule = path.relative_to(self.results / "benchmarks").parts[0].removesuffix(".tsv")
            found.setdefault(rule, []).append(float(path.read_text().splitlines()[-1].split()[0]))
        return found

    @property
    def groups(self) -> dict[str, str]:
        """The profile's groups, by rule."""
        found: dict[str, str] = yaml.safe_load(self.profile.read_text()).get("groups", {})
        return found

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the profile as a user would."""
        document = yaml.safe_load(self.profile.read_text())
        change(document)
        self.profile.write_text(yaml.safe_dump(document, sort_keys=False))

    def ungroup(self) -> None:
        """Give each job a submission of its own; SLURM starts the next without waiting for a look at the last."""
        self.edit(lambda profile: [profile.pop(key) for key in ("groups", "group-components")])
        self.grouped, self.at_a_time = False, 30

    def resources(self, rule: str, **values: object) -> None:
        """Set resources of a rule."""
        self.edit(lambda profile: profile["set-resources"].setdefault(rule, {}).update(values))

    def command(self, *arguments: str) -> list[str]:
        # What a site would not change but one machine needs: few jobs at a time, quick looks.
        return [
            *(sys.executable, "-m", "snakemake", "--configfile", self.project.overlay),
            *("--workflow-profile", "profiles/slurm", "--cores", "4"),
            *("--jobs", str(self.at_a_time)),
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
        """Wait for a run, which must end well and not outlive SLURM's last job by much; its output."""
        began = busy = time.monotonic()
        submitted = False
        while True:
            try:
                said, _ = process.communicate(timeout=5)
                break
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                queued = in_queue()
                submitted = submitted or queued
                busy = now if queued or not submitted else busy
                if now - busy > STALLED or now - began > PATIENCE:
                    process.kill()
                    said, _ = process.communicate()
                    pytest.fail(f"Snakemake waits for what SLURM does not have:\n{said[-6000:]}")
        assert process.returncode == 0, said[-6000:]
        return said

    def run(self) -> str:
        """Run, which must end well; its output."""
        return self.finish(self.start())

    def rows(self) -> list[Row]:
        """Submissions since this object was made, once the accounting knows that they ended."""

        def read() -> list[Row]:
            fields = "JobIDRaw,State,Partition,AllocTRES,Comment,ElapsedRaw"
            lines = output("sacct", "-nXP", "--delimiter=\t", "-o", fields).splitlines()
            cells = [line.split("\t") for line in lines]
            rows = [Row(*words, int(seconds)) for *words, seconds in cells]
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
        """Wait for the first jobs to run; job and node of one of them.

        All that SLURM calls running have a process of theirs then: one that is being started outlives its node's death.
        """

        def underway() -> list[tuple[str, str]]:
            jobs = self.running()
            inside = {environment_of(pid).get("SLURM_JOB_ID") for pid in processes()}
            return jobs if inside >= {job for job, _ in jobs} else []

        wait(underway, "a job to run", PATIENCE)
        return self.running()[0]


def in_queue() -> bool:
    """Whether SLURM has jobs that have not ended, or cannot be asked now."""
    try:
        return bool(output("squeue", "-h", "-o", "%A").split())
    except RuntimeError:
        return True


NOT_UP = 77  # exit status; .ci/run knows it


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The daemons, up. Where they do not come up, that is told apart from a test that fails."""
    made = Cluster(Path(os.environ["BEDSIEVE_SLURM"]))
    try:
        try:
            made.start()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            pytest.exit(f"SLURM did not come up on this machine: {error}", NOT_UP)
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three small surveys with a graph network, run on this machine without SLURM; not to be changed."""
    return on_this_machine(region_with_network(tmp_path_factory.mktemp("local"), BASE))


def region_with_network(folder: Path, surveys: tuple[str, ...]) -> Project:
    """Small surveys and a graph network; nothing has been run."""
    made = Project(folder, "region.yaml")
    make_region(made, surveys)
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    made.configure(
        ensemble={"members": ["along_track", "pca", "segments", "gnn"]},
        detectors={"gnn": demo["detectors"]["gnn"]},
    )
    return made


def demo_on_this_machine(folder: Path) -> Project:
    """The demo, run without SLURM; what `make demo` has made in the checkout is not made again."""
    made = Project(folder)
    for name in ("results/demo", "resources/demo", ".snakemake/metadata"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, made.path(name))
    return on_this_machine(made)


def on_this_machine(made: Project) -> Project:
    """Run a project without SLURM."""
    done = made.snakemake(timeout=PATIENCE)
    assert done.returncode == 0, done.stdout[-4000:]
    return made


@pytest.fixture
def here(cluster: Cluster, local: Project, tmp_path: Path) -> OnSlurm:
    """A copy of the finished region, to be run through the profile."""
    return OnSlurm(local.copy(tmp_path / "here"))


@pytest.fixture
def half_done(here: OnSlurm) -> OnSlurm:
    """The region with some products gone: four jobs of one submission each, and the page that shows them."""
    products = here.results / "products"
    for name in ("flagged.parquet", "summary.tsv", "maps/score.png", "profiles.png"):
        (products / name).unlink()
    return here


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Put a row into the table that is printed at the end, once a test has found the same files, made once."""

    def add(fault: str, on: OnSlurm) -> None:
        states = [row.state.split()[0] for row in on.rows()]
        counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
        request.config.stash[_ROWS].append((fault, counts, "nothing", "yes"))

    return add
