"""The account that servers run under when the tests run as root. Opens no directory that it did not make.

PostgreSQL and pgbouncer both refuse to run as root, and neither needs more than a directory of its own.
"""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

# Tried in this order; all exist on a stock system and own nothing.
ACCOUNT_NAMES = ("nobody", "daemon")
# The path of a unix socket has at most 107 bytes on Linux and 103 on BSD, its directory and name included.
LONGEST_DIRECTORY = 60
MEMORY_FILE_SYSTEM = "/dev/shm"
# A server takes 40 MB, a database 15; containers often have 64 MB in all.
ROOM_IN_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom to start servers as: `uid` and `gid` are None where this process is not root and stays itself."""

    uid: int | None
    gid: int | None

    def run(self, command: Sequence[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command as this account, in `/`, and return its output as text whatever its exit status."""
        identity: dict[str, object] = {}
        if self.uid is not None:
            identity = {"user": self.uid, "group": self.gid, "extra_groups": []}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            [str(part) for part in command],
            **{
                "cwd": "/",
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.STDOUT,
                "text": True,
                **identity,
                **options,
            },
        )

    def start(self, command: Sequence[str | Path], log: Path) -> int:
        """Start a server that appends to `log`, and return its process id.

        A shell puts it in the background and ends, so it is no child of the worker that happened to start it, and a
        session of its own keeps a ctrl-c at the terminal from ending it before the tests that use it.
        """
        in_background = 'log=$0; "$@" </dev/null >>"$log" 2>&1 & echo $!'
        environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
        started = self.run(["/bin/sh", "-c", in_background, log, *command], env=environment, start_new_session=True)
        return int(started.stdout)

    def own(self, path: Path) -> None:
        """Give one path to this account, with no access for others."""
        path.chmod(0o700)
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def can_enter(self, directory: Path) -> bool:
        """Say whether this account can reach a directory by its path."""
        return self.run(["/bin/sh", "-c", 'cd "$0"', directory]).returncode == 0


def alive(pid: int) -> bool:
    """Say whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def server_account() -> Account:
    """Return the account for servers: this process's own, or an unprivileged one when it is root.

    Raises RuntimeError when root finds none of `ACCOUNT_NAMES`.
    """
    if os.geteuid() != 0:
        return Account(uid=None, gid=None)
    for name in ACCOUNT_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise RuntimeError(f"servers refuse to run as root and none of the users {', '.join(ACCOUNT_NAMES)} exists")


def make_reachable_directory(account: Account, prefix: str) -> Path:
    """Make a temporary directory that the account can pass through, with a path short enough for sockets.

    `TMPDIR` may lie under a private home; then the system's shared directories are tried.
    Raises RuntimeError when none will do.
    """
    for parent in dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"]):
        directory = _make_below(parent, account, prefix)
        if directory is not None:
            return directory
    raise RuntimeError("no temporary directory that an unprivileged server could reach")


def make_directory_in_memory(account: Account, prefix: str) -> Path | None:
    """Make such a directory on a file system in memory; None where there is none, or too little room.

    Programs may not be started from it. Whoever sets `TMPDIR` has said where files shall lie, and gets None too.
    """
    if "TMPDIR" in os.environ or not Path(MEMORY_FILE_SYSTEM).is_dir():
        return None
    room = min(psutil.disk_usage(MEMORY_FILE_SYSTEM).free, psutil.virtual_memory().available)
    return _make_below(MEMORY_FILE_SYSTEM, account, prefix) if room >= ROOM_IN_MEMORY_BYTES else None


def _make_below(parent: str, account: Account, prefix: str) -> Path | None:
    if len(parent) + len(prefix) > LONGEST_DIRECTORY or not os.access(parent, os.W_OK):
        return None
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    directory.chmod(0o711)
    if account.can_enter(directory):
        return directory
    directory.rmdir()
    return None
