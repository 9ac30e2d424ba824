"""What the environment, the role and the database set for a session changes nothing of what is written and read."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import conninfo, sql

from tests.support.databases import Databases
from tests.tracking_core.sample_batches import BEGAN_US, RUN, WRITER, batch_of, end, phase, raised, source, start_of
from tracking_core import errors as our
from tracking_core.events import Batch
from tracking_core.store import open_store
from tracking_core.store.postgres.connection import translate

TEXT = "Käse für 5 € 日本"

SETTINGS = {
    "nothing": {},
    "client_encoding": {"client_encoding": "LATIN1"},
    "German": {"DateStyle": "German", "IntervalStyle": "sql_standard"},
    "SQL": {"DateStyle": "SQL, DMY", "IntervalStyle": "postgres_verbose"},
    "zone": {"TimeZone": "<+03>-3"},
    "backslashes": {"standard_conforming_strings": "off", "backslash_quote": "on", "escape_string_warning": "on"},
    "forms": {"bytea_output": "escape", "extra_float_digits": "-15", "xmlbinary": "hex"},
    "names": {"search_path": ""},
    "isolation": {"default_transaction_isolation": "serializable"},
    "language": {"lc_messages": "C", "lc_monetary": "C"},
    "checks": {"check_function_bodies": "off", "quote_all_identifiers": "on", "row_security": "off"},
}


def alter(dsn: str, settings: dict[str, str]) -> None:
    """Set what every later session of this database begins with."""
    name = sql.Identifier(conninfo.conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(dsn, autocommit=True) as connection:
        for setting, value in settings.items():
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET {} TO {}").format(name, sql.Identifier(setting), sql.Literal(value))
            )


def write_everything(dsn: str) -> None:
    """Write one of everything, by the ways of a batch, of a large one, and of a single request."""
    with open_store(dsn).writer(5) as writer:
        writer.hello()
        writer.write(batch_of(3, starts=(start_of(job=TEXT),), phases=(phase(at=1),), source_counts=(source(),)))
        writer.write(batch_of(60, batch_seq=2, first=4, errors=(raised(200, message=TEXT),)))
        for seq in range(70, 75):
            writer.write(batch_of(1, batch_seq=None, first=seq))
        writer.beat([RUN])
        assert not writer.switched_off(TEXT)
        receipt = writer.write(batch_of(0, batch_seq=3, ends=(end(),)))
    assert receipt.ended == {RUN}
    assert abs(receipt.store_us / 1e6 - datetime.now(UTC).timestamp()) < 60


@pytest.mark.parametrize("through", ["server", "pooler"])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_settings_of_a_database_change_nothing(
    settings: dict[str, str],
    through: str,
    postgres_store_dsn: str,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    alter(postgres_store_dsn, settings)
    dsn = postgres_store_dsn
    if through == "pooler":
        bouncer: Callable[[str], str] = request.getfixturevalue("pgbouncer_dsn")
        dsn = bouncer(postgres_store_dsn)
    with caplog.at_level(logging.WARNING):
        store = open_store(dsn)
        assert store.initialize() == []
        write_everything(dsn)
        with store.reader(5) as reader:
            (run,) = reader.recent_runs(10)
            (error,) = reader.errors(RUN)
            assert (run.job, run.status, run.requests, run.errors, error.message) == (TEXT, "completed", 68, 1, TEXT)
            assert run.started_at.timestamp() * 1e6 == BEGAN_US
            assert sum(totals.requests for totals in reader.endpoints(RUN)) == 68
        with store.administration(5) as admin:
            admin.set_switch(enabled=False, job=TEXT, actor="p", reason=TEXT)
            assert sum(admin.cleanup(0, actor="p")) == 1
    assert caplog.records == []


@pytest.mark.parametrize("encoding", ["LATIN1", "SJIS"])
def test_an_encoding_in_the_environment_changes_nothing(
    encoding: str, postgres_store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as environment:
        environment.setenv("PGCLIENTENCODING", encoding)
        environment.setenv("PGDATESTYLE", "German")
        environment.setenv("PGTZ", "<+03>-3")
        write_everything(postgres_store_dsn)
        with open_store(postgres_store_dsn + "?client_encoding=latin1").reader(5) as reader:
            assert [run.job for run in reader.recent_runs(10)] == [TEXT]


def test_the_driver_writes_nothing_to_stderr(
    postgres_store_dsn: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's notice that comes while connecting is printed by libpq itself."""
    with psycopg.connect(postgres_store_dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION public.warn() RETURNS event_trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE WARNING 'collation version mismatch'; END $$;"
            "CREATE EVENT TRIGGER warn ON login EXECUTE FUNCTION public.warn()"
        )
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    capfd.readouterr()
    write_everything(postgres_store_dsn)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("state", "kind"),
    {
        "22003": our.RowRejected,
        "22001": our.RowRejected,
        "22021": our.RowBlocked,
        "22P05": our.RowBlocked,
        "23514": our.RowBlocked,
        "23502": our.RowBlocked,
        "44000": our.RowBlocked,
        "P0001": our.RowBlocked,
        "P0002": our.StoreUnavailable,
        "42501": our.StoreForbidden,
        "42804": our.StoreRefused,
        "42P01": our.SchemaMissing,
        "3F000": our.SchemaMissing,
        "42703": our.SchemaMissing,
        "25006": our.StoreRefused,
        "28P01": our.StoreRefused,
        "3D000": our.StoreRefused,
        "0A000": our.StoreRefused,
        "40001": our.StoreConflict,
        "40P01": our.StoreConflict,
        "53100": our.StoreUnavailable,
        "54000": our.StoreUnavailable,
        "55P03": our.StoreUnavailable,
        "57014": our.StoreUnavailable,
        "XX000": our.StoreUnavailable,
    }.items(),
)
def test_what_an_error_means_follows_from_its_state_in_any_language(
    state: str, kind: type[our.StoreError], postgres_dsn: str
) -> None:
    with (
        psycopg.connect(postgres_dsn, autocommit=True) as connection,
        pytest.raises(psycopg.Error) as caught,
    ):
        connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'Fehler: gibt es nicht' USING ERRCODE = '{state}'; END $$")
    assert type(translate(caught.value, "there")) is kind


