"""The job's clock against the store's: an hour off, stepping forwards and backwards, noisy."""

import pytest

from tests.support.clocks import ManualClock
from tracking_core.clock import ClockOffset

HOUR = 3_600_000_000
SECOND = 1_000_000


class Bench:
    """A clock_offset, the job's clock, and the store's, which goes its own way."""

    def __init__(self, ahead: int = 0) -> None:
        self.clock = ManualClock()
        self.ahead = ahead
        self.stepped = 0
        self.clock_offset = ClockOffset(self.clock)

    @property
    def store_us(self) -> int:
        return self.clock.us + self.ahead - self.stepped

    def ask(self) -> None:
        self.clock_offset.measure(self.store_us, self.clock.seconds)

    def wait(self, us: int) -> None:
        self.clock.us += us
        self.clock.seconds += us / SECOND

    def step(self, us: int) -> None:
        self.clock.us += us
        self.stepped += us

    def said(self) -> tuple[int, int]:
        """Return what both clocks say of an event now."""
        return self.clock.us, self.store_us


def test_until_a_store_has_told_its_clock_the_job_s_is_believed() -> None:
    bench = Bench(HOUR)
    bench.clock_offset.look()
    assert not bench.clock_offset.is_known
    assert bench.clock_offset.corrected(bench.clock.us) == bench.clock.us
    bench.clock_offset.measure(0, bench.clock.seconds)
    assert not bench.clock_offset.is_known


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_a_job_s_clock_that_is_an_hour_off_is_corrected(ahead: int) -> None:
    bench = Bench(ahead)
    bench.ask()
    bench.wait(SECOND)
    bench.clock_offset.look()
    assert bench.clock_offset.corrected(bench.clock.us) == bench.store_us
    assert bench.clock_offset.offset_us == ahead


def test_differences_within_the_network_s_noise_change_nothing() -> None:
    bench = Bench(20_000)
    bench.ask()
    assert bench.clock_offset.is_known
    assert bench.clock_offset.offset_us == 0
    asked, answer = bench.clock.seconds, bench.clock.us + 3 * SECOND
    bench.wait(4 * SECOND)
    bench.clock_offset.measure(answer, asked)
    assert bench.clock_offset.offset_us == 0


@pytest.mark.parametrize("step", [HOUR, -HOUR])
@pytest.mark.parametrize("ahead", [0, HOUR])
def test_what_was_recorded_before_a_step_and_after_it_both_get_the_store_s_time(step: int, ahead: int) -> None:
    bench = Bench(ahead)
    bench.ask()
    bench.clock_offset.look()
    bench.wait(SECOND // 2)
    before = bench.said()
    bench.step(step)
    bench.wait(SECOND // 4)
    after = bench.said()
    bench.wait(SECOND // 4)
    bench.clock_offset.look()
    assert [bench.clock_offset.corrected(at) for at, _ in (before, after)] == [store for _, store in (before, after)]


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_step_is_corrected_though_nothing_was_recorded_for_long(step: int) -> None:
    bench = Bench()
    bench.ask()
    bench.clock_offset.look()
    bench.wait(2 * HOUR)
    bench.step(step)
    bench.clock_offset.look()
    assert bench.clock_offset.corrected(bench.clock.us) == bench.store_us


def test_after_a_step_the_next_answer_confirms_what_was_worked_out() -> None:
    bench = Bench(HOUR)
    bench.ask()
    bench.step(-HOUR)
    bench.clock_offset.look()
    offset = bench.clock_offset.offset_us
    bench.ask()
    assert bench.clock_offset.offset_us == offset == 2 * HOUR
    bench.wait(SECOND)
    bench.clock_offset.look()
    assert bench.clock_offset.corrected(bench.clock.us) == bench.store_us


@pytest.mark.parametrize("step", [HOUR, -HOUR])
@pytest.mark.parametrize("ahead", [0, HOUR])
def test_a_step_while_the_store_is_asked_spoils_no_measurement(step: int, ahead: int) -> None:
    bench = Bench(ahead)
    asked = bench.clock.seconds
    bench.wait(SECOND // 10)
    answer = bench.store_us
    bench.step(step)
    bench.wait(SECOND // 10)
    bench.clock_offset.measure(answer, asked)
    bench.clock_offset.look()
    assert bench.clock_offset.corrected(bench.clock.us) == bench.store_us


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_an_answer_after_a_step_that_nobody_looked_at_yet_counts_it_once(step: int) -> None:
    bench = Bench()
    bench.ask()
    bench.clock_offset.look()
    bench.wait(SECOND)
    bench.step(step)
    bench.ask()
    bench.wait(SECOND)
    bench.clock_offset.look()
    assert bench.clock_offset.corrected(bench.clock.us) == bench.store_us
