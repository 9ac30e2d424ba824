"""Flag > environment > target > user's file > system's file, field by field, each value with its source."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from etlwatch.config import files
from etlwatch.config.files import FileValues, Layer, RawFile, load, read_values
from etlwatch.config.options import ASCII, COLOUR, INTERVAL, MOUSE, THEME, WRITE, ZONE, ConfigError, options_of
from etlwatch.config.settings import Effective, Flags, effective
from tracking_core.errors import ConfigurationError

USER, SYSTEM = Path("/home/ana/config.toml"), Path("/etc/config.toml")
HOME = {"HOME": "/home/ana"}
STORES = '[target.prod]\nservice = "prod"\n[target.test]\nservice = "test"\n'


def values(text: str, layer: Layer = Layer.USER) -> FileValues:
    path = USER if layer is Layer.USER else SYSTEM
    return read_values(RawFile(path=path, layer=layer, table=files.parse(text.encode(), path), mode=0o600))


def resolved(
    flags: Flags | None = None, environ: Mapping[str, str] | None = None, user: str = "", system: str = ""
) -> Effective:
    """Return what holds with these flags, this environment and these two files."""
    return effective(flags or Flags(), {**HOME, **(environ or {})}, [values(user), values(system, Layer.SYSTEM)])


def refused(*arguments: Any, **keywords: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        resolved(*arguments, **keywords)
    return str(caught.value)


def written(value: object) -> str:
    """Return a value as TOML has it."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


LAYERS = [Layer.FLAG, Layer.ENVIRONMENT, Layer.TARGET, Layer.USER, Layer.SYSTEM]
FIELDS: list[tuple[str, list[object], str]] = [
    # Five values that differ where they can: a boolean has but two.
    ("theme", ["dark", "light", "ansi", "mono", "dark"], "auto"),
    ("interval", [2.0, 3.0, 4.0, 5.0, 6.0], "1.0"),
    ("ascii", [True, False, None, True, False], "False"),
    ("mouse", [False, True, None, False, True], "True"),
    ("low_bandwidth", [True, False, True, False, True], "False"),
    ("window", [None, "24h", None, "5m", "7d"], "1h"),
    ("zone", [None, "UTC", None, "Asia/Tokyo", "Europe/Berlin"], "local"),
]
CASES = [
    (name, wanted, layer)
    for name, wanted, _ in FIELDS
    for layer, value in zip(LAYERS, wanted, strict=True)
    if value is not None
]


def test_the_cases_cover_every_display_option() -> None:
    assert {name for name, _, _ in FIELDS} == set(options_of("display"))


@pytest.mark.parametrize(("name", "wanted", "strongest"), CASES)
def test_the_place_of_highest_precedence_counts(name: str, wanted: list[object], strongest: Layer) -> None:
    flags: dict[str, Any] = {"target": "prod"}
    environ: dict[str, str] = {}
    tables = {Layer.TARGET: "", Layer.USER: "", Layer.SYSTEM: ""}
    for layer, value in list(zip(LAYERS, wanted, strict=True))[LAYERS.index(strongest) :]:
        if value is None:
            continue
        if layer is Layer.FLAG:
            flags[name] = value
        elif layer is Layer.ENVIRONMENT:
            environ[f"ETLWATCH_{name.upper()}"] = str(value)
        else:
            tables[layer] = f"{name} = {written(value)}"
    # The target stands in the weaker file: what it says still beats the user's own table.
    system = STORES.replace('service = "prod"', f'service = "prod"\n{tables[Layer.TARGET]}')
    found = resolved(
        Flags(**flags),
        environ,
        user=f"[display]\n{tables[Layer.USER]}",
        system=f"{system}\n[display]\n{tables[Layer.SYSTEM]}",
    )
    sourced = found.options[name]
    assert sourced.value == wanted[LAYERS.index(strongest)]
    assert sourced.layer is strongest
    assert (
        sourced.place
        == {
            Layer.FLAG: f"--{'no-' * (flags.get(name) is False)}{name}".replace("_", "-"),
            Layer.ENVIRONMENT: f"$ETLWATCH_{name.upper()}",
            Layer.TARGET: f"{SYSTEM} [target.prod]",
            Layer.USER: str(USER),
            Layer.SYSTEM: str(SYSTEM),
        }[strongest]
    )


