"""A store in memory that obeys: it fails where a test tells it to and keeps what it was given. Holds no SQL."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from tracking_core.errors import StoreUnavailable
from tracking_core.events import Batch, Hello, Receipt


class FakeStore:
    """Records batches; `fault` is raised by every verb in `failing`; `answer` makes the receipts."""

    kind = "sqlite"
    label = "the fake store"

    def __init__(self) -> None:
        self.fault: BaseException = StoreUnavailable("nobody answers")
        self.failing: set[str] = set()
        self.heals = False
        """Whether the first failure is the last."""

        self.batches: list[Batch] = []
        self.calls: list[str] = []
        self.beats: list[list[int]] = []
        self.opened = 0
        self.closed = 0
        self.off: frozenset[str] = frozenset()
        self.known: set[int] = set()
        self.running: set[int] = set()
        self.store_us = 0
        self.version = 1
        self.on_batch: Callable[[Batch], object] = lambda _batch: None
        """Called when a batch has arrived; what it raises the writer raises."""

    def say(self, verb: str) -> None:
        """Note a call and fail it if a test wants that."""
        self.calls.append(verb)
        if verb in self.failing or "*" in self.failing:
            self.failing = set() if self.heals else self.failing
            raise self.fault

    def writer(self, deadline: float) -> "FakeConnection":
        """Connect for writing."""
        return self._connect("writer")

    def reader(self, deadline: float) -> "FakeConnection":
        """Connect for reading."""
        return self._connect("reader")

    def administration(self, deadline: float) -> "FakeConnection":
        """Connect for changes."""
        return self._connect("administration")

    def _connect(self, kind: str) -> "FakeConnection":
        self.say(kind)
        self.opened += 1
        return FakeConnection(self)

    def take(self, batch: Batch) -> Receipt:
        """Answer as a store does: unknown runs are refused, switched off ones too, an end ends once."""
        self.batches.append(batch)
        self.on_batch(batch)
        jobs_off = bool(self.off)
        for start in batch.starts:
            if start.run_id not in self.known and not jobs_off:
                self.known.add(start.run_id)
                self.running.add(start.run_id)
        refused: dict[int, str] = {}
        ended: set[int] = set()
        ends = {end.run_id for end in batch.ends}
        for run_id in batch.run_ids():
            if run_id not in self.known:
                refused[run_id] = "off" if jobs_off and batch.starts else "unknown"
            elif jobs_off and run_id not in ends:
                refused[run_id] = "off"
            elif run_id in ends and run_id in self.running:
                self.running.discard(run_id)
                ended.add(run_id)
        return Receipt(refused=refused, ended=frozenset(ended), switched_off=self.off, store_us=self.store_us)

    def events(self, kind: str) -> list[Any]:
        """Return all events of one kind (`requests`, `errors`, …) in the order of their arrival."""
        return [event for batch in self.batches for event in getattr(batch, kind)]


class FakeConnection:
    """A connection of any kind."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store

    def close(self) -> None:
        """Close it."""
        self._store.closed += 1
        self._store.say("close")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> Receipt:
        """Store a batch."""
        self._store.say("write")
        if meanwhile is not None:
            meanwhile()
            self._store.say("write after meanwhile")
        return self._store.take(batch)

    def switched_off(self, job: str) -> bool:
        """Return whether the switch is off."""
        self._store.say("switched_off")
        return bool({"*", job} & self._store.off)

    def hello(self) -> Hello:
        """Return the clock and the version that the test has set."""
        self._store.say("hello")
        return Hello(store_us=self._store.store_us, schema_version=self._store.version, known_version=1)

    def one_view(self) -> AbstractContextManager[None]:
        """See one moment."""
        self._store.say("one_view")
        return nullcontext()

    def recent_runs(self, limit: int, *, before: object = None) -> list[Any]:
        """Return no runs."""
        self._store.say("recent_runs")
        return []

    def run(self, run_id: int) -> None:
        """Return no run."""
        self._store.say("run")

    def cleanup(
        self, days: int, *, actor: str, cutoff: datetime | None = None, keep_last_success: bool = False
    ) -> Iterator[int]:
        """Remove two runs, then one."""
        self._store.say("cleanup")
        yield 2
        self._store.say("cleanup second step")
        yield 1

    def now(self) -> datetime:
        """Return a clock."""
        return datetime.now(UTC)

    def beat(self, run_ids: Sequence[int]) -> Receipt:
        """Say that runs live."""
        self._store.say("beat")
        self._store.beats.append(list(run_ids))
        refused = {run_id: "ended" for run_id in run_ids if run_id not in self._store.known}
        return Receipt(refused=refused, switched_off=self._store.off)
