"""What an exception that leaves a block says of how the block ended; imports nothing, since every run asks.

Owns the two questions that a run's block and a phase's block have in common. Refuses to own what follows from them.
"""

from __future__ import annotations

import sys


def is_clean_exit(error: BaseException) -> bool:
    """Return whether it is `sys.exit()` or `sys.exit(0)`: a way out of a block that went well."""
    return isinstance(error, SystemExit) and error.code in (None, 0)


def is_stop(error: BaseException) -> bool:
    """Return whether somebody stopped the block from outside: ctrl-c, or a cancelled task (which ctrl-c becomes)."""
    if isinstance(error, KeyboardInterrupt):
        return True
    # Looked up, not imported: a job without asyncio need not pay for it.
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)
