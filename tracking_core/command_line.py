"""What of a command line is recorded: the names in it, or its words with secrets masked."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from tracking_core.redaction import MASK, without_secrets

OMITTED = "…"
"""What stands for words of a command line that are not recorded."""

MOST_WORDS = 1000

_MASKED_OPTIONS = (
    r"pass|pwd|secret|token|key|credential|auth|bearer|cookie|dsn|sas\b|\bsig|session|jwt|otp\b|\bpin\b|conn|webhook"
)
_OPTION_NAME = r"--?[A-Za-z][\w.-]{0,63}"
_SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh"))
_INTERPRETERS = _SHELLS | {"node", "perl", "ruby", "php", "Rscript"}


def command_line(words: Sequence[str], record: str) -> str:
    """Return a command as it is recorded, quoted for a shell.

    `record` is `names`: the program, its script or module and the names of options, other words as `…`; or `full`: all
    words, what looks like a secret as `***`.
    """
    few = [str(word) for word in words[:MOST_WORDS]]
    return " ".join(map(shlex.quote, _redacted_words(few)) if record == "full" else _names(few))


def process_words() -> list[str]:
    """Return the words that this process was started with, the interpreter among them."""
    given, original = list(sys.argv), list(sys.orig_argv)
    # A process of multiprocessing has its parent's words in argv, and its own machinery in the original ones.
    return original if len(given) < 2 or original[-len(given) + 1 :] == given[1:] else given


def _names(words: list[str]) -> Iterator[str]:
    """Yield the words that are recorded, quoted for a shell."""
    program, rest = _program(words)
    yield from (word if word == OMITTED else shlex.quote(word) for word in program)
    value_follows = gap = False
    for word in rest:
        option = None if value_follows else re.match(_OPTION_NAME, word)
        value_follows = False
        if word == "--":
            shown = word
        elif option is None:
            shown = OMITTED
        elif word.startswith("--"):
            name, equals, _ = word.partition("=")
            shown = f"{name}={OMITTED}" if equals else name
            value_follows = not equals and _is_secret(name)
            shown = shown if option[0] == name else OMITTED
        else:
            # What is attached to a short option may be its value.
            shown = word if len(word) == 2 else word[:2] + OMITTED
        if shown != OMITTED or not gap:
            yield shown
        gap = shown == OMITTED


def _program(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the program with its script or module, and the words behind it."""
    name = PurePath(words[0]).name if words else ""
    if re.fullmatch(r"(?:python|pypy)[\d.]*", name):
        return _python_program(words)
    has_script = name in _INTERPRETERS and len(words) > 1 and not words[1].startswith("-")
    return words[: 1 + has_script], words[1 + has_script :]


def _python_program(words: list[str]) -> tuple[list[str], list[str]]:
    program = [PurePath(words[0]).name]
    at = 1
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-", "--"):
        flag = re.match(r"-([^WXcm-]*)([WXcm]?)", words[at])
        kind = flag[2] if flag else ""
        attached = words[at][flag.end() :] if flag and kind else ""
        at += 1
        if kind in ("c", "m") and kind:
            if not attached and at < len(words):
                attached, at = words[at], at + 1
            return [*program, f"-{kind}", OMITTED if kind == "c" else attached], words[at:]
        if kind and not attached:
            at += 1
    return [*program, *words[at : at + 1]], words[at + 1 :]


def _redacted_words(words: list[str]) -> Iterator[str]:
    """Yield words with secrets masked; the rules about options are for words of arguments alone, never for prose."""
    before = ""
    runs_script = any(PurePath(word).name in _SHELLS for word in words[:8])
    for word in words:
        name, equals, value = word.partition("=")
        option = re.fullmatch(_OPTION_NAME, name) is not None
        if _takes_secret(before):
            shown, word = MASK, ""
        elif before in ("-u", "-U", "--user", "--proxy-user"):
            shown = _without_second(word)
        elif runs_script and re.fullmatch(r"-\w*c", before):
            shown = _redacted_script(word)
        elif equals and (option or name.isidentifier()) and _is_secret(name):
            shown = f"{name}={MASK}"
        elif equals and name in ("--user", "--proxy-user"):
            shown = f"{name}={_without_second(value)}"
        elif re.match(r"-[pu][^-]", word):
            # Of `-uNAME` and `-pPASSWORD` nothing else tells which it is.
            shown = word[:2] + (MASK if word[1] == "p" else _without_second(word[2:]))
        else:
            shown = without_secrets(word)
        yield shown
        before = word


def _takes_secret(option: str) -> bool:
    return option == "-p" or (re.fullmatch(_OPTION_NAME, option) is not None and len(option) > 2 and _is_secret(option))


def _is_secret(name: str) -> bool:
    return re.search(_MASKED_OPTIONS, name, re.IGNORECASE) is not None


def _without_second(word: str) -> str:
    """Return `NAME:SECRET` without the secret."""
    name, colon, secret = word.partition(":")
    return f"{name}:{MASK}" if colon and secret else without_secrets(word)


def _redacted_script(script: str) -> str:
    """Return what a shell is to execute, without the secrets of its words."""
    try:
        words = shlex.split(script)
    except ValueError:
        return OMITTED
    return " ".join(map(shlex.quote, _redacted_words(words[:MOST_WORDS])))
