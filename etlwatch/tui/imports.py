"""Imports of libraries without optional modules that only cost memory."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast


@contextmanager
def without_module(name: str) -> Iterator[None]:
    """Make imports of a module fail inside the block, so that optional uses of it are left out.

    Does nothing where the module is loaded already. Afterwards it can be imported as usual.
    """
    if name in sys.modules:
        yield
        return
    # None is what Python documents for "cannot be imported".
    sys.modules[name] = cast("ModuleType", None)
    try:
        yield
    finally:
        del sys.modules[name]