# -- databases of other encodings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP"])
def test_a_row_that_a_database_has_no_characters_for_is_blocked(encoding: str, databases: Databases) -> None:
    with databases.fresh(encoding=encoding) as dsn:
        make_tables(dsn)
        with open_store(dsn).writer(5) as writer:
            writer.write(batch_of(3, starts=(start_of(),)))
            with pytest.raises(our.RowBlocked):
                writer.write(batch_of(0, batch_seq=2, errors=(raised(9, message="€ ü 日"),)))
            writer.write(batch_of(3, batch_seq=3, first=4))
        with open_store(dsn).reader(5) as reader:
            assert reader.recent_runs(1)[0].requests == 6


def test_a_database_without_an_encoding_is_read_and_written(databases: Databases) -> None:
    with databases.fresh(encoding="SQL_ASCII") as dsn:
        make_tables(dsn)
        write_everything(dsn)
        with open_store(dsn).reader(5) as reader:
            assert (reader.recent_runs(1)[0].job, reader.errors(RUN)[0].message) == (TEXT, TEXT)
        with psycopg.connect(dsn, autocommit=True, client_encoding="SQL_ASCII") as connection:
            connection.execute(rb"UPDATE tracking.errors SET message = E'caf\xe9'")
        with open_store(dsn).reader(5) as reader, pytest.raises(our.StoreError, match="UTF"):
            reader.errors(RUN)


def test_tables_are_made_in_no_database_but_of_utf_8(databases: Databases) -> None:
    for encoding in ("LATIN1", "SQL_ASCII"):
        with databases.fresh(encoding=encoding) as dsn, pytest.raises(our.StoreRefused, match=encoding):
            open_store(dsn).initialize()


def make_tables(dsn: str) -> None:
    """Make the tables as an administrator does, with the script."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(open_store(dsn).migration_sql().encode())


# -- rules of the operators --------------------------------------------------------------------------------------------


def test_requests_that_a_trigger_leaves_out_are_not_taken_for_stored(postgres_store_dsn: str) -> None:
    with psycopg.connect(postgres_store_dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION public.none() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER leave_out BEFORE INSERT ON tracking.requests FOR EACH ROW EXECUTE FUNCTION public.none()"
        )
    with open_store(postgres_store_dsn).writer(5) as writer:
        for count in (3, 60):
            with pytest.raises(our.StoreRefused, match="leaves out"):
                writer.write(batch_of(count, starts=(start_of(),)))


def test_a_run_that_row_security_hides_is_not_taken_for_switched_off(
    databases: Databases, postgres_store_dsn: str
) -> None:
    with psycopg.connect(postgres_store_dsn, autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE tracking.runs ENABLE ROW LEVEL SECURITY;"
            "CREATE POLICY add_only ON tracking.runs FOR INSERT TO guarded WITH CHECK (true);"
            "GRANT USAGE ON SCHEMA tracking TO guarded;"
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tracking TO guarded"
        )
        name = connection.info.dbname
    with open_store(databases.guarded_dsn(name)).writer(5) as writer, pytest.raises(our.StoreRefused):
        writer.write(batch_of(3, starts=(start_of(),)))


@pytest.mark.parametrize("batch_seq", [1, None])
def test_a_check_of_the_operators_blocks_its_row_in_either_store(batch_seq: int | None, store_dsn: str) -> None:
    if "postgresql" in store_dsn:
        if "options" in store_dsn:
            pytest.skip("made by its owner")
        with psycopg.connect(store_dsn, autocommit=True, prepare_threshold=None) as connection:
            connection.execute("ALTER TABLE tracking.requests ADD CHECK (seq <> 7)")
    else:
        import sqlite3

        with sqlite3.connect(store_dsn.removeprefix("sqlite:///")) as file:
            file.execute("PRAGMA writable_schema = ON")
            file.execute(
                "UPDATE sqlite_master SET sql = replace(sql, 'PRIMARY KEY', 'CHECK (seq <> 7), PRIMARY KEY') "
                "WHERE name = 'requests'"
            )
        file.close()
    with open_store(store_dsn).writer(5) as writer:
        writer.write(Batch(writer_id=WRITER, batch_seq=None, starts=(start_of(),)))
        with pytest.raises(our.RowBlocked):
            writer.write(batch_of(1, batch_seq=batch_seq, first=7))
        writer.write(batch_of(1, batch_seq=2, first=8))
