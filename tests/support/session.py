"""What one test session shares between its processes (pytest-xdist's workers): a directory, locks, a guard.

Owns the session's directory and its removal. Knows no server: whoever starts one below the directory writes
its process id to `<directory>/<name>/pid`, so that the guard finds it.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.unprivileged import Account, make_reachable_directory, server_account

# Ends the servers and removes the directory should the session die without doing so (SIGKILL, os._exit).
# It reads process ids from files that a clean stop removes, so it never signals a number given away again.
GUARD = """
while kill -0 "$1" 2>/dev/null && [ -d "$2" ]; do sleep 1; done
[ -d "$2" ] || exit 0
for file in "$2"/*/pid; do
    [ -f "$file" ] || continue
    kill -CONT "$(head -n 1 "$file")" 2>/dev/null
    kill -QUIT "$(head -n 1 "$file")" 2>/dev/null
done
sleep 1
rm -rf "$2"
"""


class SharedSession:
    """One test session's directory: made by its first process, joined by the others."""

    def __init__(self, directory: Path, *, account: Account) -> None:
        self.directory = directory
        self.account = account

    @classmethod
    def begin(cls) -> "SharedSession":
        """Make a session's directory; whoever begins a session ends it with `end`."""
        account = server_account()
        return cls(make_reachable_directory(account, "etlwatch-tests-"), account=account)

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

    def own_directory(self, kind: str) -> Path:
        """Make a directory that belongs to the servers' account, watched over by the guard."""
        self.once("guard", self._start_guard)
        directory = self.directory / f"{kind}-{secrets.token_hex(3)}"
        directory.mkdir()
        self.account.own(directory)
        return directory

    def _start_guard(self) -> str:
        # In the background of a shell that ends at once: the guard is nobody's child, in a session that
        # no ctrl-c reaches.
        watched = self.made("controller") or str(os.getpid())
        subprocess.run(
            ["/bin/sh", "-c", '/bin/sh -c "$0" guard "$@" &', GUARD, watched, str(self.directory)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return watched

    def end(self) -> None:
        """Remove the directory; the servers below must have been stopped."""
        shutil.rmtree(self.directory, ignore_errors=True)
