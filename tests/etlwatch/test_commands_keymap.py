"""Keys chosen for commands: which are refused, and where the others are shown."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from etlwatch.commands import (
    EVERYWHERE,
    GROUPS,
    Chosen,
    Command,
    footer_of,
    key_of,
    keymap_of,
    remapped,
    textual_keymap,
)
from etlwatch.config.files import Layer
from etlwatch.config.options import ConfigError
from etlwatch.config.settings import Sourced
from etlwatch.tui.widgets.line_table import LineTable
from etlwatch.tui.widgets.scroll_lines import ScrollLines


def chosen(keys: Mapping[str, tuple[str, ...]]) -> Chosen:
    return {name: Sourced(value, Layer.USER, "config.toml") for name, value in keys.items()}


def complaints(**keys: tuple[str, ...]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        keymap_of(chosen({name.replace("__", "."): value for name, value in keys.items()}))
    return [str(problem) for problem in caught.value.problems]


def test_every_group_of_commands_has_the_first_part_of_its_names() -> None:
    assert {command.name.partition(".")[0] for name, group in GROUPS.items() for command in group} == set(GROUPS)
    for name, group in GROUPS.items():
        assert all(command.name.startswith(f"{name}.") for command in group)
    assert set(EVERYWHERE) < set(GROUPS)


def test_tables_and_texts_bind_the_moves_by_their_names_and_keys() -> None:
    declared = {command.name: command.keys for command in GROUPS["move"]}
    for widget in (LineTable, ScrollLines):
        bound = {key: binding.id for key, binding in widget._merge_bindings()}
        assert all(bound[key] == name for name, keys in declared.items() for key in keys.split(","))


def test_free_keys_are_accepted() -> None:
    keys = {"home.filter": ("f", "f3"), "app.quit": (), "move.down": ("v",), "run.errors": ("V",)}
    assert keymap_of(chosen(keys)) == keys
    assert keymap_of({}) == {}


def test_two_commands_may_change_places() -> None:
    keys = {"app.pause": ("r",), "app.refresh": ("p",)}
    assert keymap_of(chosen(keys)) == keys


def test_commands_of_different_screens_may_share_a_key() -> None:
    keys = {"home.filter": ("F",), "run.errors": ("F",)}
    assert keymap_of(chosen(keys)) == keys


def test_a_key_that_two_commands_share_by_default_may_be_written_down() -> None:
    keys = {"home.back": ("escape", "u")}
    assert keymap_of(chosen(keys)) == keys


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"home.fitler": ("f",)}, "keys.home.fitler is no command; accepted: {home}; did you mean home.filter?"),
        ({"filter": ("f",)}, "keys.filter is no command; accepted: {groups}; did you mean home.filter?"),
        ({"x": ("f",)}, "keys.x is no command; accepted: {groups}"),
        ({"a b": ("f",)}, 'keys."a b" is no command; accepted: {groups}'),
        ({"app.interrupt": ("f",)}, "keys.app.interrupt cannot be changed: ctrl+c always leaves"),
    ],
)  # fmt: skip
def test_what_is_no_command_is_named_with_the_nearest(keys: dict[str, tuple[str, ...]], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        keymap_of(chosen(keys))
    home = ", ".join(command.name for command in GROUPS["home"])
    groups = ", ".join(f"{name}.…" for name in GROUPS)
    assert str(caught.value) == f"config.toml: {said.format(home=home, groups=groups)}"


FREE = "accepted: a key that is free, or another one for the other command too"


def test_a_key_that_another_command_has_is_refused_once_and_names_that_command() -> None:
    (said,) = complaints(home__filter=("q",))
    other = "app.leave (back to the screen before; from the runs, quit)"
    assert said == f'config.toml: keys.home.filter and {other} are both on "q"; {FREE}'


def test_a_key_of_moving_belongs_to_the_tables_on_every_screen() -> None:
    assert complaints(run__errors=("j",)) == [
        f'config.toml: keys.run.errors and move.down (one line down) are both on "j"; {FREE}'
    ]


def test_a_key_given_twice_is_refused() -> None:
    (said,) = complaints(home__filter=("F",), home__invert=("F",))
    assert 'are both on "F"' in said


def test_ctrl_c_cannot_be_given_to_another_command() -> None:
    (said,) = complaints(home__filter=("ctrl+c",))
    assert 'app.interrupt (quit, also while typing) are both on "ctrl+c"' in said


def test_every_problem_of_the_keys_is_named() -> None:
    assert len(complaints(home__filter=("p",), run__errors=("j",))) == 2
    assert len(complaints(a__b=("p",), c__d=("j",))) == 2


def test_the_defaults_hold_no_clash_that_a_keymap_would_be_refused_for() -> None:
    same = {
        command.name: tuple(command.keys.split(","))
        for group in GROUPS.values()
        for command in group
        if command.keys and command.name != "app.interrupt"
    }
    assert keymap_of(chosen(same)) == same


def test_shown_keys_follow() -> None:
    home = GROUPS["home"]
    changed = {command.name: command for command in remapped(home, {"home.filter": ("f3", "question_mark")})}
    assert changed["home.filter"].shown == "f3 ?"
    assert changed["home.filter"].footer == ("f3", "filter", 1)
    assert changed["home.invert"] == next(command for command in home if command.name == "home.invert")
    assert remapped(home, {}) == home


def test_a_footer_of_two_keys_follows_either() -> None:
    home = GROUPS["home"]
    for keymap, shown in (
        ({"home.sort_left": ("f7",)}, "f7 >"),
        ({"home.sort_right": ("f8",)}, "< f8"),
        ({"home.sort_left": ("f7",), "home.sort_right": ("f8",)}, "f7 f8"),
        ({"home.sort_right": ()}, "<"),
    ):
        assert [key.key for key in footer_of(remapped(home, keymap)) if key.word == "sort"] == [shown]


def test_a_command_without_a_key_leaves_the_footer() -> None:
    assert "filter" not in [key.word for key in footer_of(remapped(GROUPS["home"], {"home.filter": ()}))]
    assert key_of("home.filter", remapped(GROUPS["home"], {"home.filter": ()})) == ""
    assert key_of("home.filter", GROUPS["home"]) == "/"


def test_no_two_commands_without_a_key_share_one() -> None:
    keys = textual_keymap({"home.filter": (), "home.invert": (), "app.quit": ("Q", "f10")})
    assert keys["app.quit"] == "Q,f10"
    assert keys["home.filter"] != keys["home.invert"]


def test_a_command_is_the_same_but_for_its_keys() -> None:
    before: Command = GROUPS["home"][1]
    (after,) = remapped([before], {before.name: ("f3",)})
    assert replace(after, keys=before.keys, shown_as=before.shown_as, footer=before.footer) == before
