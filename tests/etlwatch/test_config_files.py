"""Configuration files: what they may hold, and the exact message for what they may not."""

import os
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etlwatch.analysis.series import WINDOWS, window_called
from etlwatch.analysis.states import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.commands import keymap_of
from etlwatch.config import files
from etlwatch.config.files import FileValues, Layer, config_paths, read_raw, read_values
from etlwatch.config.options import OPTIONS, WINDOW, Choice, ConfigError, Option, options_of, zone_called
from etlwatch.config.settings import Sourced

PATH = Path("/nowhere/config.toml")
DISPLAY = options_of("display")
THRESHOLDS = options_of("thresholds")


def read(text: str | bytes, path: Path = PATH, mode: int = 0o600) -> FileValues:
    """Return the values of a file with this content."""
    data = text if isinstance(text, bytes) else text.encode()
    return read_values(files.RawFile(path=path, layer=Layer.USER, table=files.parse(data, path), mode=mode))


def complaints(text: str | bytes) -> list[str]:
    """Return every problem of a file with this content."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    return [str(problem).removeprefix(f"{PATH}: ").removeprefix(f"{PATH} ") for problem in caught.value.problems]


WHOLE = """
default_target = "prod"

[target.prod]
service = "etl"
write = true
colour = "red"
theme = "light"
interval = 2

[target."my laptop"]
dsn = "sqlite:////var/lib/etl.db"

[display]
theme = "mono"
ascii = true
mouse = false
interval = 0.5
window = "24h"
zone = "Europe/Berlin"

[thresholds]
stalled_after_s = 300
throttled_share = 0.5
throttled_requests = 20

