"""Raise exceptions from outside inside every public method, and check what is left.

    python -m tests.interrupts [--count N] [--every N] [--seed S] [--delivery D] [--store S] [--way W]

`--way steps` raises at every place (`--every 1`) of every call where CPython delivers an exception; `timer` and
`thread` raise after random times, `--count` of them in each job. Prints one line a job, and what is wrong with it; the
exit status is 1 where anything is.
"""

from __future__ import annotations

import argparse
import itertools
import sys

from tests.benchmarks.places import open_places
from tests.interrupts.checking import Verdict, check

STORES, DELIVERIES, WAYS = ("sqlite", "postgres"), ("immediate", "buffered"), ("steps", "timer", "thread")


def main() -> int:
    """Run every combination that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.interrupts")
    parser.add_argument("--store", choices=STORES, action="append")
    parser.add_argument("--delivery", choices=DELIVERIES, action="append")
    parser.add_argument("--way", choices=WAYS, action="append")
    parser.add_argument("--count", default="5000", help="interrupts of one job")
    parser.add_argument("--every", default="1", help="with --way steps: every n-th place")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--calls", default="", help="names of calls, with commas; all without it")
    wanted = parser.parse_args()
    more = ["--count", wanted.count, "--every", wanted.every, "--seed", wanted.seed, "--calls", wanted.calls]
    verdicts: list[Verdict] = []
    with open_places() as where:
        for store, delivery, way in itertools.product(
            wanted.store or STORES, wanted.delivery or DELIVERIES, wanted.way or WAYS
        ):
            with where.sqlite_store() if store == "sqlite" else where.postgres_store() as dsn:
                verdict = check(dsn, delivery, way, *more)
            verdicts.append(verdict)
            print(
                f"{store:9}{delivery:10}{way:7}{verdict.interrupts:7} interrupts, exit {verdict.exit_s:.2f} s",
                f"{verdict.unraisable} unraisable",
            )
            for fault in verdict.faults:
                print(f"    {fault}")
            if verdict.faults:
                print(f"    seed {wanted.seed}: {verdict.command}")
            sys.stdout.flush()
    print(f"{sum(verdict.interrupts for verdict in verdicts)} interrupts")
    return 1 if any(verdict.faults for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
