"""The benchmark of categorical score matching: its tables, its split and its rows."""

import gzip
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bedsieve.benchmarks.gnsm import CASES, CURVE, FILES, run
from bedsieve.benchmarks.gnsm_files import FETCHED
from bedsieve.benchmarks.gnsm_sets import CENSUS_COLUMNS, read_set
from bedsieve.benchmarks.gnsm_source import GNSM, LESS_ECOD, RELEASED, SOURCE
from bedsieve.detectors.gnsm_settings import GnsmSettings
from bedsieve.errors import InputError

SMALL = GnsmSettings(width=16, layers=1, levels=4, steps=300, batch=64, components=(1, 2))
SHIPPED = Path(__file__).resolve().parents[3] / "shared" / "data" / "benchmarks"


def write_table(path: Path, n: int = 400) -> np.ndarray:
    rng = np.random.default_rng(0)
    bad = rng.random(n) < 0.1
    a = rng.integers(0, 3, n)
    b = np.where(bad, (a + 1) % 3, a)
    columns = {"a": a.astype(str), "b": b.astype(str), "class": bad.astype(int).astype(str)}
    pl.DataFrame(columns).write_parquet(path)
    return bad


def test_rows_hold_the_curve_and_stand_beside_the_source(tmp_path: Path) -> None:
    write_table(tmp_path / "cmc.parquet")
    rows = run("cmc", 2, tmp_path, SMALL)
    found = {row.variant: row for row in rows}
    assert len(found) == len(rows) == 2 * (len(CURVE) + 1) + 3 + 2
    ways, ecod = (GNSM, RELEASED), found.pop("ECOD (PyOD)")
    assert {f"{way}, {step} of 300 steps" for step in (30, 120) for way in ways} < set(found)
    for way in ways:
        apart = found.pop(f"{way}, {LESS_ECOD}")
        assert apart.value == found[way].value - ecod.value
        assert apart.source == pytest.approx(0.2587 - 0.2379)
        assert apart.source_sd == pytest.approx(math.hypot(0.0993, 0.0175))
    assert all(0 <= row.value <= 1 for row in found.values())
    assert {(row.method, row.case, row.seed) for row in rows} == {("gnsm", "cmc", 2)}
    assert (found[GNSM].source, found[GNSM].source_sd) == (0.2587, 0.0993)
    assert found[RELEASED].source == 0.2587
    assert ecod.source == 0.2379
    assert found[f"{GNSM}, 120 of 300 steps"].source is None
    assert found[GNSM].value > 0.9
    assert run("cmc", 2, tmp_path, SMALL) == rows


def test_published_figures_cover_the_same_sets() -> None:
    sets = {*CASES, *FETCHED}
    assert set(FILES) == sets
    assert FILES["census"] == ("census-income.data.gz", "census-income.test.gz")
    assert all(set(figures) == sets for figures in SOURCE.values())


def test_the_label_of_bank_is_yes(tmp_path: Path) -> None:
    rows = pl.DataFrame({"job": ["a", "b", "a"], "y": ["no", "yes", "1"]})
    rows.write_parquet(tmp_path / "bank.parquet")
    table = read_set("bank", tmp_path)
    assert table.anomaly.tolist() == [False, True, False]
    assert table.rows.columns == ["job"]
    with pytest.raises(InputError, match=r"solar\.parquet"):
        read_set("solar", tmp_path)


def test_census_as_published(tmp_path: Path) -> None:
    low = ["x"] * (len(CENSUS_COLUMNS) - 1)
    low[CENSUS_COLUMNS.index("education")] = "Some college but no degree"
    for name, value in (("age", "73"), ("wage_per_hour", "0"), ("capital_gains", "0")):
        low[CENSUS_COLUMNS.index(name)] = value
    for name in ("capital_losses", "dividends"):
        low[CENSUS_COLUMNS.index(name)] = "12"
    lines = [", ".join([*low, "- 50000."]), ", ".join([*low, "50000+."])]
    for file in FETCHED["census"]:
        (tmp_path / file.name).write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    table = read_set("census", tmp_path)
    assert table.anomaly.tolist() == [False, True] * 2
    assert table.rows["education"].to_list() == ["Some college but no degree"] * 4
    assert table.rows["age"].to_list() == [73.0] * 4
    assert not {"instance_weight", "income"} & set(table.rows.columns)
    (tmp_path / FETCHED["census"][0].name).write_bytes(gzip.compress(b"1,2\n"))
    with pytest.raises(InputError, match="has 2 columns, not 42"):
        read_set("census", tmp_path)


def test_probe_as_published(tmp_path: Path) -> None:
    def line(service: str, label: str) -> str:
        cells = ["0"] * 41
        cells[1:4] = ["tcp", service, "SF"]
        return ",".join([*cells, label])

    labels = [("http", "normal."), ("eco_i", "satan."), ("http", "smurf."), ("x", "ipsweep.")]
    text = "\n".join([line(*each) for each in labels] + [""])
    (file,) = FETCHED["probe"]
    (tmp_path / file.name).write_bytes(gzip.compress(text.encode()))
    table = read_set("probe", tmp_path)
    assert table.anomaly.tolist() == [False, True, True]
    assert table.rows["service"].to_list() == ["http", "eco_i", "x"]
    assert table.rows.width == 6


@pytest.mark.real
@pytest.mark.skipif(not SHIPPED.exists(), reason="the prepared tables are not beside the project")
def test_prepared_tables_have_the_sources_sizes() -> None:
    sizes = {
        **{"bank": (36548, 4640), "chess": (28029, 27), "cmc": (1444, 29)},
        **{"solar": (1023, 43), "u2r": (60593, 228)},
    }
    for case in CASES:
        anomaly = read_set(case, SHIPPED).anomaly
        assert (int((~anomaly).sum()), int(anomaly.sum())) == sizes[case]
