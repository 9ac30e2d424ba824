"""The run tracker: explicit run ids, every method stateless, thread-safe, and harmless to its job.

It checks arguments, makes run ids and asks the store. How an event reaches the store is in delivery/.

The bool of a recording method means **recorded**. Immediate delivery: committed in the store, or written to the local
spool where the store could not be reached. Buffered delivery: accepted, and committed or spooled within the flush
interval. False: tracking is off, there is no such run, or neither store nor spool took it. No fault of a store raises,
and no value of an argument: what cannot be read is stored as 0 or empty, marked, and warned of once. A strict tracker
raises TypeError or ValueError for it, before any I/O.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Literal, TypeVar

from tracking_core import config, identity, sanitize
from tracking_core.arguments import CallArguments, days_of
from tracking_core.dataclass import asdict
from tracking_core.delivery import Delivery
from tracking_core.delivery.health_log import HealthLog
from tracking_core.errors import SchemaMissing
from tracking_core.events import RawCount, RawEnd, RawError, RawPhase, RunStart, RunStatus
from tracking_core.identity import VERSION
from tracking_core.process.exit import open_runs
from tracking_core.process.heartbeat import HeartbeatSettings, heartbeat
from tracking_core.process.interrupts import from_outside, load, mark_recorded
from tracking_core.sanitize import ADJUSTED
from tracking_core.switch import TrackingSwitch

if TYPE_CHECKING:
    from datetime import datetime

    from tracking_core.delivery.spool import DiskSpool
    from tracking_core.records import DeliveryReport, Run, RunMetrics
    from tracking_core.run_context import ETLRunContext
    from tracking_core.store.base import Store
    from tracking_core.store.queries import Reader

T = TypeVar("T")

_MAX_CLEANUP_DAYS = 36_500
"""A century: no run is older, and the store's calendar need not reach further back."""

_PLAIN_NUMBER = frozenset({int, float})
_PLAIN_OPTIONAL = frozenset({int, float, type(None)})


