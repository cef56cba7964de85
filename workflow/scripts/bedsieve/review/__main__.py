"""Show a plan, check what was made without running anything, make again what is damaged, or delete what is left over.

python -m bedsieve.review plan [--configfile FILE ...] [--profile FOLDER] [--pictures FOLDER]
                               [--nodes N [--gpus N] [--node-cores N] [--node-gb N]]
python -m bedsieve.review verify [--configfile FILE ...] [--profile FOLDER]
python -m bedsieve.review repair [--configfile FILE ...] [--profile FOLDER] [--cores N]
python -m bedsieve.review prune [--configfile FILE ...] [--profile FOLDER] [--delete]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Collection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bedsieve.errors import BedsieveError, InputError
from bedsieve.files import write_text
from bedsieve.provenance import check, mend
from bedsieve.provenance.orphans import delete_orphans, find_orphans, note_orphans
from bedsieve.review.jobs import Planned, planned_jobs, profile_file

ROOT = Path(__file__).resolve().parents[4]
SLURM = Path("profiles", "slurm")
"""Whose submissions are counted where no profile is named, or one that submits nothing."""
_SHOWN = 40
_FETCHING = ("fetch", "fetch_benchmark")


def main(arguments: list[str]) -> int:
    """Run a command; 0 if all is well."""
    parser = argparse.ArgumentParser(prog="python -m bedsieve.review")
    parser.add_argument("command", choices=("plan", "verify", "repair", "prune"))
    parser.add_argument("--configfile", nargs="+", type=Path, default=[])
    parser.add_argument("--profile", type=Path, help="the workflow profile that runs are made with")
    parser.add_argument("--pictures", type=Path, help="draw the graphs of rules and files there")
    parser.add_argument(
        "--nodes", type=_at_least(1), help="estimate a cluster of so many nodes, alike"
    )
    parser.add_argument("--gpus", type=_at_least(0), default=0, help="GPUs of each node")
    parser.add_argument("--node-cores", type=_at_least(1), default=16, help="cores of each node")
    parser.add_argument("--node-gb", type=_at_least(1), default=64, help="memory of each node (GB)")
    parser.add_argument("--cores", help="cores of the run that repairs; else the profile's, or all")
    parser.add_argument("--delete", action="store_true", help="delete what `prune` lists")
    asked = parser.parse_args(arguments)
    try:
        for path in asked.configfile:
            if not path.is_file():
                raise InputError(
                    path, "no such file", "Name an overlay, as config/demo.yaml is one"
                )
        if asked.profile is not None:
            asked.profile = profile_file(asked.profile)
        plan = planned_jobs(ROOT / "Snakefile", asked.configfile, asked.profile)
        if asked.command == "plan":
            return show_plan(plan, asked)
        if asked.command == "verify":
            return verify(plan)
        if asked.command == "prune":
            return prune(plan, asked.delete)
        return repair(plan, asked.configfile, asked.profile, asked.cores)
    except BedsieveError as error:
        print(f"bedsieve: {error}", file=sys.stderr)
        return 1


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is no number of at least {least}")
        return int(text)

    return number


def show_plan(plan: Planned, asked: argparse.Namespace) -> int:
    """Print the table and what a cluster takes, where nodes are given; draw the graphs where a folder is given."""
    from bedsieve.review import cluster, table
    from bedsieve.review.submissions import count_submissions, read_profile

    profile, folder = read_profile(ROOT / SLURM / "config.yaml"), SLURM
    if asked.profile is not None and (own := read_profile(asked.profile)).executor:
        profile, folder = own, asked.profile.parent
    print(table.as_text(plan, count_submissions(plan.jobs, profile), folder), end="")
    if asked.nodes is not None and any(job.runs for job in plan.jobs):
        nodes = cluster.Cluster(
            asked.nodes, asked.gpus, asked.node_cores, 1000 * asked.node_gb, profile.at_once
        )
        print(cluster.as_text(plan, profile, nodes), end="")
    if asked.pictures is not None:
        for name, text in (("rulegraph", plan.rulegraph), ("filegraph", plan.filegraph)):
            print(f"Drawn: {draw(text, asked.pictures / name)}")
    return 0


def draw(text: str, target: Path) -> Path:
    """Write a graph, as SVG where graphviz is installed, else in its own words; the file written."""
    source = target.with_suffix(".dot")
    write_text(text + "\n", source)
    if shutil.which("dot") is None:
        return source
    picture = target.with_suffix(".svg")
    subprocess.run(["dot", "-Tsvg", f"-o{picture}", str(source)], check=True)
    return picture


def verify(plan: Planned) -> int:
    """Check every file against its manifest and the plan; say what differs."""
    findings, _ = _findings(plan)
    return 1 if any(finding.kind != check.NOTE for finding in findings) else 0


def repair(
    plan: Planned, configfiles: list[Path], profile: Path | None = None, cores: str | None = None
) -> int:
    """Delete what a run must make again, and run; the exit status of Snakemake.

    Raises
    ------
    BedsieveError
        If a run is on. Nothing is deleted then.
    """
    mend.refuse_beside_a_run()
    findings, manifests = _findings(plan)
    read = {name for job in plan.jobs for name in job.inputs}
    raw = {name for name, about in manifests.items() if about.get("rule") in _FETCHING}
    reach = mend.Reach(plan.results, _outputs(plan) | read, plan.can_make, raw)
    for line in mend.left_alone(findings, reach):
        print(line)
    # Again: hashing may have taken hours.
    mend.refuse_beside_a_run()
    gone = mend.delete(findings, manifests, reach)
    if gone:
        print(f"Making {len(gone)} files again.", flush=True)
    elif any(finding.kind == check.CHANGED for finding in findings):
        print("Nothing is damaged; making again what has changed.", flush=True)
    else:
        print("Nothing has to be made again.")
        return 0
    overlay = ["--configfile", *map(str, configfiles)] if configfiles else []
    overlay += ["--workflow-profile", str(profile)] if profile else []
    overlay += ["--cores", cores or "all"] if cores or not profile else []
    # By name: Snakemake does not miss a file that only finished files were made from.
    command = [sys.executable, "-m", "snakemake", *gone, "all", *overlay]
    return subprocess.run(command, check=False).returncode


def prune(plan: Planned, delete: bool) -> int:
    """List the files that nothing asks for now, and delete them if told to; 0.

    Raises
    ------
    BedsieveError
        If they are to be deleted while a run is on.
    """
    names = _orphans(plan, check.read_manifests(plan.results))
    for name in names:
        print(name)
    if not names:
        print("Nothing is left over.")
    elif delete:
        mend.refuse_beside_a_run()
        delete_orphans(names, plan.results)
        print(f"Deleted {len(names)} files.")
    else:
        print(f"Nothing asks for these {len(names)} files now. Delete them: make prune DELETE=yes")
    return 0


def _orphans(plan: Planned, manifests: check.Manifests) -> list[str]:
    return find_orphans(manifests, _outputs(plan), plan.results, plan.can_make, plan.idle)


def _outputs(plan: Planned) -> set[str]:
    return {name for job in plan.jobs for name in job.outputs}


def _findings(plan: Planned) -> tuple[list[check.Finding], check.Manifests]:
    manifests = check.read_manifests(plan.results)
    stands = check.hash_files(manifests, os.cpu_count() or 1)
    expected = {
        name: check.Expected(job.code, job.params) for job in plan.jobs for name in job.outputs
    }
    orphans = _orphans(plan, manifests)
    asked_for = {name: about for name, about in manifests.items() if name not in set(orphans)}
    findings = [
        *check.check_files(asked_for, stands, plan.results),
        *check.check_plan(asked_for, expected),
        *check.check_packages(asked_for, _installed(asked_for)),
        *note_orphans(orphans),
    ]
    findings += holes(plan, {finding.file for finding in findings})
    show_findings(findings, len(manifests))
    return findings, asked_for


def holes(plan: Planned, known: Collection[str]) -> list[check.Finding]:
    """Files that are gone and that Snakemake does not miss, as a repair leaves them that was killed."""
    names = {name for job in plan.jobs if not job.runs for name in (*job.inputs, *job.outputs)}
    gone = (
        name
        for name in names
        if Path(name).is_relative_to(plan.results) and not Path(name).exists()
    )
    return [
        check.Finding(check.MISSING, name, "is gone; `make repair` makes it again")
        for name in sorted(gone)
        if name not in known
    ]


def show_findings(findings: list[check.Finding], files: int) -> None:
    """Print the findings, the gravest first, at most 40 of a kind."""
    shown: Counter[str] = Counter()
    order = [check.DAMAGED, check.MISSING, check.STALE, check.CHANGED, check.NOTE]
    for finding in sorted(findings, key=lambda found: (order.index(found.kind), found)):
        shown[finding.kind] += 1
        if shown[finding.kind] <= _SHOWN:
            print(finding)
    for kind, count in shown.items():
        if count > _SHOWN:
            print(f"{kind}: {count - _SHOWN} more")
    said = ", ".join(f"{shown[kind]} {kind}" for kind in order[:4] if shown[kind])
    print(f"{files} files checked: {said or 'all are as they were made'}.")


def _installed(manifests: check.Manifests) -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in {name for about in manifests.values() for name in about["packages"]} - {"python"}:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
