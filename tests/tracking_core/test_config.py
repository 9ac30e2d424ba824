"""Where runs are recorded: everything that is accepted as a cfg, and what it does not."""

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from psycopg.conninfo import conninfo_to_dict

from tracking_core.config import (
    enabled_by,
    home_directory,
    job_of,
    make_private_directory,
    resolve,
    settings,
    spool_directories,
)
from tracking_core.errors import ConfigurationError, StoreRefused
from tracking_core.store import open_store

PASSWORD = "geheim-7"
DEFAULTS = {"delivery": "immediate", "overload": "aggregate", "deadline": 5.0, "heartbeat_interval": 10.0}

POSTGRES_FORMS = {
    "uri": f"postgresql://etl:{PASSWORD}@db.example:5433/warehouse",
    "short scheme": f"postgres://etl:{PASSWORD}@db.example:5433/warehouse",
    "keyword list": f"host=db.example port=5433 dbname=warehouse user=etl password={PASSWORD}",
    "quoted list": f"host = 'db.example' port=5433 dbname='warehouse' user=etl password = '{PASSWORD}'",
    "uri in dbname": {"dbname": f"postgresql://etl:{PASSWORD}@db.example:5433/warehouse"},
    "mapping": {"host": "db.example", "port": 5433, "dbname": "warehouse", "user": "etl", "password": PASSWORD},
    "dsn in a mapping": {"dsn": f"postgresql://etl:{PASSWORD}@db.example:5433/warehouse"},
    "dsn with a keyword": {"dsn": "postgresql://etl@db.example:5433/warehouse", "password": PASSWORD},
    "object": SimpleNamespace(
        db_host="db.example", db_port=5433, db_name="warehouse", db_user="etl", db_password=PASSWORD
    ),
}


@pytest.mark.parametrize("cfg", POSTGRES_FORMS.values(), ids=POSTGRES_FORMS.keys())
def test_every_form_of_a_postgres_cfg_means_the_same_place(cfg: object) -> None:
    location = resolve(cfg)
    assert location.kind == "postgres"
    assert location.named
    assert location.keywords == {
        "host": "db.example",
        "port": "5433",
        "dbname": "warehouse",
        "user": "etl",
        "password": PASSWORD,
    }
    assert location.label == "postgresql://db.example:5433/warehouse as etl"


@pytest.mark.parametrize("cfg", POSTGRES_FORMS.values(), ids=POSTGRES_FORMS.keys())
def test_a_password_is_in_no_repr_and_no_label(cfg: object) -> None:
    location = resolve(cfg)
    assert PASSWORD not in repr(location) + str(location) + location.label
    assert PASSWORD in location.dsn


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://",
        "postgresql://localhost",
        "postgresql://localhost/",
        "postgresql:///warehouse",
        "postgresql://me@/warehouse",
        "postgresql://me:p%40ss%3Aw%2Ford@localhost/ware%20house",
        "postgresql://h1:1,h2:2/db?target_session_attrs=read-write",
        "postgresql://[::1]:5432/db",
        "postgresql://[::1]/db?connect_timeout=3&application_name=a%26b",
        "postgresql://%2Frun%2Fpostgresql/db",
        "postgresql:///db?host=/run/postgresql&port=5433",
        "service=prod",
        r"host=a password='it\'s \\ here' dbname=d",
        r"password=a\ b user=c",
        "host= 'a'   dbname\t=\n''",
    ],
)
def test_a_dsn_is_read_as_libpq_reads_it_and_survives_being_handed_on(dsn: str) -> None:
    expected = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    location = resolve(dsn)
    assert location.keywords == expected
    assert conninfo_to_dict(location.dsn) == expected


def test_an_at_sign_in_a_password_needs_no_escaping() -> None:
    assert resolve("postgresql://me:p@ss@db/x").keywords == {
        "user": "me",
        "password": "p@ss",
        "host": "db",
        "dbname": "x",
    }


