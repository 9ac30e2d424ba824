"""What can go wrong in a command, and the exit status of each.

    0    done                        2    wrong usage
    1    no such run, or not done    3    the store cannot answer
    130  interrupted

A command raises; `entry` prints one line and exits. No message holds a password.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

import click

from tracking_core.conninfo import SECRET_KEYWORDS
from tracking_core.errors import ConfigurationError, StoreError
from tracking_core.redaction import without_secrets

if TYPE_CHECKING:
    from tracking_core.config import StoreLocation

DSN_FORMS = "accepted: postgresql://user@host/dbname, 'host=… dbname=…', 'service=NAME', sqlite:///relative.db, sqlite:////absolute.db"


class Exit(IntEnum):
    """The statuses of every command."""

    DONE = 0
    NOT_FOUND = 1
    USAGE = 2
    STORE = 3
    INTERRUPTED = 130


class Unsuccessful(click.ClickException):
    """What was asked for is not there, or was not done."""

    exit_code = Exit.NOT_FOUND


class StoreCannotAnswer(click.ClickException):
    """The store is unreachable, refuses, has no tables or newer ones."""

    exit_code = Exit.STORE


class OutputGone(Exception):
    """Nobody reads stdout any more: a closed pipe. Not an error of ours."""


class OutputFailed(Exception):
    """Stdout takes no more: a full disk, a closed descriptor."""


def bad_configuration(error: ConfigurationError) -> click.UsageError:
    """Return a wrong DSN as wrong usage, in the words of the command line."""
    problem = str(error).partition("; accepted: ")[0].replace("the cfg string", "--dsn", 1)
    return click.UsageError(f"{problem}; {DSN_FORMS}")


def store_fault(error: StoreError, location: StoreLocation) -> StoreCannotAnswer:
    """Return a store's error with its place named and its secrets struck out."""
    text = " ".join(str(error).split()) or type(error).__name__
    if location.label not in text:
        text = f"{location.label}: {text}"
    return StoreCannotAnswer(strike_out(text, location))


def strike_out(text: str, location: StoreLocation | None = None, environ: Mapping[str, str] | None = None) -> str:
    """Return text without the passwords that the place or the environment holds, nor any that looks like one."""
    environ = os.environ if environ is None else environ
    secrets = {environ.get("PGPASSWORD", "")}
    if location is not None:
        secrets |= {value for keyword, value in location.keywords.items() if keyword in SECRET_KEYWORDS}
    text = without_secrets(text)
    for secret in secrets:
        # One or two letters stand in every sentence: striking them out would garble it and tell the password.
        if len(secret) > 2:
            text = text.replace(secret, "***")
    return text
