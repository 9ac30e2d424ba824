"""Which migrations a store still needs; how they are run is each store's own affair.

The rule: whoever writes never runs DDL and works with a schema up to two versions older or newer; only
`initialize` upgrades, and it refuses a schema that is newer than this program.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracking_core.errors import SchemaNewer, StoreRefused
from tracking_core.store.queries import Migration

TOLERATED_VERSIONS = 2


def pending(known: tuple[Migration, ...], applied: Iterable[tuple[int, str, str]], label: str) -> tuple[Migration, ...]:
    """Return the migrations to run, given (version, name, checksum) of those that ran.

    Raises SchemaNewer when the store knows versions that this program does not, StoreRefused when a migration that
    ran differs from the one of the same number here.
    """
    done = {version: (name, checksum) for version, name, checksum in applied}
    newest_known = known[-1].version
    newest_applied = max(done, default=0)
    if newest_applied > newest_known:
        raise SchemaNewer(
            f"{label} has schema version {newest_applied}, this program knows {newest_known}: upgrade etlwatch"
        )
    for migration in known:
        if migration.version in done and done[migration.version][1] != migration.checksum:
            raise StoreRefused(
                f"{label}: migration {migration.version} ({migration.name}) was applied from another text than this "
                "program's; nothing was changed"
            )
    return tuple(migration for migration in known if migration.version not in done)


def check_readable(newest_applied: int, newest_known: int, label: str) -> None:
    """Raise SchemaNewer when a schema is too new to be read: more than two versions ahead of this program."""
    if newest_applied > newest_known + TOLERATED_VERSIONS:
        raise SchemaNewer(
            f"{label} has schema version {newest_applied}, this program knows {newest_known}: upgrade etlwatch"
        )
