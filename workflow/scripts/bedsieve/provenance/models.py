"""Models among the results: which files make one up, and what its own manifest says of them.

In: a results folder. Out: the folder of a model, and a record of each file that only the model's manifest.json tells of: a
rule declares the files that other rules read, not each fold's weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bedsieve.provenance.record import manifest_path

NOT_WHOLE: dict[str, Any] = {"sha256": None, "inputs": {}, "packages": {}}


def model_folder(name: str | Path, results: Path) -> Path | None:
    """The folder of the model that a file belongs to; None if it belongs to none."""
    folder, models = Path(name).parent, results / "models"
    return folder if folder != models and folder.is_relative_to(models) else None


def parts_of_models(results: Path) -> dict[str, dict[str, Any]]:
    """A record of each file of a model, by its name, as if a job had declared it.

    It has `part_of` beside what a manifest has: the model's manifest.json, which the job does declare. Of a model that was
    copied here, and whose manifest.json cannot be read, that file comes back without a checksum.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((results / "models").rglob("manifest.json")):
        files = _listed(path)
        if files is None:
            if not manifest_path(results, path).exists():
                found[str(path)] = NOT_WHOLE | {"file": str(path)}
            continue
        for name, sha256 in files.items():
            part = str(path.parent / name)
            # A name that leads out of the folder is none that bedsieve wrote, and no file of the model.
            if Path(name).name == name and isinstance(sha256, str):
                found[part] = {
                    "file": part,
                    "part_of": str(path),
                    "sha256": sha256,
                    "inputs": {},
                    "code": None,
                    "params": {},
                    "packages": {},
                }
    return found


def _listed(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    files = document.get("files") if isinstance(document, dict) else None
    return files if isinstance(files, dict) else None
