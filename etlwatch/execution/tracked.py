"""A command as a tracked run: the run begins, the command runs, the run ends as the command did.

The command comes first. Whatever the store or the tracker does, it is started, what it would have got it gets, and its
exit status is ours. What it says of itself through `tracking_core` is recorded into the same run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Literal

from etlwatch.execution import process
from etlwatch.execution.memory import Kills, MemoryFacts, kills, own_peak, peak_of
from etlwatch.execution.outcome import Outcome
from etlwatch.execution.streams import Stream, Tail, streams
from tracking_core import SimpleETLTracker
from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass
from tracking_core.process import handover
from tracking_core.states import PhaseStatus, RunStatus

PHASE = "command"
"""The phase that holds the command's time and its peak memory, beside those that it tells of itself."""

_OF_RUN: dict[RunStatus, PhaseStatus] = {RunStatus.COMPLETED: PhaseStatus.COMPLETED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be run, and as what."""

    command: Sequence[str]
    job: str
    notes: str | None = None
    tags: Mapping[str, str] | None = None
    record_command: Literal["names", "full"] = "names"
    tail: Tail | None = None
    """Of which streams the end is kept; None for both, but for stderr alone where both are one terminal."""

    keep: int = 16 * 1024
    """Bytes of each that are kept; with 0 the command gets ours as they are."""


def execute(order: Order, place: Callable[[], StoreLocation], warn: Callable[[str], None]) -> int:
    """Run a command as a tracked run and return its exit status.

    `place` says where it is recorded; where that fails, as whatever else does that is not the command's, it runs
    untracked, and `warn` is told why. Called on the main thread.
    """
    with ExitStack() as afterwards, process.signals_held() as mask:
        # Of our own making is the run that follows: one that was handed to us is its parent.
        os.environ.pop(handover.HANDED_RUN, None)
        run = _Run(order, place, warn)
        run.begin()
        passed = streams(order.tail, order.keep)
        for stream in passed:
            # Not before the death is recorded, nor while signals are held: whoever reads it may take his time.
            afterwards.callback(stream.close)
        outcome = _attended(order.command, run.environ(), passed, mask)
        run.end(outcome, [] if outcome.refusal is not None else [stream.last_words() for stream in passed])
        if outcome.refusal is not None:
            warn(outcome.headline)
        return outcome.exit_status


def _attended(
    command: Sequence[str], environ: Mapping[str, str], passed: Sequence[Stream], mask: process.Mask
) -> Outcome:
    """Run the command to its end and return how it ended."""
    given = {number: stream.for_child for stream in passed for number in stream.numbers}
    before, ours = kills(), own_peak()
    try:
        pid = process.start(command, environ, streams=given, mask=mask)
    except OSError as error:
        return Outcome(refusal=_naming(error, command[0]))
    for stream in passed:
        stream.started()

    def resized() -> None:
        for stream in passed:
            stream.resized()

    death = process.attend(pid, resized=resized)
    for stream in passed:
        stream.ended()
    return _outcome(death, before=before, ours=ours)


def _naming(error: OSError, name: str) -> OSError:
    return type(error)(error.errno, error.strerror, name)


def _outcome(death: process.Death, *, before: Kills, ours: int) -> Outcome:
    status, peak = death.wait_status, peak_of(death.usage)
    return Outcome(
        exit_code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        killed_by=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        core_dumped=os.WIFSIGNALED(status) and os.WCOREDUMP(status),
        asked_to_stop=death.asked_to_stop,
        cpu_s=death.usage.ru_utime + death.usage.ru_stime,
        # Until it executed the command the child was a copy of us, and the kernel counts that too.
        memory=MemoryFacts(peak=peak, peak_is_bound=peak <= ours, before=before, after=kills()),
    )


class _Run:
    """The run of one command, as far as there is one: nothing here raises."""

    def __init__(self, order: Order, place: Callable[[], StoreLocation], warn: Callable[[str], None]) -> None:
        self._order = order
        self._place = place
        self._warn = warn
        self._location: StoreLocation | None = None
        self._tracker: SimpleETLTracker | None = None
        self._run_id: int | None = None

    def begin(self) -> None:
        """Begin the run."""
        try:
            self._location = self._place()
            # The command does not wait for a store: an immediate delivery would, up to its deadline.
            self._tracker = SimpleETLTracker(
                self._location, delivery="buffered", record_command=self._order.record_command
            )
            self._tracker.command_words = self._order.command
            self._run_id = self._tracker.start_run(self._order.notes, job=self._order.job, tags=self._order.tags)
            self._tracker.log_phase(self._run_id, PHASE, PhaseStatus.RUNNING)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the tracking, the command runs
            self._warn(f"not tracked: {error}")

    def environ(self) -> dict[str, str]:
        """Return the command's environment: ours, and the run that it is to record into."""
        environ = dict(os.environ)
        if self._tracker is None or self._location is None:
            return environ
        if self._location.named:
            environ["TRACKING_DSN"] = self._location.dsn
        start = self._tracker.start_of(self._run_id)
        return environ if start is None else environ | handover.handed_on(start, self._location.label)

    def end(self, outcome: Outcome, last_words: Sequence[str]) -> None:
        """End the run as the command ended, and bring it to the store."""
        tracker = self._tracker
        if tracker is None:
            return
        with suppress(Exception):
            phase = _OF_RUN.get(outcome.status, PhaseStatus.FAILED)
            tracker.log_phase(self._run_id, PHASE, phase, memory_mb=outcome.memory.peak_mb)
            error = outcome.error(last_words)
            if error is not None:
                tracker.log_error(self._run_id, error, phase=PHASE)
            notes = ", ".join(filter(None, (outcome.headline, outcome.figures)))
            tracker.end_as(self._run_id, outcome.status, notes, ended_by=outcome.ended_by)
        tracker.close()
