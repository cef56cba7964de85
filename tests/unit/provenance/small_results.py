"""A few results made by hand, each with its manifest, and what is found of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bedsieve.provenance import check, mend

RESULTS = Path("results/a")
MODEL = "results/a/models/v1/d/manifest.json"


class Named(list[str]):
    """A list whose items also have names, as Snakemake hands them to a script."""

    def __init__(self, **named: Any) -> None:
        super().__init__(named.values())
        self.named = named

    def items(self) -> list[tuple[str, Any]]:
        return list(self.named.items())


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def put(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return name


def job(output: str, *inputs: str, rule: str = "r", **params: Any) -> SimpleNamespace:
    return SimpleNamespace(
        rule=rule,
        log=["results/a/logs/r/x.log"],
        input=list(inputs),
        output=[output],
        params=Named(code="code of r.py: c0de", **params),
    )


def reach(*asked: str, makes: Callable[[str], bool] = lambda name: True) -> mend.Reach:
    return mend.Reach(RESULTS, asked, makes)


def findings(manifests: dict[str, dict[str, Any]]) -> list[str]:
    stands = check.hash_files(manifests, 2)
    return sorted(map(str, check.check_files(manifests, stands, RESULTS)))
