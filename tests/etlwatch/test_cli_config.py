"""Targets, permission and `etlwatch config` on the command line."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from etlwatch.config import files
from etlwatch.config.settings import Settings
from tests.etlwatch.cli_program import MAIN, PROJECT, Program, command, python
from tests.store.stocking import Stock
from tests.support.terminal import Terminal
from tracking_core import SimpleETLTracker
from tracking_core.config import StoreLocation

TOP = ("default_target", "target", "display", "thresholds", "keys")
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def system_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the system's file would be; there is none as yet."""
    path = tmp_path / "etc" / "config.toml"
    path.parent.mkdir()
    monkeypatch.delenv("ETLWATCH_SYSTEM_CONFIG")
    monkeypatch.setattr(files, "SYSTEM_FILE", path)
    return path


@pytest.fixture
def user_file(tmp_path: Path) -> Path:
    """Return where the user's file would be; there is none as yet."""
    path = tmp_path / "xdg_config_home" / "etlwatch" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def targets(prod: str, test: str, *more: str) -> str:
    return "\n".join([f'[target.prod]\ndsn = "{prod}"', f'[target.test]\ndsn = "{test}"\nwrite = true', *more])


@pytest.fixture
def stores(tmp_path: Path, user_file: Path) -> Iterator[dict[str, Stock]]:
    """Yield two stocked stores, named prod and test in the user's file; only test may be changed."""
    dsns = {name: f"sqlite:///{tmp_path / name}.db" for name in ("prod", "test")}
    write(user_file, targets(dsns["prod"], dsns["test"]))
    from tracking_core.store import open_store

    for dsn in dsns.values():
        open_store(dsn).initialize()
    stocked = {name: Stock(dsn) for name, dsn in dsns.items()}
    for name, stock in stocked.items():
        run = stock.start(NOW - timedelta(days=60), job=f"job-of-{name}")
        stock.end(run, NOW - timedelta(days=60))
    yield stocked
    for stock in stocked.values():
        stock.close()


def jobs(answer: Any) -> list[str]:
    return [run["job"] for run in answer.data]


@pytest.mark.parametrize(
    "words",
    [
        ["-t", "prod", "runs"],
        ["runs", "-t", "prod"],
        ["--target", "prod", "runs"],
        ["runs", "--target", "prod"],
        ["-t", "test", "runs", "-t", "prod"],
    ],
)
def test_a_target_is_named_before_or_after_the_command(
    etlwatch: Program, stores: dict[str, Stock], words: list[str]
) -> None:
    assert jobs(etlwatch(*words, "--format", "json")) == ["job-of-prod"]


def test_a_target_beats_the_environment_and_the_environment_the_default_target(
    etlwatch: Program, stores: dict[str, Stock], user_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(user_file, 'default_target = "prod"\n' + user_file.read_text())
    assert jobs(etlwatch("runs", "--format", "json")) == ["job-of-prod"]
    monkeypatch.setenv("TRACKING_DSN", f"sqlite:///{tmp_path / 'test.db'}")
    assert jobs(etlwatch("runs", "--format", "json")) == ["job-of-test"]
    assert jobs(etlwatch("runs", "-t", "prod", "--format", "json")) == ["job-of-prod"]
    monkeypatch.setenv("ETLWATCH_TARGET", "prod")
    assert jobs(etlwatch("runs", "--format", "json")) == ["job-of-prod"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runs", "-t", "prdo"], '--target is "prdo"; accepted: "prod", "test"; did you mean "prod"?'),
        (
            ["runs", "-t", "prod", "--dsn", "service=x"],
            "--dsn and --target both name a store; accepted: one of the two",
        ),
        (["demo", "-t", "prod"], "no such option '-t'"),
        (["-t", "prod", "demo"], "the demo takes --dsn, not --target: no demo belongs into a store in use"),
    ],
)
def test_a_wrong_target_is_wrong_usage_in_one_line(
    etlwatch: Program, stores: dict[str, Stock], words: list[str], said: str
) -> None:
    answer = etlwatch(*words)
    assert answer.status == 2
    assert said.lower() in answer.complaint.lower()


