"""Raw files that stand: what the workflow does with them when something around them changes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from bedsieve.files import sha256_of
from tests.workflow.conftest import ROOT, Project
from tests.workflow.test_dry_run import two_surveys

RAW = "raw/A.csv"
FETCH = Counter({"fetch": 1})


def write_sheet(project: Project, sha256: str, note: str = "") -> None:
    """Survey A without an address: a job that has to fetch it fails at once."""
    lines = ("survey_no\tsurvey\tsha256\tnote", f"1\tA\t{sha256}\t{note}", "")
    project.path("config/demo/surveys.tsv").write_text("\n".join(lines))


@pytest.fixture
def fetched(project: Project) -> Project:
    """A project that has fetched A, in Snakemake's memory."""
    two_surveys(project)
    project.path(RAW).write_text("as published\n")
    write_sheet(project, sha256_of(project.path(RAW)))
    project.run("--forcerun", "fetch", "--", RAW)
    assert project.path(RAW).read_text() == "as published\n"
    return project


def edit(path: Path) -> None:
    path.write_text(path.read_text() + "\n# edited\n")


def test_nothing_but_its_checksum_makes_a_file_be_looked_at_again(fetched: Project) -> None:
    for name in ("envs/geo.yaml", "workflow/scripts/bedsieve/files.py"):
        edit(fetched.path(name))
    sha256 = sha256_of(fetched.path(RAW))
    write_sheet(fetched, sha256, note="now elsewhere")
    assert fetched.plan(RAW) == Counter()
    write_sheet(fetched, "0" * 64)
    assert fetched.plan(RAW) == FETCH


def test_a_corrected_file_put_there_by_hand_is_taken(fetched: Project) -> None:
    fetched.path(RAW).write_text("corrected\n")
    write_sheet(fetched, sha256_of(fetched.path(RAW)))
    assert fetched.plan(RAW) == FETCH
    fetched.run(RAW)
    assert fetched.path(RAW).read_text() == "corrected\n"
    assert fetched.plan(RAW) == Counter()


def test_a_file_outlives_a_failed_fetch_in_its_place(fetched: Project) -> None:
    write_sheet(fetched, "0" * 64)
    done = fetched.snakemake(RAW)
    assert done.returncode == 1
    assert "no address is known for this file" in done.stdout
    assert fetched.path(RAW).read_text() == "as published\n"


def test_profiles_limit_how_many_files_are_fetched_at_a_time(project: Project) -> None:
    for profile in ("default", "slurm"):
        said = yaml.safe_load((ROOT / "profiles" / profile / "config.yaml").read_text())
        assert said["resources"]["downloads"] == 4
    two_surveys(project)
    output = project.run("--forcerun", "fetch", "--", RAW)
    assert re.search(r"^Provided resources: .*\bdownloads\b.*\b4\b", output, re.M)


def test_a_file_of_the_experiments_outlives_a_forced_fetch(project: Project) -> None:
    name = "resources/benchmarks/digits.npz"
    project.path(name).parent.mkdir(parents=True)
    project.path(name).write_bytes(b"mine")
    project.run("--forcerun", "fetch_benchmark", "--", name)
    assert project.path(name).read_bytes() == b"mine"