@pytest.mark.parametrize(("name", "default"), [(name, default) for name, _, default in FIELDS])
def test_an_option_that_is_set_nowhere_has_its_default(name: str, default: str) -> None:
    sourced = resolved().options[name]
    assert (str(sourced.value), sourced.layer, sourced.place) == (default, Layer.DEFAULT, "default")


def test_no_color_precedes_every_theme() -> None:
    found = resolved(Flags(theme="dark"), {"NO_COLOR": "1"})
    assert (found[THEME].value, found[THEME].place) == ("mono", "$NO_COLOR")


def test_the_zone_of_the_process_precedes_the_files() -> None:
    zone = '[display]\nzone = "Asia/Tokyo"'
    assert resolved(None, {"TZ": "UTC"}, user=zone)[ZONE].value == "local"
    assert resolved(None, {"TZ": "UTC"}, user=zone)[ZONE].place == "$TZ"
    assert resolved(None, {"TZ": "UTC", "ETLWATCH_ZONE": "Asia/Tokyo"})[ZONE].value == "Asia/Tokyo"


def test_thresholds_are_chosen_one_by_one() -> None:
    found = resolved(
        user="[thresholds]\nslow_times_p95 = 2", system="[thresholds]\nslow_times_p95 = 3\nstalled_after_s = 60"
    )
    limits = found.thresholds
    assert (limits.slow_times_p95, limits.stalled_after_s, limits.throttled_requests) == (2, 60, 10)
    assert found.options["slow_times_p95"].place == str(USER)
    assert found.options["stalled_after_s"].layer is Layer.SYSTEM
    assert found.options["throttled_share"].layer is Layer.DEFAULT


def test_keys_are_chosen_command_by_command() -> None:
    found = resolved(user='[keys]\nhome.filter = "f"', system='[keys]\nhome.filter = "F"\napp.quit = "Q"')
    assert {name: (keys.value, keys.layer) for name, keys in found.keys.items()} == {
        "app.quit": (("Q",), Layer.SYSTEM),
        "home.filter": (("f",), Layer.USER),
    }


def test_a_target_is_put_together_field_by_field() -> None:
    found = resolved(
        Flags(target="prod"),
        user='[target.prod]\nwrite = true\ncolour = "amber"',
        system='[target.prod]\nservice = "prod"\nwrite = false\ninterval = 5',
    )
    assert found.location.value.keywords == {"service": "prod"}
    assert (found[WRITE].value, found[WRITE].place) == (True, f"{USER} [target.prod]")
    assert found[COLOUR].value == "amber"
    assert (found[INTERVAL].value, found[INTERVAL].place) == (5.0, f"{SYSTEM} [target.prod]")


def test_every_target_has_a_store_a_permission_and_a_colour() -> None:
    target = resolved(user=STORES).targets["prod"]
    assert list(target) == ["location", "write", "colour"]
    assert (target["write"].value, target["colour"].value, target["write"].layer) == (False, "none", Layer.DEFAULT)