def test_an_invalid_file_stops_every_command_that_reads_it_and_no_other(etlwatch: Program, user_file: Path) -> None:
    write(user_file, '[display]\ntheme = "drak"\nmouse = 1\n')
    answer = etlwatch("runs")
    assert answer.status == 2
    assert answer.complaint == (
        f'etlwatch runs: {user_file}: display.theme is "drak"; accepted: auto, dark, light, ansi or mono; did you mean '
        '"dark"? (and 1 more problem: etlwatch config validate lists them)'
    )
    assert etlwatch("--help").status == 0
    assert etlwatch("runs", "--help").status == 0
    assert etlwatch("--version").status == 0


OPERATIONS = [
    (["cleanup", "--older-than", "30d", "--yes"], "removed 1 run"),
    (["tracking", "off", "--all", "--reason", "moving"], "tracking is off"),
    (["tracking", "on"], "tracking is on"),
]


@pytest.mark.parametrize(("words", "done"), OPERATIONS)
def test_a_change_is_refused_where_the_target_does_not_allow_it(
    etlwatch: Program, stores: dict[str, Stock], words: list[str], done: str
) -> None:
    answer = etlwatch(*words, "-t", "prod")
    assert answer.status == 1
    assert answer.complaint == (
        "etlwatch: the target prod is read-only: use --write, or set write = true in [target.prod]; nothing was changed"
    )
    assert jobs(etlwatch("runs", "-t", "prod", "--format", "json")) == ["job-of-prod"]
    assert etlwatch("tracking", "status", "-t", "prod", "--format", "json").data[0]["changed_at"] is None


@pytest.mark.parametrize(("words", "done"), OPERATIONS)
@pytest.mark.parametrize("after", [True, False], ids=["after the command", "before it"])
@pytest.mark.parametrize(
    "permission", [["-t", "test"], ["-t", "prod", "--write"], []], ids=["word", "flag", "no target"]
)
def test_a_change_is_made_with_the_targets_permission_the_flag_or_without_a_target(
    etlwatch: Program,
    stores: dict[str, Stock],
    tmp_path: Path,
    words: list[str],
    done: str,
    permission: list[str],
    *,
    after: bool,
) -> None:
    permission = permission or ["--dsn", f"sqlite:///{tmp_path / 'prod.db'}"]
    answer = etlwatch(*words, *permission) if after else etlwatch(*permission, *words)
    assert answer.status == 0
    assert done in answer.err


def test_looking_at_a_clean_up_needs_no_permission(etlwatch: Program, stores: dict[str, Stock]) -> None:
    answer = etlwatch("cleanup", "--older-than", "30d", "--dry-run", "-t", "prod")
    assert answer.status == 0
    assert "1 run" in answer.out


def test_read_only_forbids_what_the_target_allows(etlwatch: Program, stores: dict[str, Stock]) -> None:
    answer = etlwatch("--read-only", "cleanup", "--older-than", "30d", "--yes", "-t", "test")
    assert answer.status == 1
    assert answer.complaint == "etlwatch: --read-only was given; nothing was changed"


def test_closing_a_run_needs_permission(etlwatch: Program, stores: dict[str, Stock]) -> None:
    run = stores["prod"].start(NOW, job="open")
    answer = etlwatch("close", str(run), "--force", "-t", "prod")
    assert answer.status == 1
    assert "the target prod is read-only" in answer.complaint
    assert etlwatch("close", str(run), "--force", "-t", "prod", "--write").status == 0


def test_a_password_that_others_may_read_is_noted_in_one_line(etlwatch: Program, user_file: Path) -> None:
    write(user_file, '[target.a]\ndsn = "postgresql://u:hunter2@h/d"\n', 0o644)
    answer = etlwatch("config", "show", "--dsn", "service=x")
    assert answer.status == 0
    assert answer.err == (
        f"note: {user_file} holds a password and others may read it: "
        "chmod 600 it, or keep the password in ~/.pgpass or a service file\n"
    )
    user_file.chmod(0o600)
    assert etlwatch("config", "show", "--dsn", "service=x").err == ""


