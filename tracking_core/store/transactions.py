"""Statements of an administration or an inspection in transactions of their own: what both share, for both dialects."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from tracking_core.errors import StoreConflict
from tracking_core.store.dialect import ATTEMPTS, Dialect
from tracking_core.store.rows import Rows

T = TypeVar("T")


class Transactions(Dialect):
    """Transactions of blocks of SQL; each raises StoreError when the store fails."""

    @abstractmethod
    def _look(self) -> AbstractContextManager[None]:
        """Let all statements inside read one moment of the store."""

    @abstractmethod
    def _change(self) -> AbstractContextManager[None]:
        """Make one transaction of the statements inside, bounded by the deadline."""

    @abstractmethod
    def _read(self, block: str, **parameters: object) -> Rows:
        """Return the rows of a block, inside `_look` or `_change`."""

    @abstractmethod
    def _do(self, block: str, **parameters: object) -> int:
        """Run a block inside `_change`; return the number of rows it touched."""

    def _changed(self, work: Callable[[], T]) -> T:
        """Return what `work` returns in a transaction, made again where the server ended it because of others."""
        for _ in range(ATTEMPTS - 1):
            try:
                with self._change():
                    return work()
            except StoreConflict:
                continue
        with self._change():
            return work()
