"""The one error tree of the package.

    TrackingError
    ├── ConfigurationError      a cfg or a switch that fits nothing accepted
    └── StoreError              the store did not do what was asked
        ├── StoreUnavailable    unreachable, silent beyond the deadline, shutting down, disk full: may heal by itself
        ├── StoreRefused        it answered and said no: password, permission, read-only
        ├── SchemaMissing       it holds none of our tables
        ├── SchemaNewer         its tables are of a version this program does not know
        └── RowRejected         it refused these values; sending them again will not help

Stores translate their driver's errors into these in one place each. Messages carry no password.
"""

from __future__ import annotations


class TrackingError(Exception):
    """The base of everything this package raises on purpose."""


class ConfigurationError(TrackingError, ValueError):
    """What was given as configuration is not among what is accepted."""


class StoreError(TrackingError):
    """The store did not do what was asked."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or did not answer in time; trying again later may help."""


class StoreRefused(StoreError):
    """The store answered and refused: wrong password, missing permission, read-only."""


class SchemaMissing(StoreError):
    """The store holds none of our tables; `etlwatch init` makes them."""


class SchemaNewer(StoreError):
    """The store's tables are newer than this program knows; upgrade the program."""


class RowRejected(StoreError):
    """The store refused these values; sending them again will not help."""