@pytest.mark.parametrize(
    "cfg",
    [
        {"host": "db", "database": "x"},
        {"host": "db", "database": "x", "dbname": None},
        {"host": "db", "database": "x", "dbname": "x"},
        {"dsn": "postgresql://db/other", "database": "x"},
        "host=db database=x",
        "postgresql://db?database=x",
    ],
)
def test_psycopg2_s_database_is_the_dbname(cfg: object) -> None:
    assert resolve(cfg, environ={}).keywords == {"host": "db", "dbname": "x"}


@pytest.mark.parametrize("cfg", [{"database": "x", "dbname": "y"}, "dbname=y database=x"])
def test_two_databases_in_one_cfg_are_a_mistake(cfg: object) -> None:
    with pytest.raises(ConfigurationError, match="dbname and database name two databases"):
        resolve(cfg, environ={})


def test_libpq_s_variables_show_in_the_label_and_are_left_to_libpq() -> None:
    environ = {"TRACKING_DSN": "postgresql://", "PGHOST": "db", "PGUSER": "etl", "PGDATABASE": "t", "PGPASSWORD": "x"}
    location = resolve(environ=environ)
    assert location.label == "postgresql://db/t as etl"
    assert location.keywords == {}
    assert location.dsn == "postgresql://"
    assert location.named


@pytest.mark.parametrize(
    ("cfg", "label"),
    [
        ("service=prod", "postgresql:// (service prod)"),
        ("postgresql://me@h1:1,h2/db", "postgresql://h1:1,h2/db as me"),
        ("host=::1 dbname=x", "postgresql://[::1]/x"),
        ("host=/run/postgresql dbname=x user=me", "postgresql:///x as me (socket /run/postgresql)"),
        ("postgresql://me@h", "postgresql://h/me as me"),
    ],
)
def test_a_label_says_what_is_known(cfg: str, label: str) -> None:
    assert resolve(cfg, environ={}).label == label


def test_a_relative_sqlite_file_is_that_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    location = resolve("sqlite:///data/runs.db")
    monkeypatch.chdir("/")
    assert location.path == tmp_path / "data" / "runs.db"
    assert (location.kind, location.named) == ("sqlite", True)
    assert location.label == str(location.path)
    assert resolve(location.dsn) == location


def test_four_slashes_name_an_absolute_sqlite_file() -> None:
    assert resolve("sqlite:////var/lib/a b%20.db").path == Path("/var/lib/a b%20.db")


def test_a_tilde_means_the_home_directory() -> None:
    assert resolve("sqlite:///~/t.db", environ={"HOME": "/home/me"}).path == Path("/home/me/t.db")


def test_without_a_cfg_tracking_dsn_decides() -> None:
    assert resolve(environ={"TRACKING_DSN": "sqlite:////a/b.db"}).path == Path("/a/b.db")


def test_a_cfg_wins_over_tracking_dsn() -> None:
    assert resolve("sqlite:////a/b.db", environ={"TRACKING_DSN": "service=x"}).path == Path("/a/b.db")


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"XDG_DATA_HOME": "/data", "HOME": "/home/me"}, "/data/etlwatch/tracking.db"),
        ({"HOME": "/home/me"}, "/home/me/.local/share/etlwatch/tracking.db"),
        ({"HOME": "/home/me", "XDG_DATA_HOME": "relative"}, "/home/me/.local/share/etlwatch/tracking.db"),
        ({"HOME": "/home/me", "TRACKING_DSN": "  "}, "/home/me/.local/share/etlwatch/tracking.db"),
        ({"HOME": "/home/me", "PGHOST": "business"}, "/home/me/.local/share/etlwatch/tracking.db"),
    ],
)
def test_the_embedded_default_is_one_file_of_the_user(environ: dict[str, str], path: str) -> None:
    location = resolve(None, environ=environ)
    assert location.path == Path(path)
    assert not location.named


def test_a_location_resolves_to_itself() -> None:
    location = resolve("service=prod")
    assert resolve(location) is location


