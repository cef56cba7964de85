"""A survey's CSV through all of ingest but covariates, beside what merely turns CSV into Parquet.

Ours parses, cleans, projects, finds copies and tracks, takes the file's sha256 and writes the points,
the dropped rows and the ledger. polars and pyarrow stream the same file into a zstd-1 Parquet file, pandas reads it whole,
without looking at it. Each run has a process of its own, for its peak memory; imports and a first
small file, which loads the compiled kernels, are not timed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bedsieve.ingest.header import COLUMNS

ROUNDS = 3
_ROWS_AT_ONCE = 500_000
_FIELDS = {"project": "bench", "time_coverage_start": "2007", "institution": "none"}

_PROGRAMS = {
    "bedsieve": """
from bedsieve.ingest.harmonise import harmonise
def work(csv, out):
    harmonise(csv, "BENCH", 1, out / "p.parquet", out / "l.json", out / "d.parquet", crs="EPSG:3031")
""",
    "polars sink_parquet": """
import polars as pl
def work(csv, out):
    lazy = pl.scan_csv(csv, comment_prefix="#", infer_schema_length=1000)
    lazy.sink_parquet(out / "p.parquet", compression="zstd", compression_level=1)
""",
    "pyarrow stream": """
import pyarrow.csv, pyarrow.parquet
def work(csv, out):
    above = sum(line.startswith(b"#") for line in csv.open("rb"))
    options = pyarrow.csv.ReadOptions(skip_rows=above, block_size=8 << 20)
    batches = pyarrow.csv.open_csv(csv, read_options=options)
    target = out / "p.parquet"
    with pyarrow.parquet.ParquetWriter(
        target, batches.schema, compression="zstd", compression_level=1
    ) as writer:
        for batch in batches:
            writer.write_batch(batch)
""",
    "pandas read_csv, to_parquet": """
import pandas
def work(csv, out):
    pandas.read_csv(csv, comment="#").to_parquet(out / "p.parquet", compression="zstd")
""",
}
_AROUND = """
import json, os, sys, time
from pathlib import Path
{program}
small, csv, out = (Path(argument) for argument in sys.argv[1:])
work(small, out)
start, processor = time.perf_counter(), time.process_time()
work(csv, out)
seconds, processor = time.perf_counter() - start, time.process_time() - processor
status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
print(json.dumps({{"seconds": seconds, "cpu": processor, "peak": 1024 * int(status.split()[0])}}))
"""


def write_survey(path: Path, rows: int, seed: int = 0) -> None:
    """Write a made survey: lines of 50,000 points 20 m apart, one row in twenty without thickness."""
    rng = np.random.default_rng(seed)
    with path.open("wb") as stream:
        above = [f"#{key}: {value}" for key, value in _FIELDS.items()]
        stream.write("\n".join([*above, ",".join(COLUMNS), ""]).encode())
        for first in range(0, rows, _ROWS_AT_ONCE):
            number = np.arange(first, min(first + _ROWS_AT_ONCE, rows))
            _table(number, rng).write_csv(stream, include_header=False)


def _table(number: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    line, place = np.divmod(number, 50_000)
    thickness = 1800 + 700 * np.sin(place / 900) + rng.normal(0, 5, len(number))
    measured = rng.random(len(number)) > 0.05
    surface = 2500 + 100 * np.cos(place / 3000)
    second = place * 3 // 10
    clock = [f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(int(second.max()) + 1)]
    day = (np.datetime64("2007-01-01") + np.arange(365)).astype(str)
    return pl.DataFrame(
        {
            "trajectory_id": pl.Series(line.astype(str)) + "_AIR",
            "trace_number": place,
            "lon": (-170 + line * 0.37 % 340 + 1e-4 * place).round(6),
            "lat": (-70 - 2e-4 * place - 1e-5 * rng.random(len(number))).round(6),
            "date": pl.Series(day[line % 365]),
            "time": pl.Series(np.array(clock)[second]),
            "surface_alt": surface.round(2),
            "ice_thickness": np.where(measured, thickness, -9999).round(2),
            "bed_elev": np.where(measured, surface - thickness, -9999).round(2),
            "two_way_travel_time": np.where(measured, thickness / 84e6, -9999).round(9),
            "aircraft_alt": (surface + 500).round(2),
            "atd": place * 20.0,
        }
    )


def run(n: int = 2_000_000) -> list[dict[str, Any]]:
    """One row a peer: rates, the ratio of times and the peak memory of either."""
    with tempfile.TemporaryDirectory() as folder:
        small, csv = Path(folder, "small.csv"), Path(folder, "survey.csv")
        write_survey(small, 1_000)
        write_survey(csv, n)
        megabytes = csv.stat().st_size / 1e6
        _measured("bedsieve", small, small, Path(folder))  # compiles the kernels if need be
        rounds = [
            {name: _measured(name, small, csv, Path(folder)) for name in _PROGRAMS}
            for _ in range(ROUNDS)
        ]
    return [_row(n, megabytes, name, rounds) for name in _PROGRAMS if name != "bedsieve"]


def _measured(name: str, small: Path, csv: Path, out: Path) -> dict[str, float]:
    code = _AROUND.format(program=_PROGRAMS[name])
    paths = os.pathsep.join(filter(None, sys.path))
    result = subprocess.run(
        [sys.executable, "-c", code, str(small), str(csv), str(out)],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        check=True,
    )
    measured: dict[str, float] = json.loads(result.stdout)
    return measured


def _row(
    n: int, megabytes: float, peer: str, rounds: list[dict[str, dict[str, float]]]
) -> dict[str, Any]:
    def median(name: str, field: str) -> float:
        return statistics.median(measured[name][field] for measured in rounds)

    return {
        "stage": "ingest",
        "what": "CSV to harmonised points, beside CSV to Parquet",
        "n": n,
        "ours": megabytes / median("bedsieve", "seconds"),
        "peer": peer,
        "peer_rate": megabytes / median(peer, "seconds"),
        "unit": "MB/s of CSV",
        "ratio": statistics.median(r[peer]["seconds"] / r["bedsieve"]["seconds"] for r in rounds),
        "cpu_ratio": statistics.median(r[peer]["cpu"] / r["bedsieve"]["cpu"] for r in rounds),
        "ours_mps": n / median("bedsieve", "seconds") / 1e6,
        "peer_mps": n / median(peer, "seconds") / 1e6,
        "ours_peak_mb": median("bedsieve", "peak") / 1e6,
        "peer_peak_mb": median(peer, "peak") / 1e6,
        "bytes_per_point": median("bedsieve", "peak") / n,
    }
