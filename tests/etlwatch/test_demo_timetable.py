"""The live demo's timetable: one job a row, in turn, with pauses; and the pace of a job."""

from etlwatch.demo.jobs import Pacer
from etlwatch.demo.runner import JobCall, Timetable, TimetableRow

FIRST, SECOND, OTHER = (JobCall(module=name) for name in ("first", "second", "other"))
ROWS = (
    TimetableRow(calls=(FIRST, SECOND), first_after_s=0.0, pause_s=5.0),
    TimetableRow(calls=(OTHER,), first_after_s=2.0, pause_s=1.0),
)


def test_rows_start_at_their_own_times() -> None:
    timetable = Timetable(ROWS, now=100.0)
    assert timetable.due(100.0) == [(0, FIRST)]
    assert timetable.due(101.9) == []
    assert timetable.due(102.0) == [(1, OTHER)]


def test_a_row_waits_for_its_job_to_end_and_then_pauses() -> None:
    timetable = Timetable(ROWS[:1], now=0.0)
    timetable.due(0.0)
    assert timetable.due(1000.0) == []
    timetable.ended(0, 1000.0)
    assert timetable.due(1004.9) == []
    assert timetable.due(1005.0) == [(0, SECOND)]


def test_the_calls_of_a_row_are_taken_in_turn_for_ever() -> None:
    timetable = Timetable(ROWS[:1], now=0.0)
    seen = []
    for moment in range(0, 50, 10):
        seen += [call for _, call in timetable.due(float(moment))]
        timetable.ended(0, float(moment))
    assert seen == [FIRST, SECOND, FIRST, SECOND, FIRST]


class Hands:
    """A clock that only sleeping and working move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_paced_job_takes_the_given_time_although_its_steps_differ() -> None:
    hands = Hands()
    pacer = Pacer(10.0, 4, clock=lambda: hands.now, sleep=hands.sleep)
    for work in (0.5, 6.0, 0.5, 0.5):
        hands.now += work
        pacer.rest()
    assert hands.now == 10.0
    # The second step came too late to rest, and by the last one the time was made up.
    assert hands.slept == [2.0, 0.5]


def test_a_job_that_is_slower_than_its_pace_never_sleeps() -> None:
    hands = Hands()
    pacer = Pacer(1.0, 3, clock=lambda: hands.now, sleep=hands.sleep)
    for _ in range(3):
        hands.now += 2.0
        pacer.rest()
    assert hands.slept == []


def test_a_job_without_a_pace_never_sleeps() -> None:
    hands = Hands()
    Pacer(0.0, 3, clock=lambda: hands.now, sleep=hands.sleep).rest()
    assert hands.slept == []
