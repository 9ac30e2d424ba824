"""Run one of the demo's programs as a child that never outlives its parent.

Owns the lifeline: the parent holds the other end of the child's stdin, and when that closes, for whatever
reason, the child ends as by a signal. The programs themselves know nothing of it, so they stay fit to be
copied.

    python -m etlwatch.demo.child etlwatch.demo.inventory --pace 40
"""

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

LEAVING_S = 5.0  # for ending the run properly; then the process ends without it


def follow_parent(lifeline: int) -> None:
    """End this process once the descriptor `lifeline` reaches its end, first as SIGTERM would."""
    thread = threading.Thread(target=_wait_for_end, args=(lifeline,), name="lifeline", daemon=True)
    thread.start()


def _wait_for_end(lifeline: int) -> None:
    # Signals are the main thread's: one that this thread takes interrupts no sleep there.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    # A plain descriptor: a buffered reader would be locked while the interpreter shuts down.
    while os.read(lifeline, 1024):
        continue
    main_thread = threading.main_thread().ident
    if main_thread is not None:
        # To the main thread, so that a sleep or a socket it waits in is interrupted.
        signal.pthread_kill(main_thread, signal.SIGTERM)
    time.sleep(LEAVING_S)
    os._exit(1)


def _leave(signal_number: int, _frame: FrameType | None) -> None:
    # A second signal means at once.
    signal.signal(signal_number, signal.SIG_DFL)
    raise KeyboardInterrupt(f"ended by {signal.Signals(signal_number).name}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `main` of the module named first with the rest as its arguments and return its status."""
    module, *rest = sys.argv[1:] if arguments is None else arguments
    # Both unwind the program, so that its `with` blocks end what they began. SIGINT is set too, because a
    # shell that starts something in the background has it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        follow_parent(sys.stdin.fileno())
        status: int = importlib.import_module(module).main(rest)
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    raise SystemExit(main())
