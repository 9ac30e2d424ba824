"""A store of one's own to be hurt, and a job in a process of its own that says when it may be and what it took.

The faults P1, P3 and P4 of docs/promises.md: each is in force when its function returns; `heal` ends all of them.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.benchmarks.places import Places
from tests.support.job import job_process
from tests.support.postgres import OwnPostgres
from tests.support.proxy import PostgresProxy
from tracking_core.store import open_store


@dataclass(slots=True)
class Patient:
    """A PostgreSQL store behind a proxy; `dsn` leads through it."""

    server: OwnPostgres
    proxy: PostgresProxy
    holders: list[psycopg.Connection[Any]] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        """The store's DSN, through the proxy."""
        return self.proxy.dsn

    def lock(self) -> None:
        """Let everybody who writes wait for a lock."""
        holder = psycopg.connect(self.server.superuser_dsn)
        holder.execute("LOCK TABLE tracking.runs, tracking.requests IN ACCESS EXCLUSIVE MODE")
        self.holders.append(holder)

    def silence(self) -> None:
        """Take connections and say nothing, also on those that were open."""
        self.proxy.silence()
        self.proxy.cut()

    def heal(self) -> None:
        """End every fault."""
        self.server.resume()
        for holder in self.holders:
            holder.close()
        self.holders.clear()
        self.proxy.cut()
        self.proxy.resume()

    @property
    def faults(self) -> Mapping[str, Callable[[], None]]:
        """Every way in which a store hangs."""
        return {
            "accepts, then silence": self.silence,
            "frozen link": self.proxy.freeze,
            "stopped server": self.server.pause,
            "lock wait": self.lock,
        }


@contextmanager
def patient(places: Places) -> Iterator[Patient]:
    """Yield a store on a server that nobody else uses, since it will be stopped and paused."""
    server = OwnPostgres.create(places.session, "patient")
    try:
        open_store(server.superuser_dsn).initialize()
        with PostgresProxy(server.superuser_dsn) as proxy:
            found = Patient(server, proxy)
            try:
                yield found
            finally:
                found.heal()
    finally:
        server.destroy()


def said_by(source: str, dsn: str, meanwhile: Callable[[], object] = lambda: None, **environ: str) -> Any:
    """Run a job that waits for a line once it is `ready`; do something meanwhile; return the JSON that it prints."""
    with job_process(source, dsn, **environ) as process:
        until_it_says(process, "ready")
        meanwhile()
        out, err = process.communicate("go on\n", timeout=120)
    if process.returncode != 0 or err:
        raise RuntimeError(f"the job ended with {process.returncode}: {err}")
    return json.loads(out)


def end_of(source: str, dsn: str, meanwhile: Callable[[], object], number: int | None = None, **environ: str) -> float:
    """Return the seconds from a job's word `leaving`, or the signal sent then, to its process's end."""
    with job_process(source, dsn, **environ) as process:
        until_it_says(process, "ready")
        meanwhile()
        assert process.stdin is not None
        process.stdin.write("go on\n")
        process.stdin.flush()
        until_it_says(process, "leaving")
        if number is not None:
            # It is waiting by then.
            time.sleep(0.3)
            process.send_signal(number)
        began = time.perf_counter()
        process.communicate(timeout=60)
        return time.perf_counter() - began


def until_it_says(process: subprocess.Popen[str], word: str) -> None:
    """Wait for a line of a job; RuntimeError with its errors when another one comes, or none."""
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    if said != word:
        raise RuntimeError(f"the job said {said!r} instead of {word!r}: {process.communicate(timeout=10)[1]}")