class SimpleETLTracker:
    """Record ETL runs into a store without ever hurting the job that runs.

    `cfg`: see `tracking_core.config.resolve`; None means $TRACKING_DSN, else one SQLite file of the user. `delivery`:
    `immediate` (committed when a call returns) or `buffered`. `overload`, for a full buffer: `aggregate` (totals exact,
    detail counted as lost, never waits) or `wait`. `deadline` and `heartbeat_interval` in seconds. `record_command`:
    `names` (program, script or module and the names of options) or `full` (values too, secrets masked).
    $TRACKING_DELIVERY, $TRACKING_DEADLINE and $TRACKING_COMMAND overrule the keywords.

    Raises ConfigurationError for a cfg, keyword or variable that fits nothing accepted: that is a mistake to be seen
    where it is made. From here on nothing that a store does raises.
    """

    command_words: Sequence[str] | None = None
    """What is recorded as the command of a run; None for the words that this process was started with."""

    def __init__(
        self,
        cfg: object = None,
        *,
        delivery: Literal["immediate", "buffered"] = "immediate",
        overload: Literal["aggregate", "wait"] = "aggregate",
        deadline: float = 5.0,
        heartbeat_interval: float = 10.0,
        record_command: Literal["names", "full"] = "names",
        strict: bool = False,
    ) -> None:
        self._location = config.resolve(cfg)
        self._settings = config.settings(
            delivery=delivery,
            overload=overload,
            deadline=deadline,
            heartbeat_interval=heartbeat_interval,
            record_command=record_command,
            strict=strict,
        )
        self._opened: Store | None = None
        self._health = HealthLog()
        self.arguments = CallArguments(self._health.mistaken, strict=self._settings.strict)
        self._switch = TrackingSwitch()
        self._asked_switch = False
        self._last_job: str | None = None
        # Runs of the process that started this one, which ends them by the exit status that it sees.
        self._handed: set[int] = set()
        self._blocks: dict[int, weakref.ref[ETLRunContext]] = {}
        self._delivery = self._make_delivery()
        self._request = self._delivery.request
        self._heartbeat_settings = HeartbeatSettings(
            store_key=self._location.dsn,
            open_store=self._store,
            deadline=self._settings.deadline,
            interval=self._settings.heartbeat_interval,
            switch=self._switch,
        )

    def __repr__(self) -> str:
        """Return where this tracker records, without credentials."""
        return f"SimpleETLTracker({self._location.label!r}, delivery={self._settings.delivery!r})"

    def __reduce__(self) -> tuple[object, ...]:
        """Let a tracker be handed to another process, which makes one of its own for the same place.

        What is handed over holds the password, since the other process needs it: keep it between processes.
        """
        return partial(type(self), self._location, **asdict(self._settings)), ()

    def _make_delivery(self) -> Delivery:
        # Imported when it is known which one is needed; importing the package loads neither.
        kind = f"tracking_core.delivery.{self._settings.delivery}"
        load("tracking_core.delivery.store_link", kind)
        from tracking_core.delivery.store_link import StoreLink

        link = StoreLink(
            self._store,
            deadline=self._settings.deadline,
            switch=self._switch,
            make_spool=self._make_spool,
            health=self._health,
        )
        if self._settings.delivery == "immediate":
            from tracking_core.delivery.immediate import ImmediateDelivery

            return ImmediateDelivery(link)
        from tracking_core.delivery.buffered import BufferedDelivery

        return BufferedDelivery(link, overload=self._settings.overload)

    def _make_spool(self) -> DiskSpool:
        load("tracking_core.delivery.spool")
        from tracking_core.delivery.spool import DiskSpool

        return DiskSpool(self._location.label, config.spool_directories())

    def _store(self) -> Store:
        """Return the store, opened at first need: no driver is imported before."""
        if self._opened is None:
            load("tracking_core.store")
            from tracking_core.store import open_store

            self._opened = open_store(self._location)
        return self._opened

    # -- recording ---------------------------------------------------------------------------------------------------

    def start_run(
        self, notes: str | None = None, *, job: str | None = None, tags: Mapping[str, str] | None = None
    ) -> int | None:
        """Begin a run and return its id, whatever the store does; None only when tracking is off.

        `job` names the pipeline, so that its runs can be compared; by default $TRACKING_JOB, else the first line of the
        notes without dates, numbers and uuids, else the script's name. Under `etlwatch exec` a process's first run is
        the one that was begun there (see spool_codec.py).
        """
        text = self.arguments.text(notes)
        named = self.arguments.job(job) or config.job_of(os.environ)
        labels = self.arguments.tags(tags)
        if not self._switch.refresh():
            return None
        if "TRACKING_HANDED_RUN" in os.environ and (handed := self._take_handed_run()) is not None:
            return handed
        run_id, cleaned = identity.new_run_id(), sanitize.clean_optional(text)
        name = sanitize.clean_key(named or identity.job_from_notes(cleaned) or identity.script_name())
        words = identity.process_words() if self.command_words is None else self.command_words
        beats = heartbeat.watch(run_id, name, self._heartbeat_settings)
        start = RunStart(
            run_id=run_id,
            job=name,
            notes=cleaned,
            tags=sanitize.clean_tags(labels),
            started_us=time_ns() // 1000,
            host=sanitize.clean_key(identity.host_name()),
            pid=os.getpid(),
            boot_id=identity.boot_id(),
            username=sanitize.clean_key(identity.user_name()),
            command=sanitize.clean_text(identity.command_line(words, self._settings.record_command)),
            code_version=sanitize.clean_key(identity.code_version()),
            tracker_version=VERSION,
            parent_run_id=config.parent_run_of(os.environ),
            heartbeat_interval_s=self._settings.heartbeat_interval if beats else None,
        )
        self._last_job = name
        try:
            if not self._delivery.begin(start):
                heartbeat.forget(run_id)
                return None
            open_runs.began(run_id, self._delivery)
        except BaseException:
            # The caller gets no id: what may have begun has ended.
            self.finish(run_id, RunStatus.ABANDONED)
            raise
        return run_id

    def finish(self, run_id: int | None, status: RunStatus, notes: str | None = None, *, ended_by: str = "job") -> None:
        """Record how a run ends whose call was interrupted, without waiting for a store; nothing where it has ended."""
        if run_id is not None:
            heartbeat.forget(run_id)
            open_runs.ended(run_id)
            self._delivery.finish(RawEnd(run_id, time_ns() // 1000, str(status), notes, ended_by))

    def _take_handed_run(self) -> int | None:
        load("tracking_core.delivery.spool_codec")
        from tracking_core.delivery.spool_codec import take_handed

        start = take_handed(os.environ, self._location.label)
        if start is None:
            return None
        self.adopt(start.run_id, start)
        self._handed.add(start.run_id)
        self._last_job = start.job
        return start.run_id

    def attach(self, run_id: int) -> ETLRunContext:
        """Return a context that records into a run begun elsewhere and does not end it.

        For several processes or machines that work on one run. Usable with or without `with`. With what names no run it
        records nothing.
        """
        return self.adopt(self.arguments.run_id(run_id), None)

    def adopt(self, run_id: int | None, start: RunStart | None) -> ETLRunContext:
        """Attach to a run whose start was handed over: the store need not hold it yet."""
        load("tracking_core.run_context")
        from tracking_core.run_context import ETLRunContext

        if run_id is not None:
            self._delivery.attach(run_id, start)
            open_runs.hook()
        return ETLRunContext.attached(self, run_id)

    def start_of(self, run_id: int | None) -> RunStart | None:
        """Return how a run began, to be handed over to another process; None for one that is not known here."""
        return None if run_id is None else self._delivery.start_of(run_id)

    def end_run(self, run_id: int | None, success: bool, notes: str | None = None) -> bool:
        """End a run as completed or failed; notes are appended on a new line. True when that was recorded.

        False, and nothing is changed, for an unknown run and for one that has ended already; a run that a person closed
        while its job lived takes the job's own end. Goes on while tracking is off, for runs that are recorded.
        """
        status = RunStatus.COMPLETED if self.arguments.flag("success", success) else RunStatus.FAILED
        return self.end_as(run_id, status, notes)

    def end_as(self, run_id: int | None, status: RunStatus, notes: str | None = None, *, ended_by: str = "job") -> bool:
        """End a run in any of the final states: what `end_run` and `ETLRunContext` do. True when it was recorded."""
        known = self.arguments.run_id(run_id)
        text = self.arguments.text(notes)
        if known is None:
            return False
        if known in self._handed and status is RunStatus.COMPLETED:
            # A success is one when the process has ended as one; a failure stands at once.
            return True
        try:
            recorded = self._delivery.end(RawEnd(known, time_ns() // 1000, str(status), text, ended_by))
        except BaseException:
            # Interrupted: of two ends the store takes the first.
            self.finish(known, status, text, ended_by=ended_by)
            raise
        # Not before: until its end is recorded a signal may have to record another one.
        open_runs.ended(known)
        heartbeat.forget(known)
        listed = self._blocks.pop(known, None) if recorded else None
        if listed is not None and (block := listed()) is not None:
            block.note_end(well=status is RunStatus.COMPLETED)
        return recorded

    def note_block(self, block: ETLRunContext) -> None:
        """Note a run's block, which must not end a run that is ended within it."""
        if block.run_id is not None:
            self._blocks[block.run_id] = weakref.ref(block)

    def log_request(
        self,
        run_id: int | None,
        endpoint: str,
        offset: int | None,
        limit: int | None,
        status: int | None,
        count: int,
        duration: float,
        *,
        throttled: bool = False,
        error: BaseException | str | None = None,
    ) -> bool:
        """Record one HTTP request; True when recorded (see the module).

        `duration` in milliseconds, stored rounded; `offset` and `limit` None for APIs paged by cursor; `status` None or
        0 for a request without an answer. Throttled: `throttled=True` or status 429; else failed: `error` given, status
        400 or more, or none. What arrives after the run's end still counts.
        """
        # Exact types are checked inline: this is the line that a job calls most, and a budget of 1.5 µs stands on it.
        if (
            type(run_id) is int
            and 0 < run_id <= identity.MAX_RUN_ID
            and type(endpoint) is str
            and type(count) is int
            and count >= 0
            and type(duration) in _PLAIN_NUMBER
            and type(offset) in _PLAIN_OPTIONAL
            and type(limit) in _PLAIN_OPTIONAL
            and type(status) in _PLAIN_OPTIONAL
            and throttled is False
            and error is None
        ):
            return self._request(
                (run_id, time_ns() // 1000, endpoint, offset, limit, status, count, duration, False, None)
            )
        read, changes = self.arguments, list[str]()
        known = read.run_id(run_id)
        plain = (
            read.name("endpoint", endpoint, changes),
            read.optional_number("offset", offset, changes),
            read.optional_number("limit", limit, changes),
            read.optional_number("status", status, changes),
            read.count("count", count, changes),
            read.number("duration", duration, changes),
            read.flag("throttled", throttled, changes),
        )
        text = read.request_error(error)
        if changes:
            mark = ADJUSTED + "; ".join(changes)
            text = mark if text is None else f"{text}\n{mark}"
        return known is not None and self._request((known, time_ns() // 1000, *plain, text))

    def log_source_count(self, run_id: int | None, entity: str, count: int) -> bool:
        """Record how many items a source has of an entity; True when recorded. The last count of an entity wins."""
        known = self.arguments.run_id(run_id)
        name = self.arguments.name("entity", entity)
        items = self.arguments.count("count", count)
        return known is not None and self._delivery.event(RawCount(known, time_ns() // 1000, name, items))

    def log_phase(
        self,
        run_id: int | None,
        phase_name: str,
        status: str,
        *,
        totals: Mapping[str, int] | None = None,
        processed: Mapping[str, int] | None = None,
        memory_mb: float | None = None,
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
        memory_limit_mb: float | None = None,
    ) -> bool:
        """Record a phase's state and its counts by unit, cumulative for the phase; True when recorded.

        `status`: pending, running, completed, failed or skipped; anything else leaves the one before. Units not named
        keep their counts. `started_at` and `ended_at`, for a phase that is reported afterwards; else the moments of
        its states. A time without a zone is local.
        """
        read = self.arguments
        known = read.run_id(run_id)
        raw = RawPhase(
            known or 0,
            time_ns() // 1000,
            read.name("phase_name", phase_name),
            read.phase_status(status),
            read.counts("totals", totals),
            read.counts("processed", processed),
            read.optional_number("memory_mb", memory_mb),
            read.moment_us("started_at", started_at),
            read.moment_us("ended_at", ended_at),
            read.optional_number("memory_limit_mb", memory_limit_mb),
            monotonic(),
        )
        return known is not None and self._delivery.event(raw)

    def log_error(self, run_id: int | None, error: BaseException | str, *, phase: str | None = None) -> bool:
        """Record an exception, with its own traceback, causes and notes, or a plain message; True when recorded.

        The kind of a plain message is `message`. An exception group is named after its leaves.
        """
        known = self.arguments.run_id(run_id)
        caught = self.arguments.error(error)
        name = self.arguments.text(phase)
        if known is None or not self._switch.refresh():
            return False
        # Imported late, as are the questions below: a job without errors does not pay for tracebacks and hashes.
        load("tracking_core.failures")
        from tracking_core.failures import Failure

        failure = Failure.from_error(caught, plain="message")
        recorded = self._delivery.event(RawError(known, time_ns() // 1000, name, failure))
        if recorded:
            mark_recorded(caught, known)
        return recorded

    # -- questions and clean-up --------------------------------------------------------------------------------------

    def get_run_metrics(self, run_id: int | None) -> RunMetrics | None:
        """Return a run's request figures; None for an unknown run, and when the store cannot be read."""
        known = self.arguments.run_id(run_id)
        if known is None:
            return None
        load("tracking_core.store.queries")
        from tracking_core.store.queries import metrics_of

        return self._ask(lambda reader: metrics_of(reader, known), None)

    def get_recent_runs(self, limit: int = 10) -> list[Run]:
        """Return the newest runs by (started_at, run_id), newest first; [] when the store cannot be read."""
        most = self.arguments.limit(limit, 10)
        return self._ask(lambda reader: reader.recent_runs(most), []) if most else []

    def cleanup_old_runs(self, days: int = 30) -> int:
        """Remove finished runs that ended `days` or more days ago on the store's clock; return how many went.

        A running run is never removed; `days=0` means every finished run. Raises ValueError, before any I/O, for
        anything but an int of 0 or more. A store that fails midway has removed what is returned.
        """
        age = min(days_of(days), _MAX_CLEANUP_DAYS)
        removed = 0
        try:
            with self._store().administration(self._settings.deadline) as admin:
                for step in admin.cleanup(age, actor=f"{identity.user_name()}@{identity.host_name()}"):
                    removed += step
        except Exception as error:
            if from_outside(error):
                raise
            self._reading_failed(error)
        return removed

    def _ask(self, question: Callable[[Reader], T], otherwise: T) -> T:
        try:
            with self._store().reader(self._settings.deadline) as reader:
                return question(reader)
        except Exception as error:
            if from_outside(error):
                raise
            self._reading_failed(error)
            return otherwise

    def _reading_failed(self, error: Exception) -> None:
        if not self._is_empty_store(error):
            self._health.failed(error, self._location.label)

    def _is_empty_store(self, error: Exception) -> bool:
        """Return whether an error only means that nothing was written to the SQLite file yet."""
        return isinstance(error, SchemaMissing) and self._location.kind == "sqlite"

    # -- the switch --------------------------------------------------------------------------------------------------

    def is_enabled(self) -> bool:
        """Return whether tracking is on: the environment, this tracker's own flag and the shared switch together.

        The shared one is that of the job whose run this tracker began last, else of $TRACKING_JOB, else of all jobs, as
        it was last seen. The store is asked once when nothing is known of it; it counts as on when it does not answer.
        """
        if not self._switch.refresh():
            return False
        job = self._last_job or config.job_of(os.environ) or ""
        if self._switch.shared_off(job) is None and not self._asked_switch:
            self._asked_switch = True
            try:
                with self._store().writer(self._settings.deadline) as writer:
                    self._switch.update_job(job, off=writer.switched_off(job))
            except Exception as error:
                if from_outside(error):
                    raise
                self._health.failed(error, self._location.label)
        return not self._switch.shared_off(job)

    def disable(self) -> None:
        """Stop recording through this tracker; ends of recorded runs, questions and clean-up go on."""
        self._switch.set_own(enabled=False)

    def enable(self) -> None:
        """Record through this tracker again; the environment and the shared switch still apply."""
        self._switch.set_own(enabled=True)

    # -- the end -----------------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> DeliveryReport:
        """Wait until everything accepted is committed or spooled, at most `timeout` seconds; return what became of it.

        The report is cumulative for this tracker. In immediate delivery nothing waits.
        """
        return self._delivery.flush(self.arguments.timeout(timeout))

    def close(self) -> None:
        """Flush within the leaving budget and let go of threads and connections; ends no run. Twice is fine."""
        open_runs.close(self._delivery)