@pytest.mark.parametrize(
    ("cfg", "told"),
    [
        ("", "it is empty"),
        ("/var/lib/runs.db", "sqlite:////absolute.db"),
        ("runs.db", "sqlite:///relative.db"),
        (f"mysql://me:{PASSWORD}@db/x", "the scheme mysql://"),
        (f"postgresql://me:{PASSWORD}@db:port/x", "its port is not a number"),
        (f"postgresql://me:{PASSWORD}%zz@db/x", "hexadecimal"),
        (f"postgresql://me:{PASSWORD}%ff@db/x", "not UTF-8"),
        (f"postgresql://me:{PASSWORD}@[::1/x", "brackets"),
        (f"postgresql://me@db/x?{PASSWORD}", "no '='"),
        (f"host=a {PASSWORD}=x", "its keyword 2"),
        (f"host=a password='{PASSWORD}", "its part 2"),
        (f"host=a {PASSWORD}", "its part 2"),
        ("sqlite://runs.db", "three slashes"),
        ("sqlite:runs.db", "three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "memory"),
        ("sqlite:///runs.db?mode=ro", "options"),
        ({}, "an empty dict"),
        ({"db_host": "a", "db_password": PASSWORD}, "the keys db_host, db_password"),
        ({"dsn": f"mysql://{PASSWORD}"}, "cfg['dsn']"),
        ({"dsn": "sqlite:////a.db", "user": "me"}, "no further keywords"),
        ({"host": ["a"], "password": PASSWORD}, "cfg['host'] is of type list"),
        ({"host": "a", "port": True}, "cfg['port'] is of type bool"),
        ({"host": "a", "port": 70000}, "its port is not a number from 1 to 65535"),
        ({"host": "a\0b"}, "NUL"),
        (SimpleNamespace(host="a"), "of type SimpleNamespace"),
        (SimpleNamespace(db_host="a", db_password=object()), "cfg.db_password is of type object"),
        (SimpleNamespace(db_host=None, db_name=""), "of type SimpleNamespace"),
        (42, "of type int"),
        (PASSWORD.encode(), "of type bytes"),
        (Path("/var/lib/runs.db"), "of type PosixPath"),
    ],
)
def test_what_fits_nothing_is_refused_by_type_and_never_by_value(cfg: object, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(cfg, environ={})
    message = str(caught.value)
    assert told in message
    assert "accepted: a DSN" in message
    assert PASSWORD not in message
    assert caught.value.__cause__ is None


def test_a_wrong_tracking_dsn_is_named_as_the_culprit() -> None:
    with pytest.raises(ConfigurationError, match=r"^\$TRACKING_DSN cannot be used"):
        resolve(environ={"TRACKING_DSN": "ftp://x"})


def test_a_wrapped_password_is_unwrapped() -> None:
    class Secret:
        def get_secret_value(self) -> str:
            return PASSWORD

    cfg = SimpleNamespace(db_host="db", db_password=Secret())
    assert resolve(cfg).keywords["password"] == PASSWORD


@pytest.mark.parametrize("value", ["0", "false", "off", "no", "OFF", " No "])
def test_tracking_enabled_turns_a_job_s_tracking_off(value: str) -> None:
    assert not enabled_by({"TRACKING_ENABLED": value})


@pytest.mark.parametrize("value", ["", "1", "true", "on", "yes", "whatever"])
def test_any_other_tracking_enabled_leaves_it_on(value: str) -> None:
    assert enabled_by({"TRACKING_ENABLED": value})
    assert enabled_by({})


def test_tracking_job_names_a_job() -> None:
    assert job_of({"TRACKING_JOB": " nightly "}) == "nightly"
    assert job_of({"TRACKING_JOB": " "}) is None


def test_the_environment_wins_over_the_code_s_own_settings() -> None:
    environ = {"TRACKING_DELIVERY": "Buffered", "TRACKING_DEADLINE": "2.5", "TRACKING_COMMAND": "full"}
    chosen = settings(**DEFAULTS, environ=environ)
    assert (chosen.delivery, chosen.deadline) == ("buffered", 2.5)
    assert settings(**DEFAULTS, environ={}).delivery == "immediate"


@pytest.mark.parametrize(
    ("given", "environ", "told"),
    [
        ({}, {"TRACKING_COMMAND": "all"}, r"\$TRACKING_COMMAND is 'all'; accepted: 'names' or 'full'"),
        ({"record_command": "no"}, {}, "record_command is 'no'"),
        ({}, {"TRACKING_DELIVERY": "fast"}, r"\$TRACKING_DELIVERY is 'fast'; accepted: 'immediate' or 'buffered'"),
        ({}, {"TRACKING_DEADLINE": "soon"}, r"\$TRACKING_DEADLINE is 'soon'; accepted: a number of seconds"),
        ({}, {"TRACKING_DEADLINE": "nan"}, r"\$TRACKING_DEADLINE is nan; accepted: 0.05 to 3600 seconds"),
        ({"delivery": "fast"}, {}, "delivery is 'fast'"),
        ({"overload": "panic"}, {}, "overload is 'panic'; accepted: 'aggregate' or 'wait'"),
        ({"deadline": 0}, {}, "deadline is 0"),
        ({"heartbeat_interval": -1.0}, {}, "heartbeat_interval is -1.0"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_accepted(
    given: dict[str, object], environ: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        settings(**(DEFAULTS | given), environ=environ)


@pytest.mark.parametrize("value", ["5", True, None])
def test_a_deadline_that_is_no_number_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="deadline is of type"):
        settings(**(DEFAULTS | {"deadline": value}), environ={})


def test_a_named_spool_directory_is_the_only_one() -> None:
    assert spool_directories({"TRACKING_SPOOL_DIR": "/spool"}) == (Path("/spool"),)


def test_a_spool_falls_back_to_the_temporary_directory() -> None:
    first, second = spool_directories({"XDG_STATE_HOME": "/state"})
    assert first == Path("/state/etlwatch/spool")
    assert second == Path(tempfile.gettempdir())


def test_places_are_named_where_nothing_can_be_written_and_nothing_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(Path, "home", no_home)
    assert len(spool_directories({})) == 2
    assert not resolve(None, environ={}).named
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert spool_directories({"TRACKING_SPOOL_DIR": "relative/"}) == ()
    assert spool_directories({"TRACKING_SPOOL_DIR": "/absolute/"}) == (Path("/absolute"),)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of somebody else")
def test_a_home_that_another_user_has_made_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(Path, "home", no_home)
    mine = home_directory({})
    assert (mine.parent, mine.stat().st_mode & 0o777) == (tmp_path, 0o700)
    os.chown(mine, 4321, 4321)
    assert home_directory({}) == Path("/nonexistent")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of somebody else")
def test_the_embedded_file_is_not_used_where_another_user_could_have_made_it(tmp_path: Path) -> None:
    store = open_store(resolve(None, environ={"XDG_DATA_HOME": str(tmp_path)}))
    store.initialize()
    folder = tmp_path / "etlwatch"
    for change, undo in (
        (lambda: os.chown(folder, 4321, 4321), lambda: os.chown(folder, 0, 0)),
        (lambda: folder.chmod(0o777), lambda: folder.chmod(0o700)),
        (lambda: os.chown(folder / "tracking.db", 4321, 4321), lambda: os.chown(folder / "tracking.db", 0, 0)),
    ):
        change()
        for kind in (store.writer, store.reader):
            with pytest.raises(StoreRefused, match="another user"):
                kind(1.0)
        undo()
        store.writer(1.0).close()


def test_directories_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    made = make_private_directory(tmp_path / "a" / "b")
    assert made.is_dir()
    assert {made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777} == {0o700}
    assert make_private_directory(made) == made


def test_a_location_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        resolve("service=a").label = "other"  # type: ignore[misc]
