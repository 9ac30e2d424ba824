"""A command as a tracked run: the run starts, the command runs, the run ends as the command did.

No fault of the store or the tracker changes the command's start, its streams or its exit status. What the command
records itself through `tracking_core` goes into the same run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Literal

from etlwatch.execution import process
from etlwatch.execution.memory import MemoryFacts, OomKills, oom_kills, own_peak, peak_of
from etlwatch.execution.outcome import Outcome
from etlwatch.execution.streams import Stream, Tail, kept_streams
from tracking_core import SimpleETLTracker
from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass
from tracking_core.delivery.spool_codec import HANDED_RUN, handed_on
from tracking_core.events import PhaseStatus, RunStatus

PHASE = "command"
"""The phase with the command's time and peak memory, beside the phases that it records itself."""

_OF_RUN: dict[RunStatus, PhaseStatus] = {RunStatus.COMPLETED: PhaseStatus.COMPLETED}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedCommand:
    """A command, and how its run is recorded."""

    arguments: Sequence[str]
    """The program and its arguments."""

    job: str
    notes: str | None = None
    tags: Mapping[str, str] | None = None
    record_command: Literal["names", "full"] = "names"
    tail: Tail | None = None
    """The streams whose end is kept; None for both, or for stderr alone where both are one terminal."""

    keep: int = 16 * 1024
    """Bytes of each that are kept; with 0 the command gets our streams directly."""


def execute(command: TrackedCommand, locate: Callable[[], StoreLocation], warn: Callable[[str], None]) -> int:
    """Run a command as a tracked run and return its exit status.

    `locate` returns its store. If that or any other part of the tracking fails, the command runs untracked and `warn`
    gets the reason. Must be called on the main thread.
    """
    with ExitStack() as afterwards, process.signals_held() as mask:
        # A run that was handed to us is the parent of the new one, not the run to record into.
        os.environ.pop(HANDED_RUN, None)
        run = _Run(command, locate, warn)
        run.begin()
        kept = kept_streams(command.tail, command.keep)
        for stream in kept:
            # After the end is recorded and signals are unblocked: its reader may be slow.
            afterwards.callback(stream.close)
        outcome = _run_command(command.arguments, run.environ(), kept, mask)
        run.end(outcome, [] if outcome.start_error is not None else [stream.tail_text() for stream in kept])
        if outcome.start_error is not None:
            warn(outcome.headline)
        return outcome.exit_status


def _run_command(
    arguments: Sequence[str], environ: Mapping[str, str], kept: Sequence[Stream], mask: process.Mask
) -> Outcome:
    """Run the command to its end and return how it ended."""
    given = {number: stream.for_child for stream in kept for number in stream.numbers}
    before, ours = oom_kills(), own_peak()
    try:
        pid = process.start(arguments, environ, streams=given, mask=mask)
    except OSError as error:
        return Outcome(start_error=_with_filename(error, arguments[0]))
    for stream in kept:
        stream.started()

    def resized() -> None:
        for stream in kept:
            stream.resized()

    ended = process.wait_for_exit(pid, resized=resized)
    for stream in kept:
        stream.ended()
    return _outcome(ended, before=before, ours=ours)


def _with_filename(error: OSError, name: str) -> OSError:
    return type(error)(error.errno, error.strerror, name)


def _outcome(ended: process.ChildExit, *, before: OomKills, ours: int) -> Outcome:
    status, peak = ended.wait_status, peak_of(ended.usage)
    return Outcome(
        exit_code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        killed_by=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        core_dumped=os.WIFSIGNALED(status) and os.WCOREDUMP(status),
        asked_to_stop=ended.asked_to_stop,
        cpu_s=ended.usage.ru_utime + ended.usage.ru_stime,
        # Before it executed the command, the child was a copy of us, which the kernel counts too.
        memory=MemoryFacts(peak=peak, peak_is_bound=peak <= ours, before=before, after=oom_kills()),
    )


class _Run:
    """The run of one command, if it can be tracked; no method raises."""

    def __init__(
        self, command: TrackedCommand, locate: Callable[[], StoreLocation], warn: Callable[[str], None]
    ) -> None:
        self._command = command
        self._locate = locate
        self._warn = warn
        self._location: StoreLocation | None = None
        self._tracker: SimpleETLTracker | None = None
        self._run_id: int | None = None

    def begin(self) -> None:
        """Start the run."""
        try:
            self._location = self._locate()
            # Buffered: immediate delivery would delay the command until the store answers or the deadline.
            self._tracker = SimpleETLTracker(
                self._location, delivery="buffered", record_command=self._command.record_command
            )
            self._tracker.command_words = self._command.arguments
            self._run_id = self._tracker.start_run(self._command.notes, job=self._command.job, tags=self._command.tags)
            self._tracker.log_phase(self._run_id, PHASE, PhaseStatus.RUNNING)
        except Exception as error:  # noqa: BLE001 - no fault of the tracking stops the command
            self._warn(f"not tracked: {error}")

    def environ(self) -> dict[str, str]:
        """Return the command's environment: ours, and the run to record into."""
        environ = dict(os.environ)
        if self._tracker is None or self._location is None:
            return environ
        if self._location.named:
            environ["TRACKING_DSN"] = self._location.dsn
        start = self._tracker.start_of(self._run_id)
        return environ if start is None else environ | handed_on(start, self._location.label)

    def end(self, outcome: Outcome, output: Sequence[str]) -> None:
        """End the run as the command ended, and deliver it."""
        tracker = self._tracker
        if tracker is None:
            return
        with suppress(Exception):
            phase = _OF_RUN.get(outcome.status, PhaseStatus.FAILED)
            tracker.log_phase(self._run_id, PHASE, phase, memory_mb=outcome.memory.peak_mb)
            error = outcome.error(output)
            if error is not None:
                tracker.log_error(self._run_id, error, phase=PHASE)
            notes = ", ".join(filter(None, (outcome.headline, outcome.figures)))
            tracker.end_as(self._run_id, outcome.status, notes, ended_by=outcome.ended_by)
        tracker.close()
