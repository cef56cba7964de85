"""The table of repeated experiments, and the one list of methods."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bedsieve.benchmarks.methods import (
    METHODS,
    SOURCES,
    cases,
    files,
    module_file,
    runner,
    source_of,
)
from bedsieve.benchmarks.rows import Row, write_rows
from bedsieve.benchmarks.table import benchmark_table, html, markdown
from bedsieve.code_digest import reachable
from bedsieve.config import schema
from bedsieve.errors import ConfigError
from bedsieve.ingest.sheet import check_address
from tests.unit.test_environments import PACKAGE_OF, SCRIPTS, declared, third_party


def written(folder: Path, rows: list[Row]) -> list[Path]:
    paths = []
    for seed in sorted({row.seed for row in rows}):
        paths.append(folder / f"seed{seed}.json")
        write_rows(paths[-1], [row for row in rows if row.seed == seed])
    return paths


def figure(values: list[float], variant: str = "net", **source: float) -> list[Row]:
    return [
        Row("gnsm", "bank", variant, "precision", seed, value, **source)
        for seed, value in enumerate(values)
    ]


def test_a_figure_has_its_median_and_interval_over_seeds(tmp_path: Path) -> None:
    table = benchmark_table(written(tmp_path, figure([0.1, 0.5, 0.2, 0.4, 0.3], source=0.3)))
    (row,) = table.iter_rows(named=True)
    assert (row["method"], row["case"], row["variant"]) == ("gnsm", "bank", "net")
    assert row["median"] == pytest.approx(0.3)
    # Five seeds: 2.5 % of the way lies a tenth of a step in.
    assert (row["low"], row["high"]) == pytest.approx((0.11, 0.49))
    assert row["seeds"] == 5


@pytest.mark.parametrize(
    ("values", "source", "reached"),
    [
        ([0.44, 0.46], {"source": 0.5, "source_sd": 0.05}, True),
        ([0.43, 0.45], {"source": 0.5, "source_sd": 0.05}, False),
        ([0.9, 0.9], {"source": 0.5, "source_sd": 0.05}, True),
        ([0.4, 0.6], {"source": 0.55}, True),
        ([0.4, 0.5], {"source": 0.55}, False),
        ([0.4, 0.5], {}, None),
    ],
)
def test_reached_means_within_one_deviation_or_better(
    tmp_path: Path, values: list[float], source: dict[str, float], reached: bool | None
) -> None:
    table = benchmark_table(written(tmp_path, figure(values, **source)))
    assert table["reached"].to_list() == [reached]


def test_figures_keep_the_order_of_the_experiment(tmp_path: Path) -> None:
    rows = [*figure([0.1, 0.2], "zeta"), *figure([0.3, 0.4], "alpha")]
    table = benchmark_table(written(tmp_path, rows))
    assert table["variant"].to_list() == ["zeta", "alpha"]


def test_pages_show_every_figure_and_escape_its_name(tmp_path: Path) -> None:
    rows = [
        *figure([0.25, 0.35], "a < b", source=0.3, source_sd=0.1),
        *figure([1234.5, 1234.5], "flagged"),
    ]
    table = benchmark_table(written(tmp_path, rows))
    text = markdown(table)
    assert "## gnsm: bank" in text
    assert "| a < b | precision | 0.300 ± 0.100 | 0.300 | 0.253 to 0.347 | 2 | yes |" in text
    assert "| flagged | precision | – | 1.23e+03 |" not in text
    assert "| flagged | precision | – | 1,234.5 | 1,234.5 to 1,234.5 | 2 | – |" in text
    assert "<td>a &lt; b</td>" in html(table)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_names_its_experiments(method: str) -> None:
    assert cases(method)
    assert callable(runner(method))
    for case in cases(method):
        assert re.fullmatch(r"[\w-]+", case)
        assert all(re.fullmatch(r"[\w.-]+\.(npz|parquet|gz)", name) for name in files(method, case))


@pytest.mark.parametrize("method", METHODS)
def test_the_environment_declares_all_that_a_method_imports(method: str) -> None:
    have = declared("evaluation")
    for module in reachable(SCRIPTS / module_file(method)):
        for name in third_party(module):
            assert PACKAGE_OF.get(name, name) in have, f"{module.name} imports {name}"


def test_every_method_has_its_number_of_seeds_in_the_configuration() -> None:
    seeds = schema()["properties"]["benchmarks"]["properties"]["seeds"]["properties"]
    assert sorted(seeds) == sorted(METHODS)


def test_addresses_are_safe_and_checked() -> None:
    for name, source in SOURCES.items():
        assert check_address(source.url) is None, name
        assert re.fullmatch(r"[0-9a-f]{64}|", source.sha256), name
    assert source_of("unheard_of.parquet").url == ""


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no method 'pegasos'\. Known: "):
        cases("pegasos")
