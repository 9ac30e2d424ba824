"""What is kept of an error: its type, message, own traceback and a fingerprint that groups its like.

Text is not made safe for a store or a terminal here: NUL and lone surrogates pass through.
"""

from __future__ import annotations

import re
import traceback
from pathlib import PurePath
from types import TracebackType
from typing import Self

from tracking_core.dataclass import dataclass
from tracking_core.process.interrupts import load, suppress_faults
from tracking_core.redaction import without_secrets
from tracking_core.sanitize import TEXT_BYTES, keep_ends

_FINGERPRINT_MESSAGE_CHARACTERS = 4096

# Order matters: a quoted uuid is quoted text, a uuid holds hexadecimal runs, and those hold digits.
_VARYING = (
    (re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|`[^`]*`"), "<text>"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<uuid>"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b(?=[a-f]*[0-9])[0-9a-f]{8,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\d+"), "<number>"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is recorded of one error, without keeping the error or its frames alive; made by `from_error`."""

    error_type: str
    """Name of the exception's class without its module, of a group that of its first leaf; see `from_error`."""
    message: str
    """`str(error)`, possibly empty; a stand-in when the exception cannot be turned into text."""
    traceback: str
    """The exception's own traceback with causes, notes and groups; empty for a plain message.

    At most `TEXT_BYTES`, head and tail kept.
    """
    fingerprint: str
    """16 hexadecimal digits, the same for errors of one kind (see `fingerprint_of`)."""

    @classmethod
    def from_error(cls, error: object, *, plain: str = "str") -> Self:
        """Describe an exception, raised or not, in or outside its `except` block, or a plain message.

        An exception whose `__str__` or notes raise is described all the same. `plain` is the type of a message; any
        other object has its own type's name and its text.
        """
        if not isinstance(error, BaseException):
            kind = plain if isinstance(error, str) else type(error).__name__
            message = message_of(error)
            return cls(error_type=kind, message=message, traceback="", fingerprint=fingerprint_of(kind, message, None))
        leaf = first_leaf(error)
        error_type, message = type(leaf).__name__, message_of(error)
        return cls(
            error_type=error_type,
            message=message,
            traceback=keep_ends(_traceback_of(error, message), TEXT_BYTES),
            fingerprint=fingerprint_of(error_type, message_of(leaf), leaf.__traceback__),
        )


def fingerprint_of(error_type: str, message: str, frames: TracebackType | None) -> str:
    """Return 16 hexadecimal digits that are the same for errors of one kind, on every machine and day.

    It is made of the error's type, its message with quoted text, uuids, hexadecimal and decimal numbers replaced, and
    file name and function name of the innermost frame, if there is one. Line numbers and directories are left out, so
    that an edit above, another checkout or another customer's number starts no new group.
    """
    # Imported at the first error: with the cryptography behind it, it is a noticeable part of our own import.
    load("hashlib")
    import hashlib

    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    code = frames and frames.tb_frame.f_code
    place = [f"{PurePath(code.co_filename).name}:{code.co_name}"] if code else []
    words = without_secrets(message[:_FINGERPRINT_MESSAGE_CHARACTERS])
    for pattern, stand_in in _VARYING:
        words = pattern.sub(stand_in, words)
    # Unit separators keep ("ab", "c") and ("a", "bc") apart.
    text = "\x1f".join([error_type, words, *place])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def first_leaf(error: BaseException) -> BaseException:
    """Return the first exception of a group that is no group itself; of any other exception itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def message_of(error: object) -> str:
    """Return an error's text, of a group that of its first leaf and how many more there are; total."""
    # A broken `__str__` may raise anything, and the error itself must be kept.
    with suppress_faults():
        if isinstance(error, BaseExceptionGroup):
            more = _count_leaves(error) - 1
            return message_of(first_leaf(error)) + (f" (and {more} more in {type(error).__name__})" if more else "")
        return str(error)
    return f"<unprintable {type(error).__name__}>"


def _count_leaves(error: BaseException) -> int:
    waiting, leaves = [error], 0
    while waiting:
        each = waiting.pop()
        inner = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        waiting.extend(inner)
        leaves += not inner
    return leaves


def _traceback_of(error: BaseException, message: str) -> str:
    # Broken notes, causes or memory must not cost the record of the error.
    with suppress_faults():
        return "".join(traceback.format_exception(error))
    return f"{type(error).__name__}: {message}\n(the traceback could not be written)\n"
