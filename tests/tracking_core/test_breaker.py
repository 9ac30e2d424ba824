"""The breaker: when a store that failed may be tried again, and by how many; time is passed in."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking_core.delivery.store_link import IMPATIENT_S, JITTER, LONGEST_PAUSE_S, Breaker
from tracking_core.process.forks import begin_in_child

SLOW = 5.0


def breaker(share: float = 0.0) -> Breaker:
    return Breaker(lambda: share)


def pauses(one: Breaker, count: int, *, took: float, now: float = 0.0) -> list[float]:
    """Return the pauses after so many failures, each one right after the pause before."""
    found = []
    for _ in range(count):
        found.append(one.failed(now, took))
        now += found[-1]
        assert one.may_try(now)
    return found


def test_a_store_that_works_may_be_tried_by_all_at_once() -> None:
    one = breaker()
    assert all(one.may_try(0.0) for _ in range(5))
    assert not one.is_open
    assert one.remaining(0.0) == 0.0


def test_after_a_failure_nobody_may_try_until_the_pause_is_over() -> None:
    one = breaker()
    one.failed(100.0)
    assert one.is_open
    assert not one.may_try(100.0)
    assert not one.may_try(100.999)
    assert one.remaining(100.25) == pytest.approx(0.75)
    assert one.may_try(101.0)
    assert one.remaining(102.0) == 0.0


def test_one_caller_alone_is_let_through_after_a_pause() -> None:
    one = breaker()
    one.failed(0.0)
    answers: list[bool] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        answers.append(one.may_try(1.0))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(True) == 1


def test_success_lets_all_through_again_and_forgets_what_was() -> None:
    one = breaker()
    pauses(one, 4, took=SLOW)
    one.worked()
    assert not one.is_open
    assert one.may_try(0.0)
    assert one.may_try(0.0)
    assert one.failed(0.0, SLOW) == 1.0


def test_a_try_that_was_not_made_is_left_to_the_next_caller() -> None:
    one = breaker()
    one.failed(0.0)
    assert one.may_try(1.0)
    one.unknown()
    assert one.is_open
    assert one.may_try(1.0)
    assert not one.may_try(1.0)


def test_failures_that_take_their_time_double_the_pause_up_to_the_longest() -> None:
    assert pauses(breaker(), 8, took=SLOW) == [1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_the_longest_pause_leaves_time_to_be_back_within_half_a_minute() -> None:
    assert LONGEST_PAUSE_S + SLOW <= 30


def test_quick_refusals_are_asked_again_every_second_for_a_minute_and_then_less_often() -> None:
    found = pauses(breaker(), 70, took=0.001)
    assert found[: int(IMPATIENT_S) + 1] == [1.0] * (int(IMPATIENT_S) + 1)
    assert found[int(IMPATIENT_S) + 1 :][:3] == [2.0, 4.0, 8.0]


@given(st.floats(0, 1), st.integers(1, 20))
def test_pauses_are_shortened_by_a_fifth_at_the_most(share: float, failures: int) -> None:
    one, steady = breaker(share), breaker()
    for _ in range(failures):
        shortened, whole = one.failed(0.0, SLOW), steady.failed(0.0, SLOW)
        assert whole * (1 - JITTER) <= shortened <= whole


def test_by_chance_pauses_differ() -> None:
    assert len({Breaker().failed(0.0) for _ in range(20)}) > 1


def test_a_forked_child_is_let_through_though_its_parent_was_trying() -> None:
    one = breaker()
    one.failed(0.0)
    assert one.may_try(1.0)
    begin_in_child()
    assert one.is_open
    assert one.may_try(1.0)


def test_a_call_from_within_does_not_wait_for_itself() -> None:
    one: Breaker
    asked: list[bool] = []

    def share() -> float:
        # A `__del__` may record something at any moment.
        asked.append(one.may_try(0.0))
        return 0.0

    one = Breaker(share)
    one.failed(0.0)
    assert asked == [True]
