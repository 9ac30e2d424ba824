"""Jobs as real processes: a few lines of Python run by an interpreter of their own, with `DSN` to record into."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
PREAMBLE = """
import atexit, os, signal, sys, threading, time
from tracking_core import ETLRunContext, SimpleETLTracker
DSN = os.environ["JOB_DSN"]
"""


@contextmanager
def job_process(
    source: str, dsn: str, *, prefix: tuple[str, ...] = (), **environ: str
) -> Iterator["subprocess.Popen[str]"]:
    """Run a job beside the block, input and output piped; what is left of it afterwards is killed.

    `prefix` is a command that runs the job, and how it is called.
    """
    process = subprocess.Popen(
        [*prefix, sys.executable, "-W", "error", "-c", PREAMBLE + textwrap.dedent(source)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        # What is told on stderr has tests of its own; everywhere else a job is as silent as without tracking.
        env={**os.environ, "JOB_DSN": dsn, "TRACKING_QUIET": "1", **environ},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # Children of a job that hangs hold its pipes open.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def run_job(
    source: str, dsn: str, *, seconds: float = 30, prefix: tuple[str, ...] = (), **environ: str
) -> "subprocess.CompletedProcess[str]":
    """Run a job to its end and return its exit status and output."""
    with job_process(source, dsn, prefix=prefix, **environ) as process:
        out, err = process.communicate(timeout=seconds)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
