"""Run ids, writer ids, and the facts about a process that a run stores: host, user, version, command line.

A run id is a TSID made by the client, so that a run has its id before any store answers: sign 0, 41 bits of
milliseconds since 2020-01-01Z, 22 bits that start at random and count up within the process. People see it as 13
characters of Crockford's base32 (https://www.crockford.com/base32.html), JSON as a decimal string.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Final

from tracking_core.clock import Clock
from tracking_core.process.forks import renew_in_child
from tracking_core.process.interrupts import load, suppress_faults
from tracking_core.redaction import MASK, without_secrets

RUN_EPOCH_MS = 1_577_836_800_000
"""2020-01-01T00:00:00Z in milliseconds since 1970: where the time inside a run id begins."""

COUNTER_BITS = 22
MAX_RUN_ID = (1 << 63) - 1
ID_LENGTH = 13
_COUNTER_MASK = (1 << COUNTER_BITS) - 1
_TIME_MASK = (1 << 41) - 1
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DECODE = {letter: value for value, letter in enumerate(_ALPHABET)} | {"I": 1, "L": 1, "O": 0}


class RunIdSource:
    """Make run ids that sort by time and never repeat within a process."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        # Guards the counter: two threads must not draw the same value.
        self._lock = threading.Lock()
        self.reseed()

    def reseed(self) -> None:
        """Start counting somewhere else; a forked child must, or it would repeat its parent's ids."""
        self._lock = threading.Lock()
        self._counter = int.from_bytes(os.urandom(4), "big") & _COUNTER_MASK

    def next(self) -> int:
        """Return a new run id, 1 to 2**63 - 1."""
        with self._lock:
            self._counter = (self._counter + 1) & _COUNTER_MASK
            counter = self._counter
        milliseconds = max(self._clock.now_us() // 1000 - RUN_EPOCH_MS, 0) & _TIME_MASK
        return (milliseconds << COUNTER_BITS) | counter or 1


_source = RunIdSource()
renew_in_child(_source.reseed)


new_run_id: Final = _source.next
"""Returns a new run id of this process."""


def new_writer_id() -> int:
    """Return a random writer id, 1 to 2**63 - 1: one per tracker instance, another in a forked child."""
    return int.from_bytes(os.urandom(8), "big") >> 1 or 1


def run_time_us(run_id: int) -> int:
    """Return when a run id was made, in microseconds since 1970-01-01Z on its maker's clock."""
    return ((run_id >> COUNTER_BITS) + RUN_EPOCH_MS) * 1000


def first_run_id_at(moment_us: int) -> int:
    """Return the smallest run id that a run begun at this moment can have: the bound for partitions and cutoffs."""
    milliseconds = min(max(moment_us // 1000 - RUN_EPOCH_MS, 0), _TIME_MASK)
    return milliseconds << COUNTER_BITS


def format_run_id(run_id: int) -> str:
    """Return the 13 characters that people see for a run id."""
    if not 0 <= run_id <= MAX_RUN_ID:
        raise ValueError(f"a run id lies in 0 .. 2**63 - 1; given: {run_id}")
    return "".join(_ALPHABET[(run_id >> shift) & 31] for shift in range(60, -1, -5))


def parse_run_id(text: str) -> int:
    """Return the run id of its 13 characters; case and the look-alikes I, L, O are forgiven. ValueError otherwise."""
    letters = text.strip().upper().replace("-", "")
    if len(letters) != ID_LENGTH or any(letter not in _DECODE for letter in letters):
        raise ValueError(f"a run id is {ID_LENGTH} characters of 0-9 and A-Z without I, L, O, U; given: {text!r}")
    value = 0
    for letter in letters:
        value = value << 5 | _DECODE[letter]
    if value > MAX_RUN_ID:
        raise ValueError(f"{text!r} is beyond the greatest run id, {format_run_id(MAX_RUN_ID)}")
    return value


_NOISE = (
    r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b"
    r"|(?<![A-Za-z_])#?\d[\d:.,/T+-]*Z?(?![A-Za-z_])"
)


def job_from_notes(notes: str | None) -> str:
    """Return a job's name from its notes: the first line without dates, numbers and uuids; '' when nothing is left.

    Runs of one pipeline usually carry the same words with another date, so this makes them comparable.
    """
    if not notes or not notes.strip():
        return ""
    words = re.sub(_NOISE, " ", notes.strip().splitlines()[0])
    words = re.sub(r"\(\s*\)|\[\s*\]", " ", words)
    return re.sub(r"\s+", " ", words).strip(" \t-–—_:,;/#.").replace(" : ", ": ").replace(" , ", ", ")


def script_name() -> str:
    """Return the name of the running script without its ending, `python` for an interactive interpreter."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name).removesuffix(".__main__")
    name = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] not in ("", "-c") else ""
    return name or "python"


@lru_cache(maxsize=1)
def host_name() -> str:
    """Return this machine's name."""
    return os.uname().nodename


@lru_cache(maxsize=1)
def user_name() -> str:
    """Return the login name, or the numeric user id where the system has no name."""
    with suppress_faults(OSError, KeyError, ImportError):
        load("getpass", "pwd")
        import getpass

        return getpass.getuser()
    return str(os.getuid())


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Return what distinguishes this boot of the machine, and this container on it, from others: `BOOT/PID NAMESPACE`.

    Containers of one machine share its boot and may share a host name; their process ids are each their own. '' where
    the system has no such files.
    """
    with suppress_faults(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    return ""


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the job's own version: $TRACKING_CODE_VERSION, else the commit its working directory stands on, else ''.

    Read from the files of the repository: no process is started for it.
    """
    given = os.environ.get("TRACKING_CODE_VERSION")
    if given:
        return given
    with suppress_faults(OSError):
        for folder in (Path.cwd(), *Path.cwd().parents):
            head = folder / ".git" / "HEAD"
            if head.is_file():
                return _commit_of(head)
    return ""


def _commit_of(head: Path) -> str:
    text = head.read_text(encoding="utf-8", errors="replace").strip()
    if not text.startswith("ref: "):
        return text[:12]
    reference = text.removeprefix("ref: ")
    loose = head.parent / reference
    if loose.is_file():
        return loose.read_text(encoding="utf-8", errors="replace").strip()[:12]
    packed = head.parent / "packed-refs"
    if packed.is_file():
        for line in packed.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.endswith(" " + reference):
                return line[:12]
    return ""


VERSION: Final = "0.1.0"


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
        if before == "-p" or (
            re.fullmatch(_OPTION_NAME, before) is not None and len(before) > 2 and _is_secret(before)
        ):
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
            # Of `-uNAME` and `-pPASSWORD` nothing else distinguishes them.
            shown = word[:2] + (MASK if word[1] == "p" else _without_second(word[2:]))
        else:
            shown = without_secrets(word)
        yield shown
        before = word


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
