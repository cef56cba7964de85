"""A copy of the project in a temporary folder, and ways to plan and run it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.workflow import forks

ROOT = Path(__file__).resolve().parents[2]
_PLANS = {"--dry-run", "-n", "--list-target-rules"}
_PARTS = ("Snakefile", "rules", "envs", "config", "profiles", "report", "workflow", "tests/real")


class Project:
    """The project's files in a folder of their own, with one overlay configuration."""

    def __init__(self, folder: Path, overlay: str = "config/demo.yaml") -> None:
        self.folder, self.overlay = folder, overlay
        folder.mkdir(parents=True, exist_ok=True)
        for part in _PARTS:
            source = ROOT / part
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / part, ignore=ignore, dirs_exist_ok=True)
            else:
                shutil.copy2(source, folder / part)

    @classmethod
    def at(cls, folder: Path, overlay: str = "config/demo.yaml") -> Project:
        """The project whose files are in `folder` already."""
        made = cls.__new__(cls)
        made.folder, made.overlay = folder, overlay
        return made

    def configure(self, **sections: object) -> None:
        """Change sections of the overlay."""
        path = self.folder / self.overlay
        document = yaml.safe_load(path.read_text()) if path.exists() else {}
        for name, value in sections.items():
            if value and isinstance(value, dict) and isinstance(document.get(name), dict):
                document[name] = document[name] | value
            else:
                document[name] = value
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", *self.options(*arguments)]

    def options(self, *arguments: str) -> list[str]:
        return ["--configfile", self.overlay, "--cores", "2", *arguments]

    def snakemake(self, *arguments: str, timeout: int = 3600) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in the folder; standard error joins standard output."""
        if _PLANS & set(arguments):
            return forks.snakemake(self.options(*arguments), self.folder, environment(), timeout)
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            env=environment(),
        )

    def run(self, *arguments: str) -> str:
        """Run Snakemake, which must succeed; its output."""
        done = self.snakemake(*arguments)
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def plan(self, *arguments: str) -> Counter[str]:
        """Jobs of a dry run, by rule; empty if there is nothing to be done."""
        return job_counts(self.run("--dry-run", *arguments))

    def path(self, name: str) -> Path:
        return self.folder / name

    def register(self, *arguments: str) -> None:
        """Scan all surveys and write their coverage."""
        self.run("register", *arguments)

    def copy(self, folder: Path) -> Project:
        """A copy with dates and Snakemake's memory, to change at will."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project.at(folder, self.overlay)


def environment() -> dict[str, str]:
    """This environment, without settings of Snakemake's; scripts find the checkout's package, whose kernels are compiled."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}
    package = str(ROOT / "workflow" / "scripts")
    return keep | {"COLUMNS": "200", "NO_COLOR": "1", "PYTHONPATH": package}


def job_counts(output: str) -> Counter[str]:
    """The table «Job stats» of Snakemake's output."""
    found = re.search(r"^Job stats:\njob +count\n[- ]+\n(.*?)^total", output, re.M | re.S)
    if found is None:
        assert "Nothing to be done" in output, output[-4000:]
        return Counter()
    rows = (line.rsplit(maxsplit=1) for line in found[1].splitlines())
    return Counter({rule.strip(): int(count) for rule, count in rows})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project with the demo's configuration; nothing has been run."""
    return Project(tmp_path)


@pytest.fixture
def tiny(tmp_path: Path) -> Project:
    """The project with a demo of some thousand points, registered."""
    return make_tiny(tmp_path)


def make_tiny(folder: Path, tile_size: int = 50_000) -> Project:
    """A small demo in a folder of its own, registered but not run."""
    made = Project(folder)
    made.configure(
        region={"tile_size": tile_size},
        simulate={"seed": 3, "size": "tiny"},
        paths={"coverage": "config/tiny.tsv"},
    )
    made.register()
    return made


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small demo that has been run; tests must leave its results as they are, or work on a copy.

    The processes of a parallel test run share one: the first makes it, the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = shared / "finished", shared / "finished.done"
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make_tiny(folder).run()
            done.touch()
    return Project.at(folder)


@pytest.fixture
def copied(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished demo, with dates and Snakemake's memory, to change at will."""
    return finished.copy(tmp_path / "copy")


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of the results that does not record times."""
    from bedsieve.files import sha256_of

    skip = ("logs", "benchmarks")
    return {
        str(path.relative_to(folder)): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not set(skip) & set(path.relative_to(folder).parts)
    }