@pytest.mark.parametrize(
    ("flags", "environ", "store", "place"),
    [
        (Flags(dsn="service=flag"), {"ETLWATCH_TARGET": "test", "TRACKING_DSN": "service=env"}, "flag", "--dsn"),
        (Flags(target="test"), {"ETLWATCH_TARGET": "prod", "TRACKING_DSN": "service=env"}, "test", "[target.test]"),
        (Flags(), {"ETLWATCH_TARGET": "test", "TRACKING_DSN": "service=env"}, "test", "[target.test]"),
        (Flags(), {"TRACKING_DSN": "service=env"}, "env", "$TRACKING_DSN"),
        (Flags(), {}, "prod", "[target.prod]"),
        (Flags(), {"TRACKING_DSN": " ", "ETLWATCH_TARGET": ""}, "prod", "[target.prod]"),
    ],
)  # fmt: skip
def test_the_strongest_place_that_names_a_store_names_it(
    flags: Flags, environ: dict[str, str], store: str, place: str
) -> None:
    found = resolved(flags, environ, user=f'default_target = "prod"\n{STORES}')
    assert found.location.value.keywords == {"service": store}
    assert found.location.place.endswith(place)
    assert (found.target.value is None) is (store in ("flag", "env"))


def test_a_target_that_is_not_in_effect_has_no_effect() -> None:
    system = '[target.prod]\nservice = "prod"\nwrite = true\ncolour = "red"\ntheme = "light"\ninterval = 9\n'
    found = resolved(None, {"TRACKING_DSN": "service=env"}, user='default_target = "prod"', system=system)
    assert (found[WRITE].value, found[COLOUR].value, found[THEME].value, found[INTERVAL].value) == (
        False,
        "none",
        "auto",
        1.0,
    )
    assert list(found.targets) == ["prod"]


def test_the_embedded_store_is_used_when_none_is_named() -> None:
    found = resolved()
    assert not found.location.value.named
    assert (found.location.layer, found.target.value) == (Layer.DEFAULT, None)


def test_the_users_default_target_beats_the_systems() -> None:
    found = resolved(user='default_target = "test"', system=f'default_target = "prod"\n{STORES}')
    assert (found.target.value, found.target.layer, found.target.place) == ("test", Layer.USER, str(USER))


def test_dsn_and_target_contradict_each_other() -> None:
    said = refused(Flags(dsn="service=x", target="prod"), user=STORES)
    assert said == "--dsn and --target both name a store; accepted: one of the two"


@pytest.mark.parametrize(
    ("flags", "environ", "said"),
    [
        (Flags(target="prdo"), {}, '--target is "prdo"; accepted: "prod", "test"; did you mean "prod"?'),
        (Flags(target="x"), {}, '--target is "x"; accepted: "prod", "test"'),
        (Flags(), {"ETLWATCH_TARGET": "x"}, '$ETLWATCH_TARGET is "x"; accepted: "prod", "test"'),
    ],
)  # fmt: skip
def test_a_target_there_is_not_is_named_with_the_nearest(flags: Flags, environ: dict[str, str], said: str) -> None:
    assert refused(flags, environ, user=STORES) == said


def test_a_target_without_any_in_the_files_is_reported() -> None:
    said = refused(Flags(target="prod"))
    assert said == '--target is "prod"; accepted: the name of a target, and the configuration has none'


def test_a_default_target_there_is_not_is_an_error_of_its_file() -> None:
    said = refused(Flags(dsn="service=x"), user='default_target = "prdo"', system=STORES)
    assert said == f'{USER}: default_target is "prdo"; accepted: "prod", "test"; did you mean "prod"?'


def test_a_target_that_names_no_store_in_either_file_is_an_error() -> None:
    said = refused(user="[target.prod]\nwrite = true", system='[target.prod]\ncolour = "red"')
    assert said == f"{USER}: target.prod names no store; accepted: dsn or service"


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("THEME", "drak", '$ETLWATCH_THEME is "drak"; accepted: auto, dark, light, ansi or mono; did you mean "dark"?'),
        ("INTERVAL", "fast", '$ETLWATCH_INTERVAL is "fast"; accepted: a number of seconds from 0.1 to 60'),
        ("INTERVAL", "0", '$ETLWATCH_INTERVAL is "0"; accepted: a number of seconds from 0.1 to 60'),
        ("ASCII", "maybe", '$ETLWATCH_ASCII is "maybe"; accepted: true or false'),
        ("WINDOW", "2h", '$ETLWATCH_WINDOW is "2h"; accepted: 5m, 1h, 24h or 7d; did you mean "24h"?'),
    ],
)  # fmt: skip
def test_a_variable_is_checked_like_a_key(variable: str, text: str, said: str) -> None:
    assert refused(None, {f"ETLWATCH_{variable}": text}) == said


