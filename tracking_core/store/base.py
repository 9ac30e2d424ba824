"""What a store can do, as Protocols of a few methods.

A store opens three kinds of connection: a Writer stores batches, a Reader (queries.py) answers queries in read-only
transactions, an Administration (administration.py) makes the changes that people ask for: switch, clean-up, closing a
run. A connection is used by one thread at a time and closed by its caller. All methods raise errors of
`tracking_core.errors` and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from tracking_core.events import Batch, Hello, Receipt
    from tracking_core.store.administration import Administration
    from tracking_core.store.queries import Reader


class Connection(Protocol):
    """What every connection to a store has; as a `with` block it is closed at the end."""

    def close(self) -> None:
        """Close it; closing twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Writer(Connection, Protocol):
    """The connection of a job."""

    def write(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> Receipt:
        """Store a batch in one transaction; when this returns it is committed.

        `meanwhile` is called at most once, while the writer has to wait for the store anyway.
        """

    def beat(self, run_ids: Sequence[int]) -> Receipt:
        """Record that these runs live, in one statement."""

    def switched_off(self, job: str) -> bool:
        """Return whether the shared switch, global or of this job, is off."""

    def hello(self) -> Hello:
        """Return the store's clock and the version of its tables."""


class Store(Protocol):
    """One place where runs are recorded."""

    @property
    def label(self) -> str:
        """Where it is, without credentials: fit for a screen or a log."""

    @property
    def kind(self) -> str:
        """`postgres` or `sqlite`."""

    def writer(self, deadline: float) -> Writer:
        """Connect for writing; `deadline` in seconds bounds the connecting and each operation."""

    def reader(self, deadline: float) -> Reader:
        """Connect for reading; `deadline` in seconds as for a writer."""

    def administration(self, deadline: float) -> Administration:
        """Connect for a person's changes; `deadline` in seconds bounds the connecting and each step."""

    def initialize(self) -> list[str]:
        """Create or upgrade the tables; return the names of the migrations applied. Safe to call at any time."""

    def migration_sql(self) -> str:
        """Return the SQL of all migrations, for an administrator to read or run."""
