"""Input that ended, hung or spoilt the dashboard, and about a thousand random keys."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from tests.monkey.monkey import Ground, Monkey, Step, postgres_ground, shortened, sqlite_ground, steps


@pytest.fixture
def ground(store_dsn: str, tmp_path: Path) -> Iterator[Ground]:
    """Yield a filled store on each dialect."""
    if store_dsn.startswith("sqlite"):
        with sqlite_ground(Path(store_dsn.removeprefix("sqlite:///")).parent) as there:
            yield there
    else:
        with postgres_ground(store_dsn) as there:
            yield there


@pytest.fixture
def monkey(ground: Ground) -> Iterator[Monkey]:
    """Yield a dashboard with its first rows."""
    # Beside other tests a machine is slow; two seconds are for the program by hand.
    with Monkey(ground, answer_s=15.0, settle_s=0.25) as running:
        running.begin()
        yield running


@pytest.mark.parametrize("seed", [11, 12])
def test_random_input_ends_nothing_and_leaves_no_wrong_cell(monkey: Monkey, seed: int) -> None:
    source = steps(random.Random(seed))
    while monkey.outcome.keys < 250 and not monkey.outcome.failure:
        monkey.play(list(islice(source, 24)))
    assert monkey.outcome.failure == ""


def test_the_same_seed_gives_the_same_steps() -> None:
    first, second = (list(islice(steps(random.Random(7)), 300)) for _ in range(2))
    assert first == second
    assert {kind for kind, _ in first} >= {"keys", "burst", "paste", "bytes", "x10", "mouse", "resize", "fill"}


def test_a_failing_sequence_is_shortened_to_the_steps_that_matter() -> None:
    sequence: list[Step] = [("keys", str(number)) for number in range(300)]

    def fails(part: list[Step]) -> bool:
        return {("keys", "120"), ("keys", "250")} <= set(part)

    assert shortened(fails, sequence) == ([("keys", "120"), ("keys", "250")], True)  # type: ignore[arg-type]
    assert shortened(lambda part: False, sequence) == (sequence[-40:], False)


@pytest.mark.parametrize("store_dsn", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "typed",
    [
        b"t\r\r", b":help\r\r", b":pause\r\r", b"?\x1b\r\r\r", b"\r\x1b[6~:\x1b[6~", b"X\x1b\x1b\x1b", b":::\x1b",
        b"\r\x7f\r\x7f\r\x7f\r\x7f", b"\xff", b"\xe9j", b"\x1b[M \xff\xe0", b"\x1b[M0qq", b"\x1b[32;140;20M",
        b"t\x1b[200~\xff\x1b\x01\x1b[201~",
    ],
)  # fmt: skip
def test_input_in_one_read_ends_nothing(monkey: Monkey, typed: bytes) -> None:
    monkey.terminal.send(typed)
    monkey.check()
    assert monkey.outcome.failure == ""


@pytest.mark.parametrize("store_dsn", ["sqlite"], indirect=True)
def test_keys_typed_ahead_reach_the_screen_that_they_open(monkey: Monkey) -> None:
    monkey.terminal.send(b"\r]]")
    monkey.terminal.wait_for("[requests]")
    monkey.terminal.send(b"\x7fe]")
    monkey.terminal.wait_for("[source]")


@pytest.mark.parametrize("store_dsn", ["sqlite"], indirect=True)
def test_a_name_that_no_command_has_runs_none(monkey: Monkey) -> None:
    monkey.terminal.send(b":wq\r")
    monkey.terminal.wait_for("no command has this in its name")
    monkey.check()
    assert "[overview]" not in monkey.terminal.text
    monkey.terminal.send(b"\x7f\x7finvert\r")
    monkey.terminal.wait_for("state ↑")


@pytest.mark.parametrize("store_dsn", ["sqlite"], indirect=True)
def test_pasted_text_is_text(monkey: Monkey) -> None:
    monkey.terminal.send(b"\x1b[200~qXT\x1b[201~")
    monkey.terminal.send(b"/\x1b[200~job:\x07crm\nand more\x1b[201~")
    monkey.terminal.wait_for(re.compile(r"job:crm and more"))
    monkey.check()
    assert monkey.outcome.failure == ""
