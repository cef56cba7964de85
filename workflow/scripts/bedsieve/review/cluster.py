"""How long a plan would take on a cluster that has nothing else to do: its submissions, placed on nodes one by one.

In: planned jobs, how long each takes, which share a submission, and the nodes. Out: hours, what they are full of, and the
chain of jobs that no further node would shorten. This is list scheduling (Graham, 1969): whenever something ends, the submission
that the longest chain hangs on is started first, on a node that has room for it; at worst that takes twice the best time.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from bedsieve.errors import BedsieveError
from bedsieve.review.jobs import Planned, PlannedJob
from bedsieve.review.submissions import STEP_S, SUBMISSION_S, Profile, submissions_of
from bedsieve.review.table import estimate

_SHOWN = 4


@dataclass(frozen=True)
class Cluster:
    """Nodes that are all alike, what each has, and how many submissions may run at a time."""

    nodes: int
    gpus: int
    cores: int
    mem_mb: int
    at_once: int

    @property
    def node(self) -> tuple[int, int, int]:
        """Cores, MB and GPUs of a node."""
        return self.cores, self.mem_mb, self.gpus

    def __str__(self) -> str:
        return f"{self.nodes} nodes with {self.gpus} GPUs, {self.cores} cores and {self.mem_mb / 1000:.0f} GB"


@dataclass(frozen=True)
class Schedule:
    """What a cluster makes of a plan.

    `seconds` is from the first start to the last end; `cores` and `gpus` are the shares of them that are taken meanwhile.
    `chain` gives the rules of the longest chain of submissions with their seconds, the longest rule first.
    """

    seconds: float
    cores: float
    gpus: float
    chain: tuple[tuple[str, float], ...]

    @property
    def chain_s(self) -> float:
        """Seconds of the longest chain: no cluster is faster."""
        return sum(seconds for _, seconds in self.chain)


@dataclass(frozen=True)
class _Submission:
    """Its jobs run one after the other; `asks` is what the largest of them need: cores, MB, GPUs."""

    jobs: tuple[int, ...]
    seconds: float
    asks: tuple[int, int, int]
    needs: frozenset[int]


def as_text(plan: Planned, profile: Profile, cluster: Cluster) -> str:
    """How long the plan takes there, and on what that rests.

    A job whose hours are not known counts as nothing, and in a second figure as its whole time limit.

    Raises
    ------
    BedsieveError
        If a job asks for more than a node has.
    """
    guesses = estimate(plan.jobs)
    least = [guess.seconds or 0.0 for guess in guesses]
    most = [
        job.limit_s if guess.seconds is None else guess.seconds
        for job, guess in zip(plan.jobs, guesses, strict=True)
    ]
    together = submissions_of(plan.jobs, profile)
    made = schedule(plan.jobs, least, together, cluster)
    limited = schedule(plan.jobs, most, together, cluster)
    running = [number for numbers in together for number in numbers]
    work = sum(least[number] for number in running)
    measured = sum(least[number] for number in running if guesses[number].source == "measured")
    chain = ", ".join(f"{rule} {seconds / 3600:.2f}" for rule, seconds in made.chain[:_SHOWN])
    lines = [
        f"On {cluster}, empty and ours alone: {made.seconds / 3600:.2f} h, with {made.cores:.0%} of the cores "
        f"and {made.gpus:.0%} of the GPUs taken. The longest chain alone takes {made.chain_s / 3600:.2f} h: "
        f"{chain}.",
        f"Of the work, {measured / work if work else 0:.0%} is by measured times, the rest by the rates that rules "
        f"state. Where neither is known, nothing is counted; with their time limits instead it would be "
        f"{limited.seconds / 3600:.2f} h.",
    ]
    if cluster.gpus and not any(plan.jobs[number].gpus for number in running):
        lines.append(
            "No job asks for a GPU: that takes `models: {device: gpu}` in the configuration."
        )
    return "\n".join(lines) + "\n"


def schedule(
    jobs: Sequence[PlannedJob],
    seconds: Sequence[float],
    submissions: Sequence[tuple[int, ...]],
    cluster: Cluster,
) -> Schedule:
    """Place submissions on nodes until all are done.

    Parameters
    ----------
    jobs : sequence of PlannedJob
    seconds : sequence of float
        How long each takes (s), beside its start.
    submissions : sequence of tuple of int
        Jobs of each submission, in the plan's order.
    cluster : Cluster

    Raises
    ------
    BedsieveError
        If a job asks for more than a node has; names its rule.
    """
    work = _submissions(jobs, seconds, submissions)
    for one in work:
        _check(jobs[one.jobs[0]].rule, one, cluster)
    after: list[list[int]] = [[] for _ in work]
    for place, one in enumerate(work):
        for other in one.needs:
            after[other].append(place)
    rest = _longest_rest(work, after)
    end = _place(work, after, rest, cluster)
    taken = [sum(one.seconds * one.asks[kind] for one in work) for kind in (0, 2)]
    there = [end * cluster.nodes * cluster.node[kind] for kind in (0, 2)]
    cores, gpus = (part / whole if whole else 0.0 for part, whole in zip(taken, there, strict=True))
    return Schedule(end, cores, gpus, _chain(jobs, seconds, work, after, rest))


def _submissions(
    jobs: Sequence[PlannedJob], seconds: Sequence[float], submissions: Sequence[tuple[int, ...]]
) -> list[_Submission]:
    owner = {number: place for place, numbers in enumerate(submissions) for number in numbers}
    out = []
    for place, numbers in enumerate(submissions):
        mine = [jobs[number] for number in numbers]
        starts = SUBMISSION_S + STEP_S * (len(numbers) - 1)
        needs = {owner[other] for job in mine for other in job.needs if other in owner}
        out.append(
            _Submission(
                jobs=numbers,
                seconds=starts + sum(seconds[number] for number in numbers),
                asks=(
                    max(job.threads for job in mine),
                    max(job.mem_mb for job in mine),
                    max(job.gpus for job in mine),
                ),
                needs=frozenset(needs - {place}),
            )
        )
    return out


def _check(rule: str, one: _Submission, cluster: Cluster) -> None:
    names = (("cores", "--node-cores"), ("MB of memory", "--node-gb"), ("GPUs", "--gpus"))
    for asked, has, (what, option) in zip(one.asks, cluster.node, names, strict=True):
        if asked > has:
            raise BedsieveError(
                f"a job of {rule} asks for {asked} {what}, and a node has {has}. Say what your nodes have with "
                f"{option}; if that is all, this plan cannot run there."
            )


def _longest_rest(work: list[_Submission], after: list[list[int]]) -> list[float]:
    """Seconds from the start of each submission to the end of the longest chain that waits for it."""
    order = TopologicalSorter({place: one.needs for place, one in enumerate(work)}).static_order()
    rest = [0.0] * len(work)
    for place in reversed(list(order)):
        longest = max((rest[other] for other in after[place]), default=0.0)
        rest[place] = work[place].seconds + longest
    return rest


def _place(
    work: list[_Submission], after: list[list[int]], rest: list[float], cluster: Cluster
) -> float:
    """When the last submission ends (s)."""
    free = [list(cluster.node) for _ in range(cluster.nodes)]
    waiting = [len(one.needs) for one in work]
    ready = [place for place, count in enumerate(waiting) if not count]
    running: list[tuple[float, int, int]] = []
    now = 0.0
    while ready or running:
        left: list[int] = []
        refused: list[tuple[int, int, int]] = []
        for place in sorted(ready, key=lambda place: -rest[place]):
            asks = work[place].asks
            full = len(running) >= cluster.at_once or any(_fits(less, asks) for less in refused)
            node = None if full else _room(free, asks)
            if node is None:
                left.append(place)
                refused.append(asks)
            else:
                free[node] = [has - asked for has, asked in zip(free[node], asks, strict=True)]
                heapq.heappush(running, (now + work[place].seconds, place, node))
        now, ended, node = heapq.heappop(running)
        asks = work[ended].asks
        free[node] = [has + asked for has, asked in zip(free[node], asks, strict=True)]
        for other in after[ended]:
            waiting[other] -= 1
        ready = left + [other for other in after[ended] if not waiting[other]]
    return now


def _room(free: list[list[int]], asks: tuple[int, int, int]) -> int | None:
    """The node with the most free cores among those that have room; None if none has."""
    fit = [node for node, has in enumerate(free) if _fits(asks, has)]
    return max(fit, key=lambda node: free[node][0], default=None)


def _fits(asks: Sequence[int], has: Sequence[int]) -> bool:
    return asks[0] <= has[0] and asks[1] <= has[1] and asks[2] <= has[2]


def _chain(
    jobs: Sequence[PlannedJob],
    seconds: Sequence[float],
    work: list[_Submission],
    after: list[list[int]],
    rest: list[float],
) -> tuple[tuple[str, float], ...]:
    """Seconds of each rule in the longest chain; starts are those of their submission's first job."""
    rules: dict[str, float] = {}
    choice: Sequence[int] = range(len(work))
    while choice:
        place = max(choice, key=rest.__getitem__)
        numbers = work[place].jobs
        starts = work[place].seconds - sum(seconds[number] for number in numbers)
        for number in numbers:
            rules[jobs[number].rule] = rules.get(jobs[number].rule, 0.0) + seconds[number]
        rules[jobs[numbers[0]].rule] += starts
        choice = after[place]
    return tuple(sorted(rules.items(), key=lambda item: -item[1]))
