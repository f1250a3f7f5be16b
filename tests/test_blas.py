"""The threads of BLAS: one inside a solve, whatever the caller had afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Barrier, Thread

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import fokkerplanck as fp
from fokkerplanck.threads import one_blas_thread


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def put(number: int) -> None:
    """In a thread that ends: one that lives, and has set the number, keeps others from setting it."""
    setter = Thread(target=threadpool_limits, args=(number, "blas"))
    setter.start()
    setter.join()


@pytest.fixture(autouse=True)
def two() -> Iterator[None]:
    """Two threads for the caller, also on a machine where one is the default."""
    (before,) = threads()
    put(2)
    assert threads() == {2}
    yield
    put(before)


def test_one_inside_and_the_callers_own_afterwards() -> None:
    with one_blas_thread():
        assert threads() == {1}
        with one_blas_thread():
            assert threads() == {1}
        assert threads() == {1}
    assert threads() == {2}


def test_the_callers_own_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        raise ZeroDivisionError
    assert threads() == {2}


def test_overlapping_calls_leave_the_callers_own() -> None:
    """The first leaves while the second is inside: put back in the wrong order, one thread would be left for good."""
    first_in, second_in, first_out = Barrier(2), Barrier(2), Barrier(2)
    seen = []

    def first() -> None:
        with one_blas_thread():
            seen.append(threads())
            first_in.wait(10)
            second_in.wait(10)
        first_out.wait(10)

    def second() -> None:
        first_in.wait(10)
        with one_blas_thread():
            second_in.wait(10)
            first_out.wait(10)

    both = [Thread(target=first), Thread(target=second)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(20)
    assert seen == [{1}]
    assert threads() == {2}


def test_a_solve_sees_one_and_is_the_same_with_any_number() -> None:
    seen = set()

    def drift(x: np.ndarray) -> np.ndarray:
        seen.update(threads())
        return np.stack([-x[0] + x[1], -x[1] - x[0]])

    process = fp.DiffusionProcess(drift, 0.5, dim=2)
    box = fp.Box([-4, -4], [4, 4])

    def solved() -> fp.Solution:
        return fp.solve_stationary(process, box, shape=(64, 64))

    one = solved()
    assert 1 in seen
    assert threads() == {2}
    put(1)
    other = solved()
    np.testing.assert_array_equal(one.density, other.density)