@pytest.mark.parametrize(("text", "value"), [("1", True), ("yes", True), ("ON", True), ("0", False), ("False", False)])
def test_truth_in_the_environment_is_written_in_many_ways(text: str, *, value: bool) -> None:
    assert resolved(None, {"ETLWATCH_MOUSE": text})[MOUSE].value is value
    assert resolved(None, {"ETLWATCH_INTERVAL": "1"})[INTERVAL].value == 1.0


def test_a_dsn_that_names_no_store_is_refused_as_ever() -> None:
    with pytest.raises(ConfigurationError):
        resolved(Flags(dsn="nonsense"))


WORD = '[target.prod]\nservice = "prod"\nwrite = {}'


@pytest.mark.parametrize(
    ("flags", "user", "dashboard", "headless"),
    [
        (Flags(), "", False, True),
        (Flags(dsn="service=x"), "", False, True),
        (Flags(write=True), "", True, True),
        (Flags(write=False), "", False, False),
        (Flags(target="prod"), '[target.prod]\nservice = "prod"', False, False),
        (Flags(target="prod"), WORD.format("false"), False, False),
        (Flags(target="prod"), WORD.format("true"), True, True),
        (Flags(target="prod", write=True), WORD.format("false"), True, True),
        (Flags(target="prod", write=False), WORD.format("true"), False, False),
        (Flags(dsn="service=prod"), f'default_target = "prod"\n{WORD.format("true")}', False, True),
        (Flags(), f'default_target = "prod"\n{WORD.format("false")}', False, False),
    ],
)
def test_who_may_change_a_store(flags: Flags, user: str, *, dashboard: bool, headless: bool) -> None:
    found = resolved(flags, user=user)
    assert (found[WRITE].value, not found.refusal) == (dashboard, headless)


def test_a_refusal_names_the_remedy() -> None:
    remedy = "the target prod is read-only: use --write, or set write = true in [target.prod]"
    read_only = resolved(Flags(target="prod"), user=STORES)
    assert read_only.refusal == remedy
    assert read_only.write_reason == "read-only: needs --write, or write = true for prod"
    assert resolved().write_reason == "read-only: start with --write"
    assert resolved(Flags(write=False)).refusal == "--read-only was given"
    assert resolved(Flags(write=True)).write_reason == "--write was given"
    assert resolved(Flags(target="prod"), user=WORD.format("true")).write_reason == "the target prod has write = true"


def test_both_files_are_read_the_users_first(tmp_path: Path) -> None:
    user, system = tmp_path / "user.toml", tmp_path / "system.toml"
    user.write_text("[display]\ninterval = 2\n")
    system.write_text("[display]\ninterval = 3\nascii = true\n")
    environ = {"ETLWATCH_CONFIG": str(user), "ETLWATCH_SYSTEM_CONFIG": str(system)}
    found = effective(Flags(), environ, load(environ))
    assert (found[INTERVAL].value, found[INTERVAL].place) == (2.0, str(user))
    assert (found[ASCII].value, found[ASCII].place) == (True, str(system))


def test_the_problems_of_both_files_are_reported_together(tmp_path: Path) -> None:
    user, system = tmp_path / "user.toml", tmp_path / "system.toml"
    user.write_text("nonsense = 1\n")
    system.write_text("= 1\n")
    with pytest.raises(ConfigError) as caught:
        load({"ETLWATCH_CONFIG": str(user), "ETLWATCH_SYSTEM_CONFIG": str(system)})
    assert [problem.where for problem in caught.value.problems] == [str(user), str(system)]
