"""The one error tree of the package.

    TrackingError
    ├── ConfigurationError      a cfg or a switch that fits nothing accepted
    └── StoreError              the store did not do what was asked
        ├── StoreUnavailable    unreachable, silent beyond the deadline, shutting down, disk full: may heal by itself
        │   └── StoreConflict   it ended a transaction because of another one; the same one may succeed at once
        ├── StoreRefused        it answered and refused: password, permission, read-only
        │   └── StoreForbidden  the role lacks a right
        ├── SchemaMissing       it holds none of our tables
        ├── SchemaNewer         its tables are newer than this program
        ├── RowRejected         these values do not fit; sending them again will not help
        └── RowBlocked          a rule of the store stopped these values: a constraint, a trigger, its encoding

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


class StoreConflict(StoreUnavailable):
    """The store ended a transaction because of another one: a deadlock or a serialization failure."""


class StoreRefused(StoreError):
    """The store answered and refused: wrong password, missing permission, read-only."""


class StoreForbidden(StoreRefused):
    """The role lacks a right in the store; `etlwatch init` prints what an administrator can grant."""

    grants = ""
    """The SQL of that, where it is known who asked."""


class SchemaMissing(StoreError):
    """The store holds none of our tables; `etlwatch init` makes them."""


class SchemaNewer(StoreError):
    """The store's tables are newer than this program; upgrade it."""


class RowRejected(StoreError):
    """These values do not fit into the store; sending them again will not help."""


class RowBlocked(StoreError):
    """A rule of the store stopped these values (constraint, trigger, encoding); it takes them once that is changed."""
