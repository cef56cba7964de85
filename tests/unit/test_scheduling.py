"""Snakemake's own limit of submissions, and how often it reads the scripts."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import MaxJobsPerTimespan
from snakemake.sourcecache import LocalSourceFile, SourceCache

from bedsieve.scheduling import DEFAULT_LIMIT, lift_default_rate_limit, read_sources_once


def _after(limit: MaxJobsPerTimespan | None) -> object:
    scheduler = SimpleNamespace(job_rate_limiter="limiter")
    settings = SimpleNamespace(max_jobs_per_timespan=limit)
    lift_default_rate_limit(SimpleNamespace(scheduling_settings=settings, scheduler=scheduler))
    return scheduler.job_rate_limiter


@pytest.mark.parametrize(
    ("limit", "left"),
    [("100/1s", None), ("100/1m", "limiter"), ("50/1s", "limiter"), ("5/2s", "limiter")],
)
def test_only_the_default_goes(limit: str, left: object) -> None:
    assert _after(MaxJobsPerTimespan.parse_choice(limit)) == left


def test_no_limit_stays_none() -> None:
    assert _after(None) == "limiter"


def test_snakemake_still_has_what_is_changed() -> None:
    default = get_argument_parser().get_default("max_jobs_per_timespan")
    limit = MaxJobsPerTimespan.parse_choice(default)
    assert (limit.max_jobs, limit.timespan) == DEFAULT_LIMIT
    assert "self.job_rate_limiter is None" in inspect.getsource(JobScheduler)


def test_a_script_is_read_once_and_text_stays_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "scripts" / "a.py"
    script.parent.mkdir()
    script.write_text("first = 1\nsecond = 2\n")
    cache = SourceCache(tmp_path / "cache", runtime_cache_path=str(tmp_path / "runtime"))
    opened = []
    plain = cache._open
    monkeypatch.setattr(cache, "_open", lambda *of, **how: opened.append(of) or plain(*of, **how))
    read_sources_once(SimpleNamespace(sourcecache=cache))
    for _ in range(3):
        with cache.open(LocalSourceFile(str(script))) as file:
            assert list(file) == ["first = 1\n", "second = 2\n"]
        with cache.open(LocalSourceFile(str(script)), "rb") as file:
            assert file.read() == script.read_bytes()
        assert cache.exists(LocalSourceFile(str(script)))
        assert not cache.exists(LocalSourceFile(str(tmp_path / "none.py")))
    modes = [arguments[1] for arguments in opened if "none" not in str(arguments[0].path)]
    # The first copies the source, the second is the only one that reads the text.
    assert modes == ["rb", "r", "rb", "rb", "rb"]
