"""Jobs as real processes: a few lines of Python run by an interpreter of their own, with `DSN` to record into."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PREAMBLE = """
import atexit, os, signal, sys, threading, time
from tracking_core import ETLRunContext, SimpleETLTracker
DSN = os.environ["JOB_DSN"]
"""


def job_process(source: str, dsn: str, **environ: str) -> "subprocess.Popen[str]":
    """Start a job; its output is piped. The caller waits for it."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PREAMBLE + textwrap.dedent(source)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "JOB_DSN": dsn, **environ},
        start_new_session=True,
    )


def run_job(source: str, dsn: str, *, seconds: float = 30, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run a job to its end and return its exit status and output."""
    process = job_process(source, dsn, **environ)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        # Children of the job that hang hold its pipes open.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
