"""When the live demo starts which job.

Owns the timetable: a few slots, each with one job at a time and a pause before its next. Pure: the time is an
argument, and starting processes is `runner`'s part.
"""

from collections.abc import Sequence

from tracking_core.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCall:
    """One program to start: a module with a `main`, its arguments, and the status it should end with."""

    module: str
    arguments: tuple[str, ...] = ()
    expected_status: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A row of the timetable; the calls are taken in turn, for ever."""

    calls: tuple[JobCall, ...]
    first_after_s: float  # from the beginning of the demo
    pause_s: float  # from the end of one run to the start of the next


class Rota:
    """Say what is due; each slot has at most one job at a time."""

    def __init__(self, slots: Sequence[Slot], *, now: float) -> None:
        """Begin the timetable at `now`, in seconds of any steady clock."""
        self._slots = tuple(slots)
        self._due_at: list[float | None] = [now + slot.first_after_s for slot in self._slots]
        self._rounds = [0] * len(self._slots)

    def due(self, now: float) -> list[tuple[int, JobCall]]:
        """List the calls to start now, each with its slot, and take them as started."""
        calls = []
        for number, due_at in enumerate(self._due_at):
            if due_at is not None and due_at <= now:
                slot = self._slots[number]
                calls.append((number, slot.calls[self._rounds[number] % len(slot.calls)]))
                self._rounds[number] += 1
                self._due_at[number] = None
        return calls

    def ended(self, slot_number: int, now: float) -> None:
        """Take the job of a slot as ended, so that its next one becomes due after the pause."""
        self._due_at[slot_number] = now + self._slots[slot_number].pause_s
