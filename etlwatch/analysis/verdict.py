"""What a run's state means to whoever looks: how grave it is, what to say of it in a row, and the proof.

Contains the ranking of states, their tones and the words of a row's note.

Tones: `red` is dead, `amber` behind, `plain` as it should be, `dim` over and done with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from etlwatch.analysis.health import BEHIND, Doubt, Finding
from etlwatch.text.numbers import span
from tracking_core.dataclass import dataclass
from tracking_core.records import ErrorRecord, Run, RunStatus

__all__ = ["BEHIND", "RANKS", "Verdict", "judge_run", "last_line", "made_good"]

RANKS: Final = {
    state: rank
    for rank, state in enumerate(
        ("lost", "failed", "stalled", "throttled", "slow", "running", "terminated", "abandoned", "completed")
    )
}
"""The default order: what needs somebody first. A failure made good by a later success ranks as completed."""

_RED: Final = ("lost", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run is shown as."""

    state: str
    tone: str
    """`red`, `amber`, `plain` or `dim`."""

    rank: int
    """0 needs somebody most."""

    since: datetime | None = None
    """When the state began, on the store's clock."""

    note: str = ""
    """At most a few words, for the row; raw text from the store may be in it."""

    because: str = ""
    """The proof, in a sentence; raw text from the store may be in it."""

    made_good: bool = False
    """Whether a failure was followed by a success of its job."""

    @property
    def needs_you(self) -> bool:
        """Whether it is dead or behind."""
        return self.tone in ("red", "amber")


def made_good(runs: Iterable[Run]) -> frozenset[int]:
    """Return the runs that ended badly and whose job has completed a run begun after them."""
    given = list(runs)
    last_success: dict[str, datetime] = {}
    for run in given:
        if run.status == RunStatus.COMPLETED:
            known = last_success.get(run.job)
            last_success[run.job] = run.started_at if known is None else max(known, run.started_at)
    return frozenset(
        run.run_id
        for run in given
        if run.status == RunStatus.FAILED and run.job in last_success and last_success[run.job] > run.started_at
    )


def judge_run(
    run: Run,
    *,
    now: datetime,
    last_error: ErrorRecord | None = None,
    good_again: bool = False,
    findings: Sequence[Finding] = (),
    doubts: Sequence[Doubt] = (),
    new_error: bool = False,
) -> Verdict:
    """Return the verdict on one run; `now` is the store's clock, `findings` prove the run's derived state.

    `doubts` are the verdicts that what is stored of a past moment leaves open. `new_error` says that no run before had
    the last error.
    """
    unsure = "; ".join(doubt.because for doubt in doubts)
    state = run.state
    since = run.state_since or run.ended_at or run.started_at
    rank = RANKS.get(state, RANKS["running"])
    if state == "lost":
        silent = (now - run.heartbeat_at).total_seconds() if run.heartbeat_at else None
        return Verdict(
            state=state,
            tone="red",
            rank=rank,
            since=run.heartbeat_at or since,
            note=findings[0].note if findings else f"silent {span(silent)}" if silent is not None else "silent",
            because=run.evidence,
        )
    if state == "failed":
        return Verdict(
            state=state,
            tone="dim" if good_again else "red",
            rank=RANKS["completed"] if good_again else rank,
            since=since,
            note=_failure_note(run, last_error, new=new_error),
            because=_failure(run, last_error),
            made_good=good_again,
        )
    if state in BEHIND:
        note = findings[0].note if findings else run.evidence
        because = "; ".join(filter(None, (run.evidence, unsure)))
        return Verdict(state=state, tone="amber", rank=rank, since=since, note=note, because=because)
    if state in ("terminated", "abandoned"):
        return Verdict(state=state, tone="plain", rank=rank, since=since, note=_ending(run), because=_ending(run))
    tone = "dim" if state == "completed" else "plain"
    note = f"{' or '.join(doubt.state for doubt in doubts)}: unknown" if doubts else last_line(run.notes)
    return Verdict(state=state, tone=tone, rank=rank, since=since, note=note, because=unsure)


def last_line(text: str | None) -> str:
    """Return the last line of notes that says something."""
    lines = [line for line in (text or "").strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _failure_note(run: Run, error: ErrorRecord | None, *, new: bool) -> str:
    if error is None:
        return last_line(run.notes)
    return f"{error.error_type} (new)" if new else error.error_type


def _failure(run: Run, error: ErrorRecord | None) -> str:
    if error is None:
        return last_line(run.notes)
    where = f" in {error.phase}" if error.phase else ""
    message = last_line(error.message)
    return f"{error.error_type}{where}: {message}" if message else f"{error.error_type}{where}"


def _ending(run: Run) -> str:
    """Say who ended a run that did not end itself: `SIGTERM`, `closed by ana`, `left without an end`."""
    by = run.ended_by or ""
    kind, _, name = by.partition(" ")
    if kind == "signal":
        return name
    if kind == "person":
        return f"closed by {name}"
    if run.state == "abandoned":
        return "left without an end"
    found = re.search(r"\bSIG[A-Z]+\b", run.notes or "")
    return found.group() if found else last_line(run.notes)
