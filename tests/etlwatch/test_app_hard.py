"""Every screen with what is hard to draw: long, wide and hostile names, much of everything, nothing at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from etlwatch.text.safe import cell_width
from tests.etlwatch.dashboard import dashboard
from tests.etlwatch.fleet import NOW, FakeStore, make_cell, make_error, make_phase, make_run, packed
from tracking_core.records import EndpointTotals, Run

NAMES = (
    "x" * 200,
    "日本語の長い名前のジョブ" * 5,
    "🚀 deploy 👩\u200d👩\u200d👧",
    "[/red] \x1b[31mevil",
    "a\u202eb",
    "plain",
)
WALK = (
    "j", "k", "comma", "comma", "w", "greater_than_sign", "I", "space", "escape", "escape",
    "enter", "comma", "]", "comma", "]", "comma", "j", "greater_than_sign", "]", "j", "enter", "G", "escape", "]", "]",
    "]", "z", "left", "z", "w", "z", "escape", "slash", "e", "enter", "n", "escape", "escape", "escape", "escape",
    "equals_sign", "a", "x", "escape", "z", "z", "z", "escape", "J", "j", "greater_than_sign", "enter", "escape",
    "escape", "E", "j", "w", "less_than_sign", "enter", "escape", "escape", "question_mark", "escape", "G", "enter",
)  # fmt: skip


def hard() -> FakeStore:
    """A night in which everything is too long, too wide or too much."""
    runs: list[Run] = []
    for place, name in enumerate(NAMES):
        runs += [make_run(name, minutes_ago=1_440 * n + place, lasted_s=600, number=100 + 10 * place + n)
                 for n in range(1, 8)]  # fmt: skip
        state = ("slow", "lost", "running", "stalled", "running", "throttled")[place]
        runs.append(make_run(name, minutes_ago=20 + place, number=place, requests=9_000, errors=200, notes=name * 3,
                             state=state))  # fmt: skip
    open_runs = [run for run in runs if run.ended_at is None]
    deep = "\n".join(f'  File "/srv/{"deep/" * 40}m.py", line {n}, in f\n    call("日本語", {n})' for n in range(5_000))
    errors = [
        make_error(
            run, seq, error_type=f"Kind{seq % 37}日本", message=f"number {seq}: {run.job}", fingerprint=f"{seq % 37}",
            at=NOW - timedelta(seconds=5 * seq),
            traceback=f"Traceback:\n{deep if seq == 1 else ''}\nValueError: {run.job}",
        )
        for run in open_runs for seq in range(1, 201)
    ]  # fmt: skip
    states = ["completed", "completed", "running", *["pending"] * 9]
    phases = [
        replace(
            make_phase(run, f"{run.job} {n}", n, state, rows=9), started_at=run.started_at if n < 4 else None,
            ended_at=None, memory_mb=2_040.0, memory_limit_mb=2_048.0,
        )
        for run in open_runs for n, state in enumerate(states, start=1)
    ]  # fmt: skip
    endpoints = [
        EndpointTotals(run_id=run.run_id, endpoint=f"/{'long/' * (n % 9)}{n}/{run.job}", requests=1_000 - n, failed=n,
                       throttled=n, items=n, duration_ms=9_000, max_ms=900, status_2xx=900, status_4xx=n, status_5xx=n,
                       histogram=packed(*[100 + n] * 20))
        for run in open_runs for n in range(40)
    ]  # fmt: skip
    begin = int(open_runs[0].started_at.timestamp()) // 10 * 10
    cells = [make_cell(begin + 10 * n, requests=100 + n, ms=100 + 10 * n) for n in range(120)]
    return FakeStore(
        runs=sorted(runs, key=lambda run: run.started_at, reverse=True), error_list=errors, phase_list=phases,
        endpoint_list=endpoints, run_cells=cells, cells=cells,
    )  # fmt: skip


STORES: dict[str, Any] = {
    "nothing": FakeStore,
    "one run": lambda: FakeStore(runs=[make_run("only", minutes_ago=5)]),
    "much": hard,
}


@pytest.mark.parametrize(
    ("stock", "size", "looks"),
    [
        ("much", (20, 5), {}), ("much", (80, 24), {"theme": "mono", "ascii_only": True}),
        ("much", (120, 30), {"theme": "light"}), ("much", (160, 40), {"theme": "ansi"}),
        ("one run", (80, 24), {}), ("nothing", (20, 5), {"theme": "light"}), ("nothing", (120, 30), {}),
    ],
)  # fmt: skip
async def test_a_walk_through_every_screen_stays_within_its_lines(
    stock: str, size: tuple[int, int], looks: dict[str, Any]
) -> None:
    keys = {"]": "right_square_bracket"}
    async with dashboard(STORES[stock](), size=size, **looks) as opened:
        for key in WALK:
            await opened.press(keys.get(key, key))
            lines = opened.lines()
            assert len(lines) == size[1]
            assert all(cell_width(line) <= size[0] for line in lines), key
            assert not any(character in opened.text for character in "\x1b\u202e\u200d"), key