[keys]
"home.filter" = ["f", "ctrl+f"]
app.quit = ""
[keys.run]
errors = "V"
"""


def test_a_file_may_set_every_option() -> None:
    values = read(WHOLE)
    assert values.default_target == "prod"
    assert list(values.targets) == ["prod", "my laptop"]
    prod = values.targets["prod"]
    assert prod["location"].keywords == {"service": "etl"}
    assert [prod[name] for name in ("write", "colour", "theme", "interval")] == [True, "red", "light", 2.0]
    laptop = values.targets["my laptop"]
    assert list(laptop) == ["location"]
    assert laptop["location"].path == Path("/var/lib/etl.db")
    display = {"theme": "mono", "ascii": True, "mouse": False, "interval": 0.5, "window": "24h"}
    thresholds = {"stalled_after_s": 300.0, "throttled_share": 0.5, "throttled_requests": 20}
    assert values.options == {**display, "zone": "Europe/Berlin", **thresholds}
    assert values.keys == {"home.filter": ("f", "ctrl+f"), "app.quit": (), "run.errors": ("V",)}


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "[display]\n[keys]\n[target]\n"])
def test_an_empty_file_sets_nothing(text: str) -> None:
    values = read(text)
    assert values == FileValues(path=PATH, layer=Layer.USER)


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read(b'\xef\xbb\xbfdefault_target = "a"\r\n').default_target == "a"


def test_every_threshold_of_the_model_can_be_set_and_its_default_is_accepted() -> None:
    assert list(THRESHOLDS) == [field.name for field in fields(Thresholds)]
    lines = "\n".join(f"{name} = {getattr(DEFAULT_THRESHOLDS, name)}" for name in THRESHOLDS)
    assert Thresholds(**read(f"[thresholds]\n{lines}").options) == DEFAULT_THRESHOLDS


def test_the_windows_are_those_of_the_charts() -> None:
    assert isinstance(WINDOW.check, Choice)
    assert [window.name for window in WINDOWS] == list(WINDOW.check.words)
    assert [window_called(name) for name in WINDOW.check.words] == list(WINDOWS)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_every_default_is_accepted_by_its_own_check(option: Option[Any]) -> None:
    assert option.check(option.default) == option.default


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = \n", "line 2, column 5 is not TOML: invalid value"),
        ("a = 1\nb = [1,\n", "line 2 is not TOML: "),
        ("a = 1\na = 2\n", "line 2, column 6 is not TOML: cannot overwrite a value"),
        ("[target.a]\n[target.a]\n", "line 2, column 10 is not TOML: cannot declare"),
        (b"# \xe9t\xe9\n", "line 1 is not UTF-8; accepted: a TOML file in UTF-8"),
        (b"a = 1\n\nb = '\xff'\n", "line 3 is not UTF-8; accepted: a TOML file in UTF-8"),
        ("a = 1\x00\n", "line 1, column 6 is not TOML: "),
        ("a = " + "[" * 20_000, "is not TOML: it is nested too deeply"),
        ("a = " + "9" * 5_000, "is not TOML: "),
    ],
)
def test_what_is_no_toml_is_named_by_its_line(text: str | bytes, said: str) -> None:
    (complaint,) = complaints(text)
    assert complaint.startswith(said)


THEME = "auto, dark, light, ansi or mono"
SECONDS = "a number of seconds from 0.1 to 60"
ZONE = 'local, UTC, or a name such as "Europe/Berlin"'
TOP = "default_target, target, display, thresholds, keys"
TARGET = "dsn, service, write, colour, theme, interval, low_bandwidth"
DSN = "postgresql://user@host/dbname, 'host=… dbname=…', 'service=NAME', sqlite:////absolute.db, sqlite:///~/home.db"
KEY = 'a character ("f", "F", "?"), or a name ("enter", "f5"), with ctrl+, alt+ or shift+ before it'
KEYS = f'{KEY}; a list of these; "" for no key'


@pytest.mark.parametrize(
    ("text", "what", "accepted", "meant"),
    [
        ('[display]\ntheme = "drak"', 'display.theme is "drak"', THEME, '"dark"'),
        ('[display]\ntheme = "DARK"', 'display.theme is "DARK"', THEME, '"dark"'),
        ('[display]\ntheme = "x"', 'display.theme is "x"', THEME, ""),
        ("[display]\ntheme = 1", "display.theme is 1", THEME, ""),
        ('[display]\nmouse = "off"', 'display.mouse is "off"', "true or false", "false"),
        ("[display]\nmouse = 0", "display.mouse is 0", "true or false", ""),
        ('[display]\ninterval = "2"', 'display.interval is "2"', SECONDS, ""),
        ("[display]\ninterval = true", "display.interval is true", SECONDS, ""),
        ("[display]\ninterval = 0", "display.interval is 0", SECONDS, ""),
        ("[display]\ninterval = 61", "display.interval is 61", SECONDS, ""),
        ("[display]\ninterval = nan", "display.interval is nan", SECONDS, ""),
        ("[display]\ninterval = [1]", "display.interval is a list", SECONDS, ""),
        ("[display]\ninterval = 2026-01-01", "display.interval is a date or time", SECONDS, ""),
        ("[display]\ninterval = {a = 1}", "display.interval is a table", SECONDS, ""),
        ('[display]\nwindow = "2h"', 'display.window is "2h"', "5m, 1h, 24h or 7d", '"24h"'),
        ('[display]\nzone = "Europe/Belrin"', 'display.zone is "Europe/Belrin"', ZONE, '"Europe/Berlin"'),
        ('[display]\nzone = "berlin"', 'display.zone is "berlin"', ZONE, '"Europe/Berlin"'),
        ('[display]\nzone = "../../etc/passwd"', 'display.zone is "../../etc/passwd"', ZONE, ""),
        ('[display]\nzone = "Europe"', 'display.zone is "Europe"', ZONE, ""),
        ("[display]\nzone = 1", "display.zone is 1", ZONE, ""),
        (
            "[display]\ntheem = 1",
            "display.theem is no key",
            ", ".join(DISPLAY),
            "theme",
        ),
        ("display = 1", "display is 1", "a table: [display]", ""),
        ('[targets.prod]\ndsn = "x"', "targets is no key", TOP, "target"),
        ("[[target]]", "target is a list", "tables: [target.NAME]", ""),
        ('target = "prod"', 'target is "prod"', "tables: [target.NAME]", ""),
        ('[target]\nprod = "service=x"', 'target.prod is "service=x"', "a table: [target.NAME]", ""),
        ("default_target = 1", "default_target is 1", "a name in quotes", ""),
        ('default_target = " "', 'default_target is " "', "a name in quotes", ""),
        ('[target.a]\nservice = "x"\ncolor = "red"', "target.a.color is no key", TARGET, "colour"),
        ('[target.a]\ncolour = "green"', 'target.a.colour is "green"', "red, amber, blue or none", ""),
        ('[target.a]\nwrite = "yes"', 'target.a.write is "yes"', "true or false", "true"),
        ('[target.a]\nservice = ""', 'target.a.service is ""', "a name in quotes", ""),
        (
            '[target.a]\nservice = "x"\ndsn = "service=y"',
            "target.a.service and dsn both name the store",
            "one of the two",
            "",
        ),
        ("[target.a]\ndsn = 1", "target.a.dsn cannot be used: it is not a text in quotes", DSN, ""),
        (
            '[target.a]\ndsn = "mysql://h/d"',
            "target.a.dsn cannot be used: the scheme mysql:// is not one of postgresql://, postgres://, sqlite:///",
            DSN,
            "",
        ),
        (
            '[target.a]\ndsn = "sqlite:///a.db"',
            "target.a.dsn cannot be used: a relative path would name another file in each directory",
            DSN,
            "",
        ),
        ('[target."a b"]\ndsn = ""', 'target."a b".dsn cannot be used: it is empty', DSN, ""),
        ("[thresholds]\nthrottled_share = 1.5", "thresholds.throttled_share is 1.5", "a number from 0 to 1", ""),
        ("[thresholds]\nstalled_after_s = -1", "thresholds.stalled_after_s is -1", "a number of seconds from 1", ""),
        ("[thresholds]\nslow_times_p95 = inf", "thresholds.slow_times_p95 is inf", "a number from 0.1", ""),
        ("[thresholds]\nthrottled_requests = 2.5", "thresholds.throttled_requests is 2.5", "a whole number from 1", ""),
        ("[thresholds]\nslow_times = 2", "thresholds.slow_times is no key", ", ".join(THRESHOLDS), "slow_times_p95"),
        ('[keys]\nhome.filter = "esacpe"', 'keys.home.filter is "esacpe"', KEY, '"escape"'),
        ('[keys]\nhome.filter = "contrl+f"', 'keys.home.filter is "contrl+f"', KEY, '"ctrl+f"'),
        ('[keys]\nhome.filter = "xyzzy"', 'keys.home.filter is "xyzzy"', KEY, ""),
        ('[keys]\nhome.filter = "f,ctrl+f"', 'keys.home.filter is "f,ctrl+f"', KEYS, '["f", "ctrl+f"]'),
        ("[keys]\nhome.filter = 5", "keys.home.filter is 5", KEYS, ""),
        ('[keys]\nhome.filter = ["f", ""]', "keys.home.filter is a list", KEYS, ""),
        ('[keys."the home"]\n"no\\nline" = 1', 'keys."the home.no\\nline" is 1', KEYS, ""),
    ],
)
def test_an_error_names_what_was_given_what_is_accepted_and_what_was_meant(
    text: str, what: str, accepted: str, meant: str
) -> None:
    (complaint,) = complaints(text)
    assert complaint == f"{what}; accepted: {accepted}" + (f"; did you mean {meant}?" if meant else "")


def test_an_error_names_its_file() -> None:
    with pytest.raises(ConfigError) as caught:
        read('[display]\ntheme = "drak"')
    assert str(caught.value).startswith('/nowhere/config.toml: display.theme is "drak"; accepted: ')


def test_every_problem_of_a_file_is_found_at_once_and_the_summary_counts_them() -> None:
    text = '[display]\ntheme = "drak"\nmouse = 1\n[keys]\na.b = 1\n[nonsense]\n'
    assert len(complaints(text)) == 4
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.summary.endswith("(and 3 more problems: etlwatch config validate lists them)")


SECRET = "s3cr3t-w0rd"


@pytest.mark.parametrize(
    "text",
    [
        f'[target.a]\ndsn = "postgresql://u:{SECRET}@h:none/d"',
        f'[target.a]\ndsn = "host=h pasword={SECRET}"',
        f'[target.a]\ndsn = "host=h password=\'{SECRET} dbname=x"',
        f'[target.a]\npassword = "{SECRET}"\nservice = "x"',
        f'password = "{SECRET}"',
        f'default_target = ["{SECRET}"]',
        f'[display]\ntheme = "postgresql://u:{SECRET}@h/d"',
        f'[target.a]\nservice = ["{SECRET}"]',
    ],
)
def test_no_problem_repeats_a_password(text: str) -> None:
    assert SECRET not in " ".join(complaints(text))


def test_a_password_as_a_key_of_its_own_is_reported_with_the_right_place() -> None:
    (complaint,) = complaints('[target.a]\nservice = "x"\npassword = "y"')
    assert complaint == "target.a.password is no key; omit it, and put it in ~/.pgpass or a service file"


@pytest.mark.parametrize(
    ("dsn", "mode", "shared"),
    [
        ("postgresql://u:p@h/d", 0o644, True),
        ("postgresql://u:p@h/d", 0o640, True),
        ("postgresql://u:p@h/d", 0o600, False),
        ("host=h password=p", 0o604, True),
        ("postgresql://u@h/d", 0o644, False),
        ("service=x", 0o644, False),
    ],
)
def test_a_password_that_others_may_read_is_detected(dsn: str, mode: int, *, shared: bool) -> None:
    assert read(f'[target.a]\ndsn = "{dsn}"', mode=mode).shares_password is shared


def test_a_missing_file_sets_nothing_unless_it_was_named(tmp_path: Path) -> None:
    missing = tmp_path / "config.toml"
    assert read_raw(missing, Layer.USER) is None
    assert read_raw(missing / "below" / "no" / "directory", Layer.USER) is None
    with pytest.raises(ConfigError, match=r"config\.toml does not exist$"):
        read_raw(missing, Layer.USER, must_exist=True)


def test_a_file_that_cannot_be_read_is_an_error_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_raw(tmp_path, Layer.USER)
    assert str(caught.value) == f"{tmp_path} cannot be read: Is a directory"

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError) as caught:
        read_raw(tmp_path / "config.toml", Layer.SYSTEM)
    assert str(caught.value) == f"{tmp_path / 'config.toml'} cannot be read: Permission denied"


def test_a_file_is_read_with_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[target.a]\ndsn = "postgresql://u:p@h/d"')
    path.chmod(0o644)
    raw = read_raw(path, Layer.USER)
    assert raw is not None
    assert raw.others_may_read
    path.chmod(0o600)
    raw = read_raw(path, Layer.USER)
    assert raw is not None
    assert not raw.others_may_read


def test_the_files_are_where_the_xdg_specification_and_the_system_have_them() -> None:
    assert config_paths({"HOME": "/home/ana"}) == {
        Layer.USER: (Path("/home/ana/.config/etlwatch/config.toml"), False),
        Layer.SYSTEM: (Path("/etc/etlwatch/config.toml"), False),
    }
    here = config_paths({"HOME": "/home/ana", "XDG_CONFIG_HOME": "/conf"})
    assert here[Layer.USER] == (Path("/conf/etlwatch/config.toml"), False)
    relative = config_paths({"HOME": "/home/ana", "XDG_CONFIG_HOME": "conf"})
    assert relative[Layer.USER] == (Path("/home/ana/.config/etlwatch/config.toml"), False)


def test_variables_name_other_files_which_have_to_be_there() -> None:
    paths = config_paths({"HOME": "/h", "ETLWATCH_CONFIG": "mine.toml", "ETLWATCH_SYSTEM_CONFIG": "/dev/null"})
    assert paths == {Layer.USER: (Path.cwd() / "mine.toml", True), Layer.SYSTEM: (Path(os.devnull), True)}


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/New_York"])
def test_zones_are_known_by_name(name: str) -> None:
    assert zone_called(name) == ZoneInfo(name)
    assert read(f'[display]\nzone = "{name}"').options["zone"] == name


def test_the_local_zone_is_none() -> None:
    assert zone_called("local") is None


WORDS = st.sampled_from(
    ["target", "display", "keys", "thresholds", "default_target", *DISPLAY, "dsn", "service", "write"]
)
NAMES = WORDS | st.text(max_size=3)
VALUES = st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.dates(), st.just([]), st.just({}))
TABLES = st.dictionaries(NAMES, VALUES, max_size=3)


@settings(max_examples=50)
@given(st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES | TABLES, max_size=3), max_size=4))
def test_any_table_is_either_accepted_or_has_problems_of_one_line(table: dict[str, object]) -> None:
    problems: tuple[object, ...] = ()
    try:
        read_values(files.RawFile(path=PATH, layer=Layer.USER, table=table, mode=0o600))
    except ConfigError as error:
        problems = error.problems
    assert all(len(str(problem).split("\n")) == 1 for problem in problems)


def test_the_documented_example_is_valid_and_complete() -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    values = read(example)
    keymap_of({name: Sourced(keys, Layer.USER, "configuration.md") for name, keys in values.keys.items()})
    assert values.default_target in values.targets
    assert values.keys["home.filter"] == ("f", "slash")
    assert set(tomllib.loads(example)["display"]) == set(DISPLAY)
