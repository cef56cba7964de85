"""What jobs ask of a cluster: estimates, attempts, and a site's limits."""

from bedsieve.job_requests import RECKONING, JobRequests, idle_gpus, network_jobs, threads_for


def test_estimates_grow_with_points_and_attempts() -> None:
    asks = JobRequests()
    assert asks.megabytes(1_000_000, 100, base=600, attempt=1) == 1100
    assert asks.megabytes(1_000_000, 100, base=600, attempt=2) == 1650
    assert asks.minutes(60_000_000, 1_000_000, attempt=1) == 7
    assert asks.minutes(60_000_000, 1_000_000, attempt=2) == 14
    assert (threads_for(4_999_999), threads_for(5_000_000)) == (1, 2)


def test_no_attempt_asks_for_more_than_a_site_allows() -> None:
    asks = JobRequests(max_runtime=10, max_mem_mb=1200)
    assert [asks.minutes(60_000_000, 1_000_000, attempt) for attempt in (1, 2, 3)] == [7, 10, 10]
    assert [asks.megabytes(1_000_000, 100, 600, attempt) for attempt in (1, 2)] == [1100, 1200]
    assert [asks.allowed(5 * attempt, attempt) for attempt in (1, 2, 3)] == [5, 10, 10]
    # The plan reckons by the whole estimate.
    whole = JobRequests().minutes(60_000_000, 1_000_000, RECKONING)
    assert asks.minutes(60_000_000, 1_000_000, RECKONING) == whole > 10


def test_only_a_gpu_asks_for_one() -> None:
    assert network_jobs("gpu") == ("torch-gpu", {"gpu": 1})
    assert network_jobs("cpu") == network_jobs("auto") == ("torch-cpu", {})


def test_gpus_that_networks_would_not_use_are_told() -> None:
    given = {"gnn": {"gpu": 1, "slurm_partition": "gpu"}, "edges": {"mem_mb": 9}, "gae": {"gpu": 1}}
    said = idle_gpus(given, "cpu")
    assert said is not None
    assert "but gae, gnn are given a GPU" in said
    assert idle_gpus(given, "gpu") is idle_gpus(given, "auto") is None
    assert idle_gpus({"edges": {"mem_mb": 9}}, "cpu") is None
