"""Digest of the code that a rule runs: its script, the bedsieve modules it imports, and its environment file.

Snakemake sees a changed script only by its date and a changed helper module not at all, so each rule carries
this digest as a parameter and runs again exactly when something that it can reach has changed.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

_SCRIPTS = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(bedsieve[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]+)|import[ \t]+(bedsieve[\w.]*))",
    re.MULTILINE,
)


@cache
def code_digest(script: str, env: str | None = None, root: Path = _SCRIPTS) -> str:
    """Digest of everything that a rule's script can run.

    Parameters
    ----------
    script : str
        File name of the script below `root`.
    env : str, optional
        Path of the rule's conda environment file.
    root : Path
        Folder that holds the scripts and the package.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(reachable(root / script, root)):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(_bytes(path))
    if env is not None:
        digest.update(_bytes(Path(env)))
    return digest.hexdigest()[:16]


def reachable(script: Path, root: Path = _SCRIPTS) -> set[Path]:
    """The script and every module of the package that it imports, directly or through others."""
    seen: set[Path] = set()
    todo = [script]
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo.extend(_imports(path, root))
    return seen


@cache
def _bytes(path: Path) -> bytes:
    return path.read_bytes()


@cache
def _imports(path: Path, root: Path) -> tuple[Path, ...]:
    found: set[Path] = set()
    for match in _IMPORT.finditer(_bytes(path).decode()):
        module, names, plain = match.groups()
        dotted = module or plain
        candidates = [dotted]
        if names:
            words = re.sub(r"#[^\n]*|[()]", " ", names).split(",")
            candidates += [f"{dotted}.{word.split()[0]}" for word in words if word.split()]
        for candidate in candidates:
            base = root.joinpath(*candidate.split("."))
            for file in (base.with_suffix(".py"), base / "__init__.py"):
                if file.is_file():
                    found.add(file)
    return tuple(sorted(found))
