"""What one test session shares between its processes (pytest-xdist's workers): directories, locks, a guard.

Owns the session's directories and their removal. Knows no server: whoever starts one writes
its process id to `pid` in its `own_directory`, so that the guard finds it.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.unprivileged import Account, make_directory_in_memory, make_reachable_directory, server_account

PREFIX = "etlwatch-tests-"

# Ends the servers and removes the directory should the session die without doing so (SIGKILL, os._exit).
# It reads process ids from files that a clean stop removes, so it never signals a number given away again.
GUARD = """
watched=$1
shift
while kill -0 "$watched" 2>/dev/null && [ -d "$1" ]; do sleep 1; done
[ -d "$1" ] || exit 0
for directory; do for file in "$directory"/*/pid; do
    [ -f "$file" ] || continue
    kill -CONT "$(head -n 1 "$file")" 2>/dev/null
    kill -QUIT "$(head -n 1 "$file")" 2>/dev/null
done; done
sleep 1
rm -rf "$@"
"""


class SharedSession:
    """One test session's directories: made by its first process, joined by the others.

    `directory` holds what programs are started from and what the processes tell each other, `data` the servers' data:
    in memory if there is room, where a database is copied ten times faster.
    """

    def __init__(self, directory: Path, *, account: Account) -> None:
        self.directory = directory
        self.account = account

    @property
    def data(self) -> Path:
        """Where servers keep their data."""
        return Path(self.made("data") or self.directory)

    @classmethod
    def begin(cls) -> "SharedSession":
        """Make a session's directory; whoever begins a session ends it with `end`."""
        account = server_account()
        session = cls(make_reachable_directory(account, PREFIX), account=account)
        session.once("data", lambda: str(make_directory_in_memory(account, PREFIX) or session.directory))
        return session

    @classmethod
    def join(cls, directory: str) -> "SharedSession":
        """Take part in a session that another process began."""
        return cls(Path(directory), account=server_account())

    @property
    def name(self) -> str:
        """What tells this session's databases from those of any other on a shared server: `[a-z0-9_]+`."""
        return "etlwatch_" + "".join(c if c.isalnum() else "_" for c in self.directory.name[-8:].lower())

    def unique(self, kind: str) -> str:
        """Return a name that no process of this or another session uses: `[a-z0-9_]+`, under 63 bytes."""
        return f"{self.name}_{kind}_{secrets.token_hex(5)}"

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock between the session's processes; released when its holder dies."""
        with (self.directory / f"{name}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def once(self, name: str, make: Callable[[], str]) -> str:
        """Return what `make` gave the first process to ask; the others wait for it. An error is not kept."""
        made = self.directory / f"{name}.made"
        with self.lock(name):
            if not made.exists():
                value = make()
                made.write_text(value, encoding="utf-8")
            return made.read_text(encoding="utf-8")

    def made(self, name: str) -> str | None:
        """Return what `once` keeps under a name, None when nobody asked for it."""
        path = self.directory / f"{name}.made"
        return path.read_text(encoding="utf-8") if path.exists() else None

    def own_directory(self, kind: str, *, on_disk: bool = False) -> Path:
        """Make a directory that belongs to the servers' account, watched over by the guard."""
        self.once("guard", self._start_guard)
        directory = (self.directory if on_disk else self.data) / f"{kind}-{secrets.token_hex(3)}"
        directory.mkdir()
        self.account.own(directory)
        return directory

    def _start_guard(self) -> str:
        # In the background of a shell that ends at once: the guard is nobody's child, in a session that
        # no ctrl-c reaches.
        watched = self.made("controller") or str(os.getpid())
        subprocess.run(
            ["/bin/sh", "-c", '/bin/sh -c "$0" guard "$@" &', GUARD, watched, self.directory, self.data],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return watched

    def end(self) -> None:
        """Remove the directories; the servers below must have been stopped."""
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)
