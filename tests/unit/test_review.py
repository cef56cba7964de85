"""The plan's table, its hours, its submissions and its pictures, on jobs made by hand."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bedsieve.errors import InputError
from bedsieve.provenance import check
from bedsieve.review import __main__ as review
from bedsieve.review.__main__ import draw, holes, show_findings
from bedsieve.review.jobs import Planned, PlannedJob, config_of, profile_file
from bedsieve.review.submissions import (
    STEP_S,
    SUBMISSION_S,
    Profile,
    Submissions,
    count_submissions,
    read_profile,
    submissions_of,
)
from bedsieve.review.table import as_text, estimate, longest_chain, read_benchmark

ROOT = Path(__file__).resolve().parents[2]


def job(rule: str, *needs: int, **fields: object) -> PlannedJob:
    made = PlannedJob(
        rule=rule,
        inputs=(),
        outputs=(),
        benchmark=None,
        code=None,
        params={},
        points=1000,
        mem_mb=600,
        threads=2,
        gpus=0,
        work_s=360.0,
        limit_s=600.0,
        runs=True,
        needs=needs,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def planned(*jobs: PlannedJob, provisional: int = 0) -> Planned:
    return Planned(jobs, Path("results"), provisional, "digraph {}", "digraph {}")


# Two tiles, each points -> edges -> scores, where scores also wait for one training.
TILES = (
    *(job("points"), job("edges", 0), job("points"), job("edges", 2)),
    *(job("train", 0, 2), job("scores", 1, 4), job("scores", 3, 4)),
)
GROUPS = {"points": "tiles", "edges": "tiles"}
FOLDER = Path("profiles/mine")


def test_connected_jobs_of_a_group_are_one_submission() -> None:
    assert count_submissions(TILES, Profile({}, {})) == Submissions(7, 7)
    assert submissions_of(TILES, Profile(GROUPS, {})) == [(0, 1), (2, 3), (4,), (5,), (6,)]
    together = [(0, 1, 2, 3), (4,), (5,), (6,)]
    assert submissions_of(TILES, Profile(GROUPS, {"tiles": 2})) == together
    assert count_submissions(TILES, Profile(GROUPS, {"tiles": 5})) == Submissions(1 + 3, 7)


def test_a_group_on_both_sides_of_training_is_not_connected_through_it() -> None:
    grouped = dict.fromkeys(("points", "edges"), "tiles") | {"scores": "scores"}
    profile = Profile(grouped, {"scores": 2})
    assert count_submissions(TILES, profile) == Submissions(2 + 1 + 1, 7)


def test_jobs_that_do_not_run_are_not_submitted() -> None:
    rest = (*(replace(one, runs=False) for one in TILES[:4]), *TILES[4:])
    assert count_submissions(rest, Profile(GROUPS, {})) == Submissions(3, 3)
    assert count_submissions((), Profile(GROUPS, {})) == Submissions(0, 0)


def test_local_jobs_are_not_submitted_and_join_nothing() -> None:
    here = (job("fetch", local=True), job("points", 0), job("fetch", local=True), job("points", 2))
    grouped = Profile({"fetch": "tiles", "points": "tiles"}, {})
    assert submissions_of(here, grouped) == [(1,), (3,)]
    assert submissions_of(here, Profile({}, {})) == [(1,), (3,)]
    text = as_text(planned(*here), count_submissions(here, grouped), FOLDER)
    assert "4 jobs, 0.40 h" in text
    assert "2 submissions of 5 s" in text
    assert "2 jobs of fetch are not submitted: they run where Snakemake does." in text


def test_a_submission_costs_more_than_a_further_job_in_it() -> None:
    made = Submissions(2, 5)
    assert (made.queueing_s, made.starting_s) == (2 * SUBMISSION_S, 3 * STEP_S)
    assert made.overhead_s == made.queueing_s + made.starting_s
    assert SUBMISSION_S > STEP_S


def test_hours_are_measured_where_a_run_left_its_benchmark(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("s\th:m:s\n1.5\t0:00:01\n20.0\t0:00:20\n")
    jobs = [
        job("edges", benchmark=str(path)),
        job("edges", benchmark=str(tmp_path / "none.tsv"), points=3000),
        job("labels"),
        job("fetch", work_s=None, points=None),
    ]
    found = [(guess.seconds, guess.source) for guess in estimate(jobs)]
    assert found == [(20.0, "measured"), (60.0, "measured"), (360.0, "rate"), (None, "not known")]


def test_an_empty_benchmark_tells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("s\th:m:s\n")
    assert read_benchmark(str(path)) is None
    assert read_benchmark(None) is None


def test_the_longest_chain_is_that_of_waiting_jobs() -> None:
    seconds = [replace(one, work_s=float(10**n)) for n, one in enumerate(TILES)]
    # points of the second tile (100), training (10,000), scores of the second tile (1,000,000).
    assert longest_chain(seconds, estimate(seconds)) == 1_010_100
    assert longest_chain([], []) == 0


def test_the_table_gives_each_rule_a_row_and_the_sums() -> None:
    jobs = [
        job("simulate", points=None, work_s=None),
        job("points", 0, inputs=("a", "b"), mem_mb=700),
        job("points", 0, inputs=("b", "c"), mem_mb=1200, points=4000),
        job("gnn", 1, 2, gpus=1, threads=8),
        job("train_pca", 1, 2),
        job("done", runs=False),
    ]
    lines = as_text(planned(*jobs, provisional=3), Submissions(3, 5), FOLDER).splitlines()
    rows = {line.split()[0]: line.split() for line in lines[1:4]}
    assert rows["points"] == ["points", "2", "3", "5,000", "1,200", "2", "0.20", "rate"]
    assert rows["gnn"] == ["gnn", "1", "0", "1,000", "600", "8", "1", "0.10", "rate"]
    assert rows["simulate"] == ["simulate", "1", "0", "600", "2", "not", "known"]
    text = "\n".join(lines)
    assert "done" not in text
    assert "5 jobs, 0.40 h of work one after the other" in text
    assert "longest chain of jobs takes 0.20 h" in text
    assert "On SLURM with profiles/mine: 3 submissions" in text
    assert f"3 submissions of 5 s, and 2 further jobs in them of {STEP_S:g} s each: 0.00 h" in text
    assert "1.1% of it; 1.4% of the 0.30 h without trainings, 1.4% by submissions alone" in text
    assert "not counted, of simulate." in text
    assert "tiles of 3 surveys are provisional" in text


def test_a_plan_without_jobs_says_so() -> None:
    assert (
        as_text(planned(job("done", runs=False)), Submissions(0, 0), FOLDER)
        == "Nothing to be done.\n"
    )


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_pictures_are_drawn(tmp_path: Path) -> None:
    assert "<svg" in draw("digraph { a -> b }", tmp_path / "new" / "rules").read_text()


def test_without_graphviz_the_graph_is_kept_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(subprocess, "run", None)
    assert draw("digraph { a -> b }", tmp_path / "rules").read_text() == "digraph { a -> b }\n"


def test_a_file_that_snakemake_does_not_miss_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "made").touch()
    jobs = (
        job("a", runs=False, inputs=("raw/x.csv",), outputs=("results/gone", "results/made")),
        job("b", runs=True, outputs=("results/to_be_made",)),
    )
    assert [found.file for found in holes(planned(*jobs), ())] == ["results/gone"]
    assert holes(planned(*jobs), ["results/gone"]) == []


def test_findings_are_shown_the_gravest_first_and_not_without_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = [check.Finding(check.NOTE, "n", "x"), check.Finding(check.DAMAGED, "d", "x")]
    many = [check.Finding(check.STALE, f"{number:03}", "x") for number in range(60)]
    show_findings([*found, *many], 100)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "damaged: d: x"
    assert "out of date: 20 more" in lines
    assert lines[-1] == "100 files checked: 1 damaged, 60 out of date."
    show_findings([], 5)
    assert capsys.readouterr().out == "5 files checked: all are as they were made.\n"


@pytest.mark.parametrize(
    ("profile", "cores", "words"),
    [
        (None, None, "all --configfile region.yaml --cores all"),
        (None, "2", "all --configfile region.yaml --cores 2"),
        ("p/config.yaml", None, "all --configfile region.yaml --workflow-profile p/config.yaml"),
    ],
)
def test_a_repair_runs_as_it_was_planned(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    profile: str | None,
    cores: str | None,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    commands: list[list[str]] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 3)

    found = [check.Finding(check.CHANGED, "results/a", "x")]
    monkeypatch.setattr(review, "_findings", lambda plan: (found, {}))
    monkeypatch.setattr(review.subprocess, "run", run)
    given = Path(profile) if profile else None
    assert review.repair(planned(), [Path("region.yaml")], given, cores) == 3
    assert " ".join(commands[0]).endswith(f"-m snakemake {words}")


def test_the_configuration_of_a_profile_is_read_as_snakemake_does(tmp_path: Path) -> None:
    assert config_of(None) == {}
    assert config_of(profile_file(ROOT / "profiles/slurm")) == {"models": {"device": "gpu"}}
    assert config_of(profile_file(ROOT / "profiles/default")) == {}
    with pytest.raises(InputError, match=r"is no profile: it holds no config\.yaml"):
        profile_file(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text("config:\n  models: [\n")
    with pytest.raises(InputError, match=r"config\.yaml: cannot be read: .*line 3"):
        config_of(profile_file(tmp_path))


def test_groups_are_read_from_the_profile() -> None:
    profile = read_profile(ROOT / "profiles" / "slurm" / "config.yaml")
    assert profile.groups["points"] == profile.groups["labels"]
    assert set(profile.components) <= set(profile.groups.values())
    assert all(count >= 1 for count in profile.components.values())
    assert profile.at_once == 100


@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_nodes_is_at_least_one(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        review.main(["plan", f"--nodes={count}"])
    assert stopped.value.code == 2
    assert f"--nodes: '{count}' is no number of at least 1" in capsys.readouterr().err


def test_a_node_may_have_no_gpu_but_not_fewer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        review.main(["plan", "--nodes=2", "--gpus=-1"])
    assert "--gpus: '-1' is no number of at least 0" in capsys.readouterr().err


def test_an_overlay_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "mine.yaml"
    assert review.main(["verify", "--configfile", str(missing)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"bedsieve: {missing}: no such file. Name an overlay")
