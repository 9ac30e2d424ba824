"""A job that makes every call once and prints what its own thread imported; its arguments are a DSN and a delivery."""

import sys
import threading
from contextlib import suppress

from tests.interrupts.job import Job
from tracking_core import TrackingError

IMPORTING = "<frozen importlib._bootstrap>"
found: list[str] = []
call_name = "init"


class Watch:
    """What Python asks first for a module that is not loaded."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        """Note a module that the main thread imports, but not what that one imports in turn."""
        frame, depth = sys._getframe(), 0
        while frame := frame.f_back:  # type: ignore[assignment]
            depth += frame.f_code.co_filename == IMPORTING and frame.f_code.co_name == "_find_and_load"
        if threading.current_thread() is threading.main_thread() and depth == 1:
            found.append(f"{call_name}: {name}")


def main() -> None:
    """Make every call."""
    global call_name
    sys.meta_path.insert(0, Watch())  # type: ignore[arg-type]
    job = Job(*sys.argv[1:])
    for name, call in job.calls().items():
        call_name = name
        # The old tracker raises where its store is down.
        with suppress(TrackingError):
            call()
    sys.meta_path.pop(0)
    print(*found, sep="\n", end="")


if __name__ == "__main__":
    main()
