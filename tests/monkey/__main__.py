"""Play random input on the dashboard in an emulated terminal, on both stores, and print what came of it.

    python -m tests.monkey [--keys N] [--seed S] [--seeds N] [--store sqlite|postgres] [--program-keys N]

The program is started again after every `--program-keys` keys, so that a failure can be played again. The exit status
is 1 if there was one; its shortest sequence is printed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from tests.benchmarks.places import Places, open_places
from tests.monkey.monkey import Ground, Monkey, Outcome, Step, attempt, postgres_ground, shortened, sqlite_ground, steps
from tracking_core.store import open_store

Grounds = Callable[[], AbstractContextManager[Ground]]
HEADINGS = ("store", "seed", "keys", "exits", "slowest ms", "memory MB", "redraw differences", "unrepeated", "s")


def main() -> int:
    """Play, and print a table and the failures."""
    parser = argparse.ArgumentParser(prog="python -m tests.monkey")
    parser.add_argument("--keys", type=int, default=20_000, help="keys for each seed and store")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from --seed on")
    parser.add_argument("--store", choices=("sqlite", "postgres"))
    parser.add_argument("--program-keys", type=int, default=2_000)
    wanted = parser.parse_args()
    failed = False
    with open_places() as places:
        for store in [wanted.store] if wanted.store else ["sqlite", "postgres"]:
            for seed in range(wanted.seed, wanted.seed + wanted.seeds):
                failed |= play(partial(ground, places, store), store, seed, wanted.keys, wanted.program_keys)
    return int(failed)


def play(grounds: Grounds, store: str, seed: int, keys: int, program_keys: int) -> bool:
    """Play one seed on one store, print its row; return whether it failed."""
    draw, began, total, exits, unrepeated = random.Random(seed), time.monotonic(), Outcome(), 0, 0
    source = steps(draw)
    while total.keys < keys:
        outcome, played = one_program(grounds, source, min(program_keys, keys - total.keys))
        total.keys += outcome.keys
        total.slowest_s = max(total.slowest_s, outcome.slowest_s)
        total.memory_mb = max(total.memory_mb, outcome.memory_mb)
        if outcome.failure:
            print(f"seed {seed}, {store}, after {total.keys} keys: {outcome.failure}", flush=True)
            least, again = shortened(lambda part: bool(attempt(grounds, part).failure), played)
            if again:
                exits += "redraw" not in outcome.failure
                total.differences += outcome.differences
                print("shortest sequence:", attempt(grounds, least).failure)
            else:
                unrepeated += 1
                print("not repeated; the last steps were:")
            print("".join(f"    {step!r},\n" for step in least), flush=True)
    row = (store, seed, total.keys, exits, round(total.slowest_s * 1000), round(total.memory_mb), total.differences,
           unrepeated, round(time.monotonic() - began))  # fmt: skip
    print("  ".join(f"{name} {value}" for name, value in zip(HEADINGS, row, strict=True)), flush=True)
    return exits + total.differences > 0


def one_program(grounds: Grounds, source: Iterator[Step], keys: int) -> tuple[Outcome, list[Step]]:
    """Play on one program until so many keys, or a failure; return what came of it and what was played."""
    played: list[Step] = []
    with grounds() as there, Monkey(there) as monkey:
        monkey.begin()
        while monkey.outcome.keys < keys and not monkey.outcome.failure:
            for step in islice(source, 8):
                played.append(step)
                monkey.play_one(step)
            monkey.check()
        return monkey.outcome, played


@contextmanager
def ground(places: Places, store: str) -> Iterator[Ground]:
    """Yield a fresh filled store."""
    if store == "postgres":
        with places.postgres_store() as dsn, postgres_ground(dsn) as there:
            yield there
    else:
        with tempfile.TemporaryDirectory(dir=places.directory) as directory:
            open_store(f"sqlite:///{directory}/tracking.db").initialize()
            with sqlite_ground(Path(directory)) as there:
                yield there


if __name__ == "__main__":
    sys.exit(main())
