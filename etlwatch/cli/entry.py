"""The outermost guard of the program: every way out of it, and its exit status.

Whatever happens below, a person gets one line and never a traceback, unless $ETLWATCH_DEBUG asks for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from etlwatch.cli.dashboard import Dashboard

PROGRAM = "etlwatch"
DEBUG = "ETLWATCH_DEBUG"


def run(dashboard: Dashboard, argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: this process's own) and return the exit status (see `faults.Exit`)."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A character that the locale lacks must not end a command: it is written as its number.
            reconfigure(errors="backslashreplace")
    try:
        return _run(dashboard, sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last resort: nobody above us can explain it better
        return _unexpected(error)


def _run(dashboard: Dashboard, argv: list[str]) -> int:
    # Imported here, so that ctrl-c while modules load is answered like any other.
    from etlwatch.cli.dashboard import opened_early

    with opened_early(argv, dashboard) as opening:
        return _parsed(argv, dashboard, opening)


def _parsed(argv: list[str], dashboard: Dashboard, opening: AbstractContextManager[object] | None) -> int:
    import click

    from etlwatch.cli.faults import Exit, OutputFailed, OutputGone
    from etlwatch.cli.root import etlwatch
    from etlwatch.cli.terminal import report

    try:
        # What is said of a failure is said on the shell's screen.
        with opening or nullcontext():
            status = etlwatch.main(argv, prog_name=PROGRAM, standalone_mode=False, obj=dashboard)
    except click.exceptions.Abort:
        return Exit.INTERRUPTED
    except click.UsageError as error:
        report(f"{_command(error)}: {_one_line(error)}")
        return Exit.USAGE
    except click.ClickException as error:
        _show_traceback()
        report(f"{PROGRAM}: {_one_line(error)}")
        return error.exit_code
    except OutputGone:
        _leave_stdout_alone()
        return Exit.DONE
    except OutputFailed as error:
        _leave_stdout_alone()
        report(f"{PROGRAM}: {error}")
        return Exit.NOT_FOUND
    return status if isinstance(status, int) else Exit.DONE


def _command(error: object) -> str:
    path = getattr(getattr(error, "ctx", None), "command_path", None)
    return path or PROGRAM


def _one_line(error: object) -> str:
    from etlwatch.cli.faults import strike_out

    message = error.format_message() if hasattr(error, "format_message") else str(error)
    return strike_out(" ".join(message.split()))


def _leave_stdout_alone() -> None:
    """Point stdout at nothing, or the interpreter complains about the same pipe once more when it exits."""
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        return


def _show_traceback() -> None:
    if os.environ.get(DEBUG, "") not in ("", "0"):
        import traceback

        from etlwatch.cli.faults import strike_out
        from etlwatch.cli.terminal import report

        report(strike_out(traceback.format_exc().rstrip()))


def _unexpected(error: Exception) -> int:
    from etlwatch.cli.faults import Exit, strike_out
    from etlwatch.cli.terminal import report

    _show_traceback()
    text = strike_out(" ".join(f"{type(error).__name__}: {error}".split()))
    report(f"{PROGRAM}: unexpected {text}; please report this with what {DEBUG}=1 adds to it")
    return Exit.NOT_FOUND
