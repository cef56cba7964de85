"""How long a plan takes on a cluster: small plans whose best order is known by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedsieve.errors import BedsieveError
from bedsieve.review.cluster import Cluster, Schedule, as_text, schedule
from bedsieve.review.jobs import PlannedJob
from bedsieve.review.submissions import MANY, STEP_S, SUBMISSION_S, Profile
from tests.unit.test_review import job, planned

ONE = Cluster(nodes=1, gpus=0, cores=1, mem_mb=1000, at_once=MANY)
ALONE = Profile({}, {})


def made(jobs: Sequence[PlannedJob], cluster: Cluster, seconds: Sequence[float]) -> Schedule:
    """Each job a submission of its own, `seconds` long with its start."""
    alone = [(number,) for number in range(len(jobs))]
    return schedule(jobs, [each - SUBMISSION_S for each in seconds], alone, cluster)


def many(count: int, **fields: object) -> list[PlannedJob]:
    return [job("scores", threads=1, **fields) for _ in range(count)]


def test_as_many_run_at_once_as_there_is_room_for() -> None:
    jobs, seconds = many(12), [100.0] * 12
    assert made(jobs, ONE, seconds).seconds == 1200
    assert made(jobs, Cluster(3, 0, 2, 64_000, MANY), seconds).seconds == 200
    # 600 MB each: two to a node, whatever the cores.
    assert made(jobs, Cluster(3, 0, 64, 1300, MANY), seconds).seconds == 200
    assert made(jobs, Cluster(3, 0, 64, 64_000, 4), seconds).seconds == 300


def test_gpus_are_shared_out_and_other_jobs_run_beside_them() -> None:
    jobs = [*many(8, gpus=1), *many(4)]
    found = made(jobs, Cluster(2, 2, 4, 64_000, MANY), [100.0] * 12)
    assert found.seconds == 200
    assert found.gpus == 1.0
    assert found.cores == pytest.approx(12 / 16)


def test_the_chain_that_most_hangs_on_is_begun_first() -> None:
    """Three jobs of 100 s and a chain of three; started last, the chain would end at 400 s."""
    jobs = [*many(3), job("a", threads=1), job("b", 3, threads=1), job("c", 4, threads=1)]
    found = made(jobs, Cluster(1, 0, 2, 64_000, MANY), [100.0] * 6)
    assert found.seconds == 300
    assert found.chain_s == 300
    assert {rule for rule, _ in found.chain} == {"a", "b", "c"}


def test_a_submission_is_as_long_as_its_jobs_and_asks_for_what_the_largest_needs() -> None:
    jobs = [job("points", mem_mb=900), job("edges", 0, mem_mb=400), job("scores", 1)]
    cluster = Cluster(1, 0, 2, 900, MANY)
    found = schedule(jobs, [10.0, 20.0, 30.0], [(0, 1), (2,)], cluster)
    assert found.seconds == 60 + 2 * SUBMISSION_S + STEP_S
    assert dict(found.chain) == pytest.approx(
        {"points": 10 + SUBMISSION_S + STEP_S, "edges": 20, "scores": 30 + SUBMISSION_S}
    )


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        ({"gpus": 1}, "a job of gnn asks for 1 GPUs, and a node has 0. .* --gpus"),
        ({"threads": 2}, "asks for 2 cores, and a node has 1. .* --node-cores"),
        ({"mem_mb": 2000}, "asks for 2000 MB of memory, and a node has 1000. .* --node-gb"),
    ],
)
def test_a_job_that_no_node_has_room_for_is_named(asks: dict[str, int], said: str) -> None:
    with pytest.raises(BedsieveError, match=said):
        made([job("gnn", **({"threads": 1} | asks))], ONE, [1.0])


@given(
    st.lists(
        st.tuples(st.floats(SUBMISSION_S, 1e4), st.sets(st.integers(0, 30))),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 5),
)
def test_never_faster_than_the_chain_or_the_work_and_never_idle_beyond_grahams_bound(
    drawn: list[tuple[float, set[int]]], nodes: int
) -> None:
    jobs = [
        job("x", *sorted(other for other in needs if other < number), threads=1, mem_mb=1)
        for number, (_, needs) in enumerate(drawn)
    ]
    seconds = [each for each, _ in drawn]
    found = made(jobs, Cluster(nodes, 0, 1, 1000, MANY), seconds)
    work = sum(seconds) / nodes
    assert found.seconds >= max(work, found.chain_s) * (1 - 1e-9)
    assert found.seconds <= (work + found.chain_s) * (1 + 1e-9)


def test_the_words_say_what_the_hours_rest_on() -> None:
    jobs = [
        job("fetch", work_s=None, limit_s=7200.0, threads=1),
        job("edges", 0, work_s=3600.0 - 2 * SUBMISSION_S, threads=1),
        job("done", runs=False),
    ]
    text = as_text(planned(*jobs), ALONE, Cluster(2, 1, 4, 64_000, MANY))
    assert "On 2 nodes with 1 GPUs, 4 cores and 64 GB, empty and ours alone: 1.00 h" in text
    assert "The longest chain alone takes 1.00 h: edges 1.00, fetch 0.00." in text
    assert "0% is by measured times" in text
    assert "with their time limits instead it would be 3.00 h" in text
    assert "No job asks for a GPU" in text
    assert "No job asks" not in as_text(planned(*jobs), ALONE, Cluster(2, 0, 4, 64_000, MANY))
