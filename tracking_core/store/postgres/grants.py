"""Which rights a role needs that does not own the tables, and the SQL that grants them."""

from __future__ import annotations

RECORDING = {
    "runs": "SIU", "requests": "SI", "run_endpoints": "SIU", "run_series": "SIU", "throughput": "SIUD",
    "phases": "SIU", "phase_series": "SIU", "source_counts": "SIU", "errors": "SI", "batches": "SIUD", "writers": "SIU",
    "switches": "S", "removed_runs": "S", "retention": "S", "schema_version": "S", "audit": "I",
}  # fmt: skip
"""S select, I insert, U update, D delete: what a job's own writing needs of each table."""

ADMINISTRATION = {
    "runs": "SUD", "requests": "SD", "run_endpoints": "SD", "run_series": "SD", "phases": "SD", "phase_series": "SD",
    "source_counts": "SD", "errors": "SD", "batches": "SD", "writers": "SD", "switches": "SIU", "removed_runs": "SID",
    "retention": "SIU", "schema_version": "S", "audit": "SIU",
}  # fmt: skip
"""The same for switches, closing runs and clean-ups."""

WORDS = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"}


def quoted(name: str) -> str:
    """Return a name as SQL writes an identifier."""
    return '"' + name.replace('"', '""') + '"'


def grants(role: str, *, database: str = "", owner: str = "") -> str:
    """Return the SQL that lets a role record, read and administrate, for an administrator to choose from.

    `database` where the role asked to make the tables; `owner` of the tables that there are.
    """
    to = quoted(role)
    if owner:
        lines = [f"-- the tables belong to {quoted(owner)}: run `etlwatch init` as this role or a member of it"]
    elif database:
        lines = ["-- to make the tables with `etlwatch init`", f"GRANT CREATE ON DATABASE {quoted(database)} TO {to};"]
    else:
        lines = []
    lines += [
        "-- to use tables that another role has made with `etlwatch init`",
        f"GRANT USAGE ON SCHEMA tracking TO {to};",
        "-- to look: commands and dashboard",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA tracking TO {to};",
        "-- to record: jobs",
        *_on_tables(RECORDING, to),
        "-- to turn tracking on and off, close runs and clean up (only the owner's members drop whole weeks)",
        *_on_tables(ADMINISTRATION, to),
    ]
    return "\n".join(lines) + "\n"


def _on_tables(needed: dict[str, str], to: str) -> list[str]:
    tables: dict[str, list[str]] = {}
    for table, letters in needed.items():
        tables.setdefault(letters, []).append(f"tracking.{table}")
    return [
        f"GRANT {', '.join(WORDS[letter] for letter in letters)} ON {', '.join(names)} TO {to};"
        for letters, names in tables.items()
    ]
