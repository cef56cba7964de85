"""docs/reference/artefacts.md names every file that a rule makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "artefacts.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
ROOTS = {
    "RAW": "resources/raw",
    "BENCHMARK_DATA": "resources/benchmarks",
    "EVALUATION": "results/evaluation",
    "EXPERIMENTS": "results/experiments",
    "CARDS": "results/scorecards",
    "TUNING": "results/tuning",
    "MODELS": "results/models",
    "RESULTS": "results",
}


def files() -> list[str]:
    """Files that rules name, with {wildcard} in them; neither logs nor Snakemake's own records."""
    found = set()
    for path in (ROOT / "rules").glob("*.smk"):
        text = re.sub(r"\s+", " ", path.read_text())
        for root, rest, more in re.findall(
            r'f"\{(\w+)\}(/[^"]*\.\w+)"((?:, \w+=\[[^\]]*\])?)', text
        ):
            name = ROOTS[root] + rest.replace("{{", "{").replace("}}", "}")
            wildcard, _, listed = more.removeprefix(", ").partition("=")
            values = re.findall(r'"(\w+)"', listed) or ["{" + wildcard + "}"]
            found |= {name.replace("{" + wildcard + "}", value) for value in values}
    # The last two stand for inputs that are files of several rules, and those name them.
    left_out = re.compile(r"results/(logs|benchmarks)/|.*\{(member|network)\}")
    return sorted(name for name in found if not left_out.match(name))


FILES = files()


def words_on(name: str) -> str:
    """Where the page has to name a file: a row of its detector, or the section of its folder."""
    if found := re.match(r"results/models/(\w+)/", name):
        return row("Models: ", found[1]) + "`manifest.json`"
    if "scores/" in name and "segment_runs" not in name:
        detector = Path(name).stem
        return row("Scores", detector).replace(f"`{detector}`", f"`{detector}.parquet`")
    top = "/".join(name.split("/")[:2])
    headed = [text for heading, text in SECTIONS.items() if f"`{top}/" in heading]
    return headed[0] if headed else SECTIONS["Before the results"]


def row(section: str, first: str) -> str:
    """The row of a table that begins with a name."""
    text = next(text for heading, text in SECTIONS.items() if heading.startswith(section))
    found = re.search(rf"^\| `{first}` \|.*$", text, re.MULTILINE)
    return found[0] if found else ""


def test_the_rules_are_read() -> None:
    assert {
        "results/tiles/{tile}/labels.parquet",
        "results/models/carving/families.parquet",
        "results/products/summary.tsv",
        "results/register/{survey}.tsv",
    } <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_a_rule_is_named(name: str) -> None:
    path = Path(name)
    patterns = (path.name, path.name.replace("{fold}", "A"), f"{path.parent.name}/*{path.suffix}")
    ends = "|".join(map(re.escape, patterns))
    assert re.search(rf"[`/](?:{ends})`", words_on(name)), f"artefacts.md lacks {name}"
