"""Outcomes without processes: what an exit means, the evidence of memory, what is kept of the output."""

import signal
from pathlib import Path

import pytest

from etlwatch.execution.outcome import MIB, MemoryFacts, OomKills, Outcome, oom_kills, own_peak, size
from etlwatch.execution.tracked import readable

GIB = 1024 * MIB


def memory(
    *, before: int | None = 0, after: int | None = 0, anywhere: tuple[int, int] | None = None, bound: bool = False
) -> MemoryFacts:
    return MemoryFacts(
        peak=int(1.9 * GIB),
        peak_is_bound=bound,
        before=OomKills(in_group=before, anywhere=anywhere and anywhere[0], limit=2 * GIB),
        after=OomKills(in_group=after, anywhere=anywhere and anywhere[1], limit=2 * GIB),
    )


@pytest.mark.parametrize(
    ("outcome", "exit_status", "status", "ended_by"),
    [
        (Outcome(exit_code=0), 0, "completed", "job"),
        (Outcome(exit_code=0, asked_to_stop=15), 0, "completed", "job"),
        (Outcome(exit_code=3), 3, "failed", "job"),
        (Outcome(exit_code=143, asked_to_stop=15), 143, "terminated", "signal SIGTERM"),
        (Outcome(killed_by=signal.SIGTERM), 143, "terminated", "signal SIGTERM"),
        (Outcome(killed_by=signal.SIGKILL), 137, "failed", "signal SIGKILL"),
        (Outcome(killed_by=signal.SIGSEGV, asked_to_stop=15), 139, "failed", "signal SIGSEGV"),
        (Outcome(start_error=FileNotFoundError(2, "No such file", "x")), 127, "failed", "job"),
        (Outcome(start_error=PermissionError(13, "Permission denied", "x")), 126, "failed", "job"),
    ],
)
def test_an_end_is_an_exit_status_and_a_state(outcome: Outcome, exit_status: int, status: str, ended_by: str) -> None:
    assert (outcome.exit_status, outcome.status, outcome.ended_by) == (exit_status, status, ended_by)
    assert (outcome.error([]) is None) == (status != "failed")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            memory(before=4, after=5),
            ", probably out of memory: peak 1.9 GiB, limit 2.0 GiB, oom_kill count rose in the cgroup",
        ),
        (
            memory(before=None, after=None, anywhere=(7, 8), bound=True),
            ", probably out of memory: limit 2.0 GiB, oom_kill count of the kernel rose",
        ),
        (memory(before=None, after=None), ", perhaps out of memory: peak 1.9 GiB, limit 2.0 GiB"),
        (MemoryFacts(after=OomKills(in_group=0)), ", not by the kernel: its oom_kill count did not rise"),
        (MemoryFacts(), ""),
    ],
)
def test_a_kill_is_attributed_to_memory_only_with_evidence(facts: MemoryFacts, told: str) -> None:
    assert Outcome(killed_by=signal.SIGKILL, memory=facts).headline == f"killed by SIGKILL (9){told}"
    assert Outcome(killed_by=signal.SIGSEGV, memory=facts).headline == "killed by SIGSEGV (11)"
    assert Outcome(exit_code=137, memory=facts).headline == f"exit status 137, a shell's code for SIGKILL (9){told}"


def test_an_error_holds_figures_and_the_end_of_the_output() -> None:
    error = Outcome(exit_code=1, cpu_s=75, memory=memory()).error(["stdout:\nfirst words", "", "stderr:\nlast words"])
    assert (type(error).__name__, str(error)) == ("ExitStatus", "exit status 1")
    assert getattr(error, "__notes__", None) == [
        "peak memory 1.9 GiB of 2.0 GiB, CPU 1m 15s",
        "stdout:\nfirst words",
        "stderr:\nlast words",
    ]


def test_a_peak_that_is_only_a_bound_is_shown_as_one_and_not_stored() -> None:
    facts = MemoryFacts(peak=20 * MIB, peak_is_bound=True)
    assert (facts.peak_text, facts.peak_mb) == ("peak memory below 20 MiB", None)
    assert MemoryFacts(peak=20 * MIB).peak_mb == 20


def test_kills_and_limit_are_read_from_the_nearest_group_and_all_above(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    own = groups / "system.slice" / "nightly.service"
    (proc / "self").mkdir(parents=True)
    own.mkdir(parents=True)
    (proc / "self" / "cgroup").write_text("4:memory:/old\n0::/system.slice/nightly.service\n")
    (proc / "vmstat").write_text("nr_free_pages 5\noom_kill 12\n")
    (own / "memory.max").write_text("max\n")
    (own.parent / "memory.max").write_text(f"{2 * GIB}\n")
    (own.parent / "memory.events").write_text("oom 3\noom_kill 2\n")
    assert oom_kills(proc, groups) == OomKills(in_group=2, anywhere=12, limit=2 * GIB)
    (own / "memory.events").write_text("oom 1\noom_kill 1\n")
    assert oom_kills(proc, groups).in_group == 1


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    assert oom_kills(tmp_path / "proc", tmp_path / "groups") == OomKills()
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/../elsewhere\n")
    assert oom_kills(tmp_path / "proc", tmp_path / "groups") == OomKills()


def test_our_own_peak_is_not_that_of_our_parent(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text("Name:\tetlwatch\nVmPeak:\t  90000 kB\nVmHWM:\t   21504 kB\n")
    assert own_peak(tmp_path) == 21 * MIB
    assert own_peak(tmp_path / "nothing") > MIB


def test_sizes_are_written_in_mib_and_gib() -> None:
    assert [size(n) for n in (900, 5 * MIB, 812 * MIB, int(1.9 * GIB))] == ["0.0 MiB", "5.0 MiB", "812 MiB", "1.9 GiB"]


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (b"\x1b[31;1mERROR\x1b[0m no disk\n", "ERROR no disk"),
        (b"\x1b]0;title\x07done\x1b(B", "done"),
        (b" 10%|#\r 50%|##\r100%|###\nnext\r\n", "100%|###\nnext"),
        (b"caf\xe9 \xff", "caf\ufffd \ufffd"),
        (b"\n\nPGPASSWORD=secret psql failed\n\n", "PGPASSWORD=*** psql failed"),
        (b"", ""),
    ],
)
def test_the_end_of_the_output_is_kept_readable(output: bytes, text: str) -> None:
    assert readable(output) == text
