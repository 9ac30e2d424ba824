"""What an examination asks of a store, once for both dialects, and how a probe is removed without a trace.

A probe is a run under a job name of its own that `etlwatch doctor` writes to see whether writing works. Owns its
reading back and its removal; what is concluded from any of it is not decided here. A clean-up leaves tombstones and an
audit entry, which a probe must not: it is removed by its id alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from tracking_core.dataclass import asdict, dataclass
from tracking_core.identity import format_run_id
from tracking_core.store.dialect import Dialect
from tracking_core.store.parameters import WIDENINGS
from tracking_core.store.rows import Row

PROBE_JOB = "etlwatch-doctor"
PROBE_ERA_S = (473_385_600, 788_918_400)
"""1985 to 1995, in seconds since 1970: where probes date their requests, since no run can be that old."""

_ERA_END_S = 946_684_800
"""2000-01-01Z: a clock that is off may carry a probe's requests this far and no farther."""

FORGET = (
    "forget_batches",
    "forget_requests",
    "forget_endpoints",
    "forget_series",
    "forget_throughput",
    "forget_phases",
    "forget_phase_series",
    "forget_source_counts",
    "forget_errors",
    "forget_writers",
    "forget_run",
)
"""In the order in which every transaction locks the tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How many requests of one run each table counts."""

    raw: int
    distinct: int
    by_endpoint: int
    over_time: int
    on_run: int
    in_ledgers: int
    of_all_runs: int
    """Right only for a run that has its stretch of time to itself, as a probe has."""

    @property
    def agree(self) -> bool:
        """Whether all of them say the same."""
        return len(set(asdict(self).values())) == 1


class Inspection(Dialect):
    """The questions; each raises StoreError when the store cannot answer."""

    @abstractmethod
    def _look(self) -> AbstractContextManager[None]:
        """Let all statements inside read one moment of the store."""

    @abstractmethod
    def _change(self) -> AbstractContextManager[None]:
        """Make one transaction of the statements inside, bounded by the deadline."""

    @abstractmethod
    def _read(self, block: str, **parameters: object) -> list[Row]:
        """Return the rows of a block of inspection.sql, inside `_look` or `_change`."""

    @abstractmethod
    def _do(self, block: str, **parameters: object) -> int:
        """Run a block of inspection.sql inside `_change`; return the number of rows it touched."""

    def versions(self) -> list[tuple[int, str, str]]:
        """Return (version, name, checksum) of the migrations that ran here."""
        with self._look():
            return [(int(version), str(name), str(checksum)) for version, name, checksum in self._read("versions")]

    def figures(self, run_id: int) -> Figures:
        """Return what every table that counts requests says of a run."""
        with self._look():
            raw, distinct, endpoints, series, run, ledgers, everyone = self._read("probe_figures", run_id=run_id)[0]
        return Figures(
            raw=raw,
            distinct=distinct,
            by_endpoint=endpoints,
            over_time=series,
            on_run=run,
            in_ledgers=ledgers,
            of_all_runs=everyone,
        )

    def overdue_cells(self, now_s: int, most: int) -> int:
        """Return how many cells of all runs are older than their width allows, counted up to `most` a width."""
        with self._look():
            counted = [
                self._read("overdue_cells", width=width, before=now_s - age - (now_s - age) % wider, most=most)[0][0]
                for width, wider, age in WIDENINGS
            ]
        return sum(counted)

    def forget_probe(self, run_id: int, writer_ids: Sequence[int] = ()) -> int:
        """Remove a probe and all that its writers left, in one transaction; return the rows that remain, 0 if done.

        Raises ValueError, and changes nothing, for the run of another job.
        """
        writers = self._list(list(writer_ids))
        with self._change():
            if any(job != PROBE_JOB for (job,) in self._read("probe_job", run_id=run_id)):
                raise ValueError(f"run {format_run_id(run_id)} is no probe; nothing was removed")
            span = self._read("probe_span", run_id=run_id)
            since, until = span[0] if span else (0, 0)
            given = {
                "run_id": run_id,
                "writer_ids": writers,
                "since": since,
                "until": until,
                "era_end": _ERA_END_S,
            }
            for block in FORGET:
                self._do(block, **given)
        with self._look():
            return int(self._read("probe_remains", run_id=run_id, writer_ids=writers)[0][0])
