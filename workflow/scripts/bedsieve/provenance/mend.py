"""What a repair deletes, so that a run makes it again, and what it leaves alone.

In: findings, and how far a run gets. Out: names of files that are gone now, and words about those that nobody here can
make again. No file goes that the workflow would not make, and none while a run is on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from bedsieve.errors import BedsieveError, InputError
from bedsieve.provenance.check import DAMAGED, MISSING, STALE, Finding, Manifests
from bedsieve.provenance.models import model_folder
from bedsieve.provenance.record import manifest_path

_LOCKS = Path(".snakemake", "locks")


@dataclass(frozen=True)
class Reach:
    """How far a run of the workflow gets.

    Parameters
    ----------
    results : Path
        Folder of the results, relative to the working folder as the names are.
    asked : collection of str
        Files that the jobs of the default target read or make.
    can_make : callable
        Whether a rule of the workflow makes a file of this name.
    raw : collection of str
        Raw files that were fetched. A user may have put another in the place of one since, so none is deleted.
    """

    results: Path
    asked: Collection[str]
    can_make: Callable[[str], bool]
    raw: Collection[str] = frozenset()


def refuse_beside_a_run(folder: Path = _LOCKS) -> None:
    """Stop before files go that a run may be about to read.

    Raises
    ------
    BedsieveError
        If Snakemake holds locks in the working folder, or a run that was killed left some.
    """
    if any(folder.glob("*.lock")):
        raise BedsieveError(
            f"{folder}: a run works on this folder, so nothing is deleted. Wait until it has ended. If none runs, "
            "one was killed and left its locks: `snakemake --unlock`, with the configuration of that run."
        )


def delete(findings: Iterable[Finding], manifests: Manifests, reach: Reach) -> list[str]:
    """Delete what a run must make again: what is damaged or missing, and what was made from other inputs than stand now.

    A model goes with all of its files, so that it is trained again; and only if the jobs read or make it. What is missing is
    let be unless the jobs read or make it. Nothing that no rule makes is deleted, whatever a manifest says.

    Parameters
    ----------
    findings : iterable of Finding
    manifests : mapping of str to dict
        Manifest of each file that was made.
    reach : Reach

    Returns
    -------
    list of str
        Files to be made again; none of them stands now. Parts of a model that its job does not declare are not named.

    Raises
    ------
    InputError
        If a model is damaged that would come out differently, because what it was trained on has changed or is not known.
    """
    findings = list(findings)
    doomed: set[str] = set()
    folders = _folders(reach)
    for finding in findings:
        if not _can_be_made_again(finding, reach, folders):
            continue
        folder = model_folder(finding.file, reach.results)
        if folder is None:
            doomed.add(finding.file)
        else:
            _refuse_other_model(findings, finding.file, folder, reach.results)
            doomed |= {name for name in manifests if Path(name).parent == folder}
    # The manifest of a model goes first: without it the rule that trains it is there again.
    for name in sorted(doomed, key=lambda name: (Path(name).name != "manifest.json", name)):
        Path(name).unlink(missing_ok=True)
        manifest_path(reach.results, name).unlink(missing_ok=True)
    return sorted(name for name in doomed if "part_of" not in manifests.get(name, {}))


def left_alone(findings: Iterable[Finding], reach: Reach) -> list[str]:
    """Say of what is damaged or out of date, and is not deleted, what can be done: a line a model or file."""
    folders = _folders(reach)
    lines = set()
    for finding in findings:
        if finding.kind not in (DAMAGED, STALE) or _can_be_made_again(finding, reach, folders):
            continue
        folder = model_folder(finding.file, reach.results)
        if finding.file in reach.raw:
            lines.add(
                f"left as it is: {finding.file}: a raw file. Delete it to have it fetched again; if you replaced it, see that "
                "the sheet has its sha256, or none, and run `snakemake register`."
            )
        elif folder is not None:
            lines.add(
                f"left as it is: {folder}: no job of this plan reads this model. Restore the folder from a backup, or "
                "repair with the configuration that reads it (models.version, ensemble.members), or delete the folder."
            )
        else:
            lines.add(
                f"left as it is: {finding.file}: no rule of this configuration makes it. Restore it from a backup, or "
                "repair with the configuration that made it."
            )
    return sorted(lines)


def _folders(reach: Reach) -> set[Path]:
    return {Path(name).parent for name in reach.asked}


def _can_be_made_again(finding: Finding, reach: Reach, folders: Collection[Path]) -> bool:
    if finding.kind not in (DAMAGED, MISSING, STALE):
        return False
    if finding.file in reach.raw:
        return finding.kind == MISSING
    folder = model_folder(finding.file, reach.results)
    if folder is not None:
        return folder in folders
    if finding.file in reach.asked:
        return True
    inside = Path(finding.file).is_relative_to(reach.results)
    return finding.kind != MISSING and inside and reach.can_make(finding.file)


def _refuse_other_model(
    findings: Iterable[Finding], name: str, folder: Path, results: Path
) -> None:
    reasons = [
        finding.text.split(";")[0]
        for finding in findings
        if finding.other_model and Path(finding.file).parent == folder
    ]
    own = folder / "manifest.json"
    if own.exists() and not manifest_path(results, own).exists():
        reasons.append("was not trained here")
    if reasons:
        raise InputError(
            name,
            f"this model is damaged, and {reasons[0]}",
            "Training it again would give another model under the same name: restore the folder "
            "from a backup, or set another models.version",
        )
