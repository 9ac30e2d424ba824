"""What `etlwatch doctor` asks of a store beyond a Reader's queries, for both dialects, and how a probe is removed.

A probe is a run under a job name of its own, written to see whether writing works. A clean-up leaves tombstones and an
audit entry, which a probe must not: it is removed by its id alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracking_core.dataclass import asdict, dataclass
from tracking_core.identity import format_run_id
from tracking_core.store.parameters import WIDENINGS
from tracking_core.store.transactions import Transactions

PROBE_JOB = "etlwatch-doctor"
PROBE_ERA_S = (473_385_600, 788_918_400)
"""1985 to 1995, in seconds since 1970: where probes date their requests, since no run can be that old."""

_ERA_END_S = 946_684_800
"""2000-01-01Z: a clock that is off may carry a probe's requests this far and no farther."""

FORGET = (
    "forget_batches",
    "remove_requests",
    "remove_endpoints",
    "remove_series",
    "forget_throughput",
    "remove_phases",
    "remove_phase_series",
    "remove_source_counts",
    "remove_errors",
    "remove_writers",
    "remove_runs",
)
"""What removes a probe, in the order of the locks; the run itself is locked before."""


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
        """Whether all of them are equal."""
        return len(set(asdict(self).values())) == 1


class Inspection(Transactions):
    """The queries of an inspection, and the removal of a probe; each raises StoreError when the store fails."""

    def versions(self) -> list[tuple[int, str, str]]:
        """Return (version, name, checksum) of the migrations that ran here."""
        with self._look():
            found = self._read("versions").by_name()
        return [(row["version"], row["name"], row["checksum"]) for row in found]

    def figures(self, run_id: int) -> Figures:
        """Return a run's requests as every table that counts them has them."""
        with self._look():
            return self._read("probe_figures", run_id=run_id).records(Figures, self.forms)[0]

    def overdue_cells(self, now_s: int, most: int) -> int:
        """Return how many cells of all runs are older than their width allows, counted up to `most` a width."""
        with self._look():
            counted = [
                self._read("overdue_cells", width=width, before=now_s - age - (now_s - age) % wider, most=most).value()
                for width, wider, age in WIDENINGS
            ]
        return sum(counted)

    def forget_probe(self, run_id: int, writer_ids: Sequence[int] = ()) -> int:
        """Remove a probe and all that its writers left, in one transaction; return the rows that remain, 0 if done.

        Raises ValueError, and changes nothing, for the run of another job.
        """
        given: dict[str, object] = {
            "run_id": run_id,
            "run_ids": self._list([run_id]),
            "writer_ids": self._list(list(writer_ids)),
            "era_end": _ERA_END_S,
        }

        def forget() -> None:
            if any(job != PROBE_JOB for job in self._read("probe_job", run_id=run_id).column("job")):
                raise ValueError(f"run {format_run_id(run_id)} is no probe; nothing was removed")
            span = self._read("probe_span", run_id=run_id).by_name()
            for block in FORGET:
                self._do(block, **{"since": 0, "until": 0} | given | (span[0] if span else {}))

        self._changed(forget)
        with self._look():
            return int(self._read("probe_remains", **given).value())
