"""docs/reference/commands.md names every target of make, every module that is run by name, and their options."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "commands.md").read_text()
FOLDERS = {"bedsieve": ROOT / "workflow" / "scripts" / "bedsieve", "bench": ROOT / "bench"}
GUARD = '\nif __name__ == "__main__":'


def commands() -> dict[str, Path]:
    """Modules that `python -m` is meant for, by the name to give it."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            if GUARD in path.read_text():
                parts = path.relative_to(folder).with_suffix("").parts
                found[".".join([package, *parts]).removesuffix(".__main__")] = path
    return found


COMMANDS = commands()


def words_on(module: str) -> str:
    """What the page says of a module: its own section, or its rows in a table."""
    section = re.search(rf"^### {re.escape(module)}\n(.*?)(?=^#)", PAGE, re.MULTILINE | re.DOTALL)
    if section:
        return section[1]
    return "\n".join(re.findall(rf"^\| `python -m {re.escape(module)}[ `].*$", PAGE, re.MULTILINE))


def options_of(module: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Options of a module's parser, as it stands when it would read them."""
    seen: list[argparse.ArgumentParser] = []

    def stop(parser: argparse.ArgumentParser, *_: object) -> None:
        seen.append(parser)
        raise SystemExit

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", [module])
    main = importlib.import_module(module + ".__main__" * (path.stem == "__main__")).main
    with pytest.raises(SystemExit):
        main(*[[]] * any(p.default is p.empty for p in inspect.signature(main).parameters.values()))
    return {option for parser in seen for option in parser._option_string_actions} - {
        "-h",
        "--help",
    }


def test_every_target_of_make_is_named_and_no_other() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    assert len(targets) > 10
    assert set(re.findall(r"^\| `make ([a-z-]+)` \|", PAGE, re.MULTILINE)) == set(targets)
    assert set(re.findall(r"\bmake ([a-z-]+)`", PAGE)) <= set(targets)


def test_every_variable_that_a_target_takes_is_named() -> None:
    makefile = (ROOT / "Makefile").read_text()
    variables = set(re.findall(r"^([A-Z]+) \?=", makefile, re.MULTILINE))
    assert variables >= {"CONFIG", "DELETE", "NODES", "GPUS", "CORES", "PYTHON"}
    listed = PAGE.partition("| variable |")[2].partition("\n\n")[0]
    assert variables <= set(re.findall(r"`([A-Z]+)`", listed))


def test_the_modules_with_options_are_found() -> None:
    assert {"bedsieve.review", "bedsieve.config_docs", "bench", "bench.stages"} <= set(COMMANDS)


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_is_named_with_all_its_options(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = words_on(module)
    assert f"python -m {module}" in said
    if "ArgumentParser(" in COMMANDS[module].read_text():
        options = options_of(module, COMMANDS[module], monkeypatch)
        assert options <= set(re.findall(r"--[a-z][a-z-]*", said))


def test_every_command_that_is_named_exists() -> None:
    named = set(re.findall(r"python -m ((?:bedsieve|bench)[\w.]*)", PAGE)) - {"bedsieve"}
    assert named == set(COMMANDS)
