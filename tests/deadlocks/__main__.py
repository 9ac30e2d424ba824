"""Hunt for deadlocks on PostgreSQL: many writers, a clean-up and people who change the same rows at the same time.

    python -m tests.deadlocks [--seconds N] [--writers N] [--seed S] [--dsn DSN]

Without a DSN on a server of its own. A DSN names a database that may be filled; its tables are made where there are
none. Deadlocks are counted, not tried again. The exit status is 1 where there was one, or where totals differ.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

import psycopg

from tests.benchmarks.places import open_places
from tests.deadlocks.hunting import Hunt
from tracking_core.store import open_store


def main() -> int:
    """Hunt, and print what was done and found."""
    parser = argparse.ArgumentParser(prog="python -m tests.deadlocks")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dsn", default="")
    wanted = parser.parse_args()
    if wanted.dsn:
        open_store(wanted.dsn).initialize()
        return hunt(wanted.dsn, wanted)
    with open_places() as where, where.postgres_store() as dsn:
        return hunt(dsn, wanted)


def hunt(dsn: str, wanted: argparse.Namespace) -> int:
    """Hunt on one store; return the exit status."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        print(connection.execute("SELECT version()").fetchall()[0][0])
        database = connection.info.dbname
        # A deadlock is looked for at once, so that as many as possible are found.
        connection.execute(f"ALTER DATABASE \"{database}\" SET deadlock_timeout = '20ms'".encode())
    until = time.monotonic() + wanted.seconds
    found = Hunt(dsn=dsn, seed=wanted.seed, writers=wanted.writers, rounds=0, until=until).run()
    print(
        f"{wanted.writers} writers, {wanted.seconds:.0f} s: {found.batches} batches, {found.requests} requests,"
        f" {found.beats} heartbeats, {found.closed} runs closed, {found.removed} removed"
    )
    print(f"{len(found.conflicts)} deadlocks or serialization failures, {len(found.faults)} other faults")
    for text, times in Counter([*found.conflicts, *found.faults]).most_common(20):
        print(f"    {times} x {text}")
    return 1 if found.conflicts or found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
