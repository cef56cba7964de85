"""Snakemake's own limit of submissions: dropped where it is the default, kept where it was asked for."""

import inspect
from types import SimpleNamespace

import pytest
from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import MaxJobsPerTimespan

from bedsieve.scheduling import DEFAULT_LIMIT, lift_default_rate_limit


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
