"""What an untrusted table or file could try: run a command, leave its folder, smuggle code in. None of it gets a hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bedsieve.errors import InputError
from bedsieve.ingest.sheet import read_coverage, read_sheet

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "workflow" / "scripts").rglob("*.py"))
RULES = sorted((ROOT / "rules").glob("*.smk"))

HOSTILE_NAMES = [
    "A B",
    "A'B",
    'A"B',
    "A;touch owned",
    "A&&touch owned",
    "A|cat",
    "$(touch owned)",
    "`touch owned`",
    "${HOME}",
    "A>owned",
    "A*",
    "~root",
    "..",
    "../A",
    "A/../../B",
    "/etc/passwd",
    "A\\B",
    "-rf",
    ".hidden",
    "{tile}",
    "A\u202eB",
    "A\x00B",
    "Å",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_is_more_than_a_name_is_refused_with_its_line(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "surveys.tsv"
    quoted = '"' + name.replace('"', '""') + '"'
    path.write_text(f"survey_no\tsurvey\n1\tGood_2001\n2\t{quoted}\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_sheet(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:3: survey {name!r} cannot be used")
    assert "Write a name of letters, digits" in message


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_the_coverage_table_is_no_way_round_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "coverage.tsv"
    quoted = '"' + name.replace('"', '""') + '"'
    head = "survey\ttile\tn\tgap_m\tsha256\n"
    path.write_text(f"{head}{quoted}\tx0_y0\t1\t0\tprovisional\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"coverage\.tsv:2: survey .* cannot be used"):
        read_coverage(path)
    path.write_text(f"{head}A\t{quoted}\t1\t0\tprovisional\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"coverage\.tsv:2: tile .* cannot be used"):
        read_coverage(path)


def test_a_quote_that_is_left_open_swallows_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "surveys.tsv"
    for text in ('1\t"A\nB"\n', '1\tA\n2\tB\t"left open\n3\tC\t\n4\tD\t\n'):
        path.write_text(f"survey_no\tsurvey\tnote\n{text}")
        with pytest.raises(InputError, match=r"surveys\.tsv:[23]: a quoted cell goes on to line"):
            read_sheet(path)


@pytest.mark.parametrize(
    "url",
    [
        "http://a.org/x",
        "ftp://a.org/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//a.org/x",
        "x",
    ],
)
def test_only_https_is_fetched_from(tmp_path: Path, url: str) -> None:
    path = tmp_path / "surveys.tsv"
    path.write_text(f"survey_no\tsurvey\turl\n1\tA\t{url}\n")
    with pytest.raises(InputError, match=r"surveys\.tsv:2: url .*Write an https address"):
        read_sheet(path)


@pytest.mark.parametrize("url", ["https://a.org/b c", "https://a.org/\x7f", "https://a.org/Å.csv"])
def test_an_address_holds_nothing_that_must_be_written_otherwise(tmp_path: Path, url: str) -> None:
    path = tmp_path / "surveys.tsv"
    path.write_text(f"survey_no\tsurvey\turl\n1\tA\t{url}\n")
    with pytest.raises(InputError, match=r"surveys\.tsv:2: url .* which stands in addresses as %"):
        read_sheet(path)


@pytest.mark.parametrize("column", ["release", "platform", "institution", "instrument", "note"])
@pytest.mark.parametrize("mark", ["\x1b[2J", "\x85", "\x08", "\u202e"])
def test_words_that_steer_a_terminal_are_refused(tmp_path: Path, column: str, mark: str) -> None:
    path = tmp_path / "surveys.tsv"
    path.write_text(f"survey_no\tsurvey\t{column}\n1\tA\tsafe{mark}rm\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=rf"surveys\.tsv:2: {column} .* control character"
    ) as caught:
        read_sheet(path)
    assert mark not in str(caught.value)


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "surveys.tsv"
    text = "survey_no\tsurvey\tnote\n1\tA\tone\u2028line\n2\tB\t\n2\tC\t\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"surveys\.tsv:4: survey_no 2 is already"):
        read_sheet(path)


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Calls in a file, by the last part of what is called."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            yield name, node


def said(call: ast.Call, keyword: str) -> object:
    """Constant given for a keyword; None if it is not given."""
    return next(
        (ast.literal_eval(each.value) for each in call.keywords if each.arg == keyword), None
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_code_is_loaded_from_data_and_no_shell_is_called(path: Path) -> None:
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not modules & {name.split(".")[0] for name in names}
    for name, call in calls(path):
        plain = isinstance(call.func, ast.Name)
        assert not (plain and name in {"eval", "exec", "compile"}), name
        assert name not in {"system", "popen", "getoutput", "extractall", "mktemp"}, name
        assert name not in {"read_pickle", "to_pickle", "deserialize"}, name
        assert ast.unparse(call.func) not in {"torch.jit.load", "torch.hub.load"}
        assert said(call, "shell") is not True
        if ast.unparse(call.func) == "torch.load":
            assert said(call, "weights_only") is True
        if ast.unparse(call.func) in {"np.load", "numpy.load"}:
            assert said(call, "allow_pickle") in (None, False)
        if ast.unparse(call.func) in {"yaml.load", "yaml.full_load", "yaml.unsafe_load"}:
            pytest.fail("only yaml.safe_load")


@pytest.mark.parametrize("path", [ROOT / "Snakefile", *RULES], ids=lambda path: path.name)
def test_rules_run_scripts_and_nothing_through_a_shell(path: Path) -> None:
    assert not re.search(r"^\s*(shell|run|cwl|notebook|wrapper):", path.read_text(), re.MULTILINE)