def test_what_holds_is_shown_with_its_sources(etlwatch: Program, user_file: Path, system_file: Path) -> None:
    write(user_file, '[target.prod]\nservice = "prod"\ncolour = "red"\n[display]\nwindow = "24h"\n')
    write(
        system_file,
        '[target.prod]\nwrite = true\n[thresholds]\nslow_times_p95 = 1.5\n[keys]\nhome.filter = ["f", "f3"]\n',
    )
    rows = etlwatch("config", "show", "-t", "prod", "--theme", "light", "--format", "json").data
    found = {row["key"]: (row["value"], row["layer"], row["place"]) for row in rows}
    assert found["target"] == ("prod", "flag", "--target")
    assert found["store"] == ("postgresql:// (service prod)", "target", f"{user_file} [target.prod]")
    assert found["write"] == (True, "target", f"{system_file} [target.prod]")
    assert found["colour"] == ("red", "target", f"{user_file} [target.prod]")
    assert found["display.theme"] == ("light", "flag", "--theme")
    assert found["display.window"] == ("24h", "user", str(user_file))
    assert found["display.interval"] == (1.0, "default", "default")
    assert found["thresholds.slow_times_p95"] == (1.5, "system", str(system_file))
    assert found["keys.home.filter"] == (["f", "f3"], "system", str(system_file))
    assert found["target.prod.write"] == (True, "target", f"{system_file} [target.prod]")


