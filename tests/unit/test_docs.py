"""The guide beside the code: messages that it quotes are those of the code, and what it says to write works."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from bedsieve.config import validate

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TROUBLE = (DOCS / "howto" / "troubleshooting.md").read_text()
OURS = TROUBLE.partition("| message |")[2].partition("\n\n")[0]
QUOTED = [text for text in re.findall(r"^\| `([^`]*)`", OURS, re.MULTILINE) if " " in text]


@cache
def sayings() -> tuple[str, ...]:
    """Every text in bedsieve, with … for what is put into it."""
    found = []
    for path in (ROOT / "workflow" / "scripts" / "bedsieve").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                ]
                found.append("".join(map(str, parts)).replace("`", ""))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value.replace("`", ""))
    return tuple(found)


@pytest.mark.parametrize("message", QUOTED)
def test_quoted_messages_are_those_of_the_code(message: str) -> None:
    assert len(QUOTED) > 10
    # These words are put together when they are said.
    for piece in re.split(r" ?…\.? ?", re.sub(r"manifest.json|coverage.tsv counts", "…", message)):
        assert any(piece.strip(":") in text for text in sayings()), piece


def test_the_setting_of_the_tutorial_joins_those_of_the_demo() -> None:
    block = re.search(
        r"`detectors:` already.*?```yaml\n(.*?)```", (DOCS / "tutorial.md").read_text(), re.S
    )
    assert block is not None
    before = (ROOT / "config" / "demo.yaml").read_text()
    changed = yaml.safe_load(before.replace("\ndetectors:\n", f"\ndetectors:\n{block[1]}"))
    expected = yaml.safe_load(before)
    assert changed != expected
    expected["detectors"]["along_track"] = {"floor": 50}
    assert changed == expected
    whole = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    update_config(whole, changed)
    validate(whole)


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []
