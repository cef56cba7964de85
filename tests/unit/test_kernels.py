"""Kernels on several threads give the numbers of one, and every number once."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from bedsieve.kernels import copy_into, in_threads


@njit(nogil=True)
def _add(source, target, first, last):
    for i in range(first, last):
        target[i] += source[i]


@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 50), st.one_of(st.none(), st.integers(1, 60)), st.integers(1, 4))
def test_each_number_is_worked_on_once(n: int, step: int | None, threads: int) -> None:
    target = np.zeros(n)
    in_threads(_add, (np.ones(n), target), n, step, threads)
    assert target.tolist() == [1.0] * n


def test_parts_run_side_by_side() -> None:
    together = threading.Barrier(2, timeout=20)
    in_threads(lambda first, last: together.wait() and None, (), 2, 1, 2)


def test_parts_have_the_length_asked_for_on_one_thread_too() -> None:
    parts: list[tuple[int, int]] = []
    in_threads(lambda first, last: parts.append((first, last)), (), 7, 3, 1)
    assert parts == [(0, 3), (3, 6), (6, 7)]
    parts.clear()
    in_threads(lambda first, last: parts.append((first, last)), (), 7, None, 1)
    assert parts == [(0, 7)]


def test_little_work_is_not_handed_out() -> None:
    seen = set()
    in_threads(lambda first, last: seen.add(threading.get_ident()), (), 9, 1, 3, work=9)
    assert seen == {threading.get_ident()}


def test_what_goes_wrong_in_a_thread_is_raised() -> None:
    def fail(first: int, last: int) -> None:
        raise ValueError(f"{first}")

    with pytest.raises(ValueError, match="0"):
        in_threads(fail, (), 4, 1, 2)


def test_a_copy_within_a_kernel() -> None:
    @njit
    def copied(source):
        target = np.zeros((2, source.size))
        copy_into(target[1], source)
        return target

    assert copied(np.array([1.0, 2.0])).tolist() == [[0.0, 0.0], [1.0, 2.0]]