def test_what_holds_is_a_table_for_people(etlwatch: Program, user_file: Path) -> None:
    write(user_file, '[keys]\nhome.filter = ["f", "ctrl+t"]\nhome.invert = ""\n')
    for words in (["config"], ["config", "show"]):
        lines = [line.split("  ") for line in etlwatch(*words).out.splitlines()]
        cells = {line[0]: [cell.strip() for cell in line[1:] if cell.strip()] for line in lines}
        assert cells["key"] == ["value", "said by"]
        assert cells["display.mouse"] == ["true", "default"]
        assert cells["keys.home.filter"] == ["f ctrl+t", str(user_file)]
        assert cells["keys.home.invert"] == ["no key", str(user_file)]


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_no_password_is_shown(etlwatch: Program, user_file: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    write(user_file, '[target.a]\ndsn = "postgresql://u:hunter2@h/d?sslpassword=hunter2"\n')
    monkeypatch.setenv("TRACKING_DSN", "postgresql://u:hunter2@other/d")
    for words in ([], ["-t", "a"], ["--dsn", "host=h password=hunter2"]):
        answer = etlwatch("config", "show", *words, "--format", form)
        assert answer.status == 0
        assert "hunter2" not in answer.out + answer.err


def test_files_with_nothing_wrong_are_valid(etlwatch: Program, user_file: Path, system_file: Path) -> None:
    write(user_file, "")
    answer = etlwatch("config", "validate")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines() == [f"{user_file}: nothing wrong", f"{system_file}: not there"]


def test_validate_names_every_problem_a_line_and_exits_2(
    etlwatch: Program, user_file: Path, system_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(user_file, "[displya]\nx = 1\n[thresholds]\nslow_times_p95 = 0\n")
    write(system_file, "mouse = \n")
    answer = etlwatch("config", "validate")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.splitlines() == [
        f"{user_file}: displya is no key; accepted: {', '.join(TOP)}; did you mean display?",
        f"{user_file}: thresholds.slow_times_p95 is 0; accepted: a number from 0.1",
        f"{system_file} line 1, column 9 is not TOML: invalid value",
    ]
    user_file.unlink()
    system_file.unlink()
    monkeypatch.setenv("ETLWATCH_MOUSE", "perhaps")
    assert etlwatch("config", "validate").err == '$ETLWATCH_MOUSE is "perhaps"; accepted: true or false\n'


def test_validate_checks_everything_in_one_pass(
    etlwatch: Program, user_file: Path, system_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        user_file,
        'default_target = "prdo"\n[target.prod]\ndsn = "nonsense://"\n[target.bare]\nwrite = true\n'
        '[display]\ntheme = "drak"\n[keys]\n"home.filtre" = "f"\n"home.filter" = "q"\n',
    )
    write(system_file, "[thresholds]\nslow_times_p95 = 0\n")
    monkeypatch.setenv("ETLWATCH_MOUSE", "perhaps")
    monkeypatch.setenv("ETLWATCH_TARGET", "tset")
    answer = etlwatch("config", "validate")
    assert (answer.status, answer.out) == (2, "")
    said = answer.err.splitlines()
    for part in (
        "target.prod.dsn cannot be used", 'display.theme is "drak"', "slow_times_p95 is 0",
        "target.bare names no store",
        'default_target is "prdo"', '$ETLWATCH_TARGET is "tset"', '$ETLWATCH_MOUSE is "perhaps"',
        "keys.home.filtre is no command", "keys.home.filter and ",
    ):  # fmt: skip
        assert sum(part in line for line in said) == 1, (part, said)
    assert len(said) == 9, "and nothing that only follows from these"


def test_a_given_file_is_checked_in_place_of_the_users(
    etlwatch: Program, user_file: Path, system_file: Path, tmp_path: Path
) -> None:
    write(user_file, "= 1")
    write(system_file, '[target.prod]\nservice = "prod"\n')
    new = tmp_path / "new.toml"
    write(new, 'default_target = "prod"\n[target.prod]\nwrite = true\n')
    answer = etlwatch("config", "validate", str(new))
    assert answer.status == 0
    assert answer.out.splitlines()[0] == f"{new}: nothing wrong"
    write(new, 'default_target = "prdo"\n')
    answer = etlwatch("config", "validate", str(new))
    assert answer.status == 2
    assert answer.complaint == f'{new}: default_target is "prdo"; accepted: "prod"; did you mean "prod"?'
    answer = etlwatch("config", "validate", str(tmp_path / "none.toml"))
    assert (answer.status, answer.complaint) == (2, f"{tmp_path / 'none.toml'} does not exist")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[StoreLocation, Settings]]:
    """Return what dashboards were opened on, in place of opening them."""
    found: list[tuple[StoreLocation, Settings]] = []

    def run_dashboard(place: StoreLocation, settings: Settings, _opening: object) -> int:
        found.append((place, settings))
        return 0

    monkeypatch.setitem(sys.modules, "etlwatch.tui.start", SimpleNamespace(run_dashboard=run_dashboard))
    monkeypatch.setattr("etlwatch.cli.root.has_screen", lambda: True)
    return found


def test_the_dashboard_opens_as_configured(
    etlwatch: Program, user_file: Path, opened: list[tuple[StoreLocation, Settings]]
) -> None:
    write(
        user_file,
        """
        default_target = "prod"
        [target.prod]
        service = "etl"
        write = true
        theme = "light"
        [display]
        interval = 5
        mouse = false
        ascii = true
        zone = "Asia/Tokyo"
        """,
    )
    assert etlwatch().status == 0
    ((place, settings),) = opened
    assert place.keywords == {"service": "etl"}
    assert (settings.label, settings.theme, settings.interval) == ("prod", "light", 5.0)
    assert (settings.mouse, settings.ascii_only, settings.zone) == (False, True, ZoneInfo("Asia/Tokyo"))
    assert (settings.may_write, settings.write_reason) == (True, "the target prod has write = true")


@pytest.mark.parametrize(
    ("words", "may_write", "reason"),
    [
        ([], False, "read-only: start with --write"),
        (["--write"], True, "--write was given"),
        (["-t", "test"], True, "the target test has write = true"),
        (["-t", "test", "--read-only"], False, "--read-only was given"),
        (["-t", "prod"], False, "read-only: needs --write, or write = true for prod"),
    ],
)
def test_the_dashboard_receives_whether_it_may_change_anything_and_why(
    etlwatch: Program,
    user_file: Path,
    opened: list[tuple[StoreLocation, Settings]],
    words: list[str],
    reason: str,
    *,
    may_write: bool,
) -> None:
    write(user_file, targets("service=prod", "service=test"))
    assert etlwatch(*words).status == 0
    ((_, settings),) = opened
    assert (settings.may_write, settings.write_reason) == (may_write, reason)


def test_keys_window_colour_and_thresholds_reach_the_dashboard(
    etlwatch: Program, user_file: Path, opened: list[tuple[StoreLocation, Settings]]
) -> None:
    write(
        user_file,
        """
        [target.prod]
        service = "etl"
        colour = "red"
        [display]
        window = "7d"
        [thresholds]
        slow_times_p95 = 1.5
        [keys]
        home.filter = ["f", "f3"]
        """,
    )
    assert etlwatch("-t", "prod").status == 0
    ((_, settings),) = opened
    assert (settings.colour, settings.window, settings.thresholds.slow_times_p95) == ("red", "7d", 1.5)
    assert settings.keymap == {"home.filter": ("f", "f3")}
    assert settings.store_option == ("--target", "prod")
    assert settings.notices == ()


def test_the_dashboard_shows_notices_that_stderr_would_not_show_for_long(
    etlwatch: Program, user_file: Path, opened: list[tuple[StoreLocation, Settings]]
) -> None:
    write(user_file, '[target.a]\ndsn = "postgresql://u:hunter2@h/d"\n', 0o644)
    assert etlwatch("-t", "a").status == 0
    ((_, settings),) = opened
    assert len(settings.notices) == 1
    assert "chmod 600" in settings.notices[0]


@pytest.mark.parametrize(
    ("words", "environment", "store_option"),
    [
        (["--dsn", "postgresql://u:hunter2@h/d"], {}, ("--dsn", "user=u host=h dbname=d")),
        (["--dsn", "postgresql://"], {}, ("--dsn", "postgresql://")),
        (["--dsn", "sqlite:////var/x.db"], {}, ("--dsn", "sqlite:////var/x.db")),
        (["-t", "prod"], {}, ("--target", "prod")),
        ([], {"ETLWATCH_TARGET": "prod"}, ("--target", "prod")),
        ([], {"TRACKING_DSN": "service=x"}, ()),
        ([], {}, ()),
    ],
)
def test_a_command_line_to_copy_names_the_store_that_flags_named_and_no_password(
    etlwatch: Program,
    user_file: Path,
    opened: list[tuple[StoreLocation, Settings]],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    environment: dict[str, str],
    store_option: tuple[str, ...],
) -> None:
    write(user_file, targets("service=prod", "service=test"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert etlwatch(*words).status == 0
    ((_, settings),) = opened
    assert settings.store_option == store_option


@pytest.mark.parametrize("words", [[], ["config", "show"], ["config", "validate"]], ids=" ".join)
def test_an_invalid_key_is_reported_before_the_dashboard_opens(
    etlwatch: Program, user_file: Path, opened: list[tuple[StoreLocation, Settings]], words: list[str]
) -> None:
    write(user_file, '[keys]\nhome.fitler = "f"\n')
    answer = etlwatch(*words)
    assert answer.status == 2
    assert f"{user_file}: keys.home.fitler is no command; accepted: " in answer.complaint
    assert answer.complaint.endswith("did you mean home.filter?")
    assert opened == []


def test_a_wrong_key_stops_no_command_that_has_no_keys(
    etlwatch: Program, user_file: Path, stores: dict[str, Stock]
) -> None:
    write(user_file, user_file.read_text() + '\n[keys]\nhome.fitler = "f"\n')
    assert jobs(etlwatch("runs", "-t", "prod", "--format", "json")) == ["job-of-prod"]


def test_a_headless_command_with_a_configuration_loads_no_terminal_library(
    stores: dict[str, Stock], user_file: Path
) -> None:
    write(user_file, user_file.read_text() + '\n[display]\nzone = "UTC"\n[keys]\nhome.filter = "f"\n')
    code = (
        "import sys; from etlwatch.__main__ import main; status = main(); "
        "assert not {'textual', 'plotext'} & set(sys.modules); sys.exit(status)"
    )
    answer = python(code, arguments=["runs", "-t", "prod"])
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert b"job-of-prod" in answer.stdout


def test_a_file_named_by_a_variable_is_read_in_a_process_of_its_own(stores: dict[str, Stock], user_file: Path) -> None:
    elsewhere = user_file.with_name("other.toml")
    user_file.rename(elsewhere)
    environment = {"ETLWATCH_CONFIG": str(elsewhere), "ETLWATCH_SYSTEM_CONFIG": "/dev/null"}
    answer = command("runs", "-t", "test", environment=environment)
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert b"job-of-test" in answer.stdout


def test_tables_are_in_the_configured_zone_and_data_in_utc(
    etlwatch: Program, stores: dict[str, Stock], user_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(user_file, user_file.read_text() + '\n[display]\nzone = "Asia/Kathmandu"\n')
    began = NOW - timedelta(days=60)
    there = began.astimezone(ZoneInfo("Asia/Kathmandu"))
    heading, row = etlwatch("runs", "-t", "prod").out.splitlines()
    assert f"started {there.tzname()}" in heading
    assert f"{there:%Y-%m-%d %H:%M:%S}" in row
    assert f"{there:%Y-%m-%d %H:%M:%S}" in etlwatch("show", "job-of-prod@latest", "-t", "prod").out
    plan = etlwatch("cleanup", "--older-than", "30d", "--dry-run", "-t", "prod").out
    assert f"{there:%Y-%m-%d %H:%M:%S}" in plan
    assert f"{there.tzname()}, 30 days ago" in plan
    etlwatch("tracking", "off", "--all", "--reason", "x", "-t", "test")
    assert f"since {there.tzname()}" in etlwatch("tracking", "-t", "test").out
    (listed,) = etlwatch("runs", "-t", "prod", "--format", "json").data
    assert listed["started_at"] == began.isoformat(timespec="microseconds")
    monkeypatch.setenv("ETLWATCH_ZONE", "UTC")
    assert "started UTC" in etlwatch("runs", "-t", "prod").out


def test_a_configured_dashboard_in_a_terminal_has_the_targets_name_zone_and_keys(
    stores: dict[str, Stock], user_file: Path
) -> None:
    keys = '[keys]\napp.quit = ""\napp.leave = "Q"\napp.help = "f1"\n'
    more = f'\n[display]\nzone = "Asia/Kathmandu"\ntheme = "mono"\n{keys}'
    write(user_file, user_file.read_text().replace("[target.prod]", '[target.prod]\ncolour = "red"') + more)
    program = [sys.executable, "-c", MAIN, "-t", "prod"]
    here = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with Terminal(program, columns=200, environment=here) as terminal:
        terminal.wait_for("job-of-prod")
        first = terminal.text.splitlines()[0]
        assert first.split()[:2] == ["etlwatch", "prod"]
        assert "+0545" in first
        assert "Q quit" in terminal.text
        terminal.press("q")
        terminal.send("\x1bOP")
        terminal.wait_for("esc closes")
        terminal.send("\x1b")
        terminal.wait_for_no("esc closes")
        terminal.press("Q")
        assert terminal.wait_for_exit() == 0


def test_a_default_target_beside_a_file_that_jobs_write_is_reported_in_one_line(
    etlwatch: Program, stores: dict[str, Stock], user_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRACKING_DSN", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    write(user_file, 'default_target = "prod"\n' + user_file.read_text())
    assert etlwatch("runs").err == ""
    tracker = SimpleETLTracker()
    tracker.end_run(tracker.start_run(job="local"), success=True)
    tracker.close()
    embedded = tmp_path / "data" / "etlwatch" / "tracking.db"
    told = etlwatch("runs")
    assert (told.status, told.err.count("\n")) == (0, 1)
    assert "default_target is prod, while jobs on this host record into" in told.err
    assert f"--dsn sqlite:///{embedded} shows those" in told.err
    assert "local" in etlwatch("runs", "--dsn", f"sqlite:///{embedded}").out
    for named in (("-t", "prod"), ("--dsn", f"sqlite:///{embedded}")):
        assert etlwatch("runs", *named).err == ""
    for path in embedded.parent.iterdir():
        os.utime(path, (0, 0))
    assert etlwatch("runs").err == ""
