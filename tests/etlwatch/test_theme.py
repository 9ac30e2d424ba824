"""Colours by meaning, in four palettes."""

import pytest
from rich.color import Color
from textual.app import App

from etlwatch.tui.colours import DARK, LIGHT, MONO, SIXTEEN, palette, pick_theme, role_style
from etlwatch.tui.theme import THEMES

ROLES = ["plain", "text", "dim", "faint", "blue", "amber bold", "red strong", "amber-fill", "chart-p50 on chart-p95"]


def luminance(colour):
    parts = [value / 255 for value in Color.parse(colour).get_truecolor()]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [DARK, LIGHT], ids=lambda colours: colours.name)
def test_words_have_contrast_enough_on_every_ground(colours):
    for colour in ("text", "dim", "blue", "amber", "red"):
        assert contrast(colours.foregrounds[colour], colours.grounds["background"]) >= 5, colour
    assert contrast(colours.foregrounds["text"], colours.grounds["selected"]) >= 5


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("muted", [False, True])
def test_every_role_has_a_style_in_every_theme(theme, role, muted):
    assert role_style(theme.name, role, muted=muted) is not None


def test_without_colour_no_style_names_one():
    for role in ROLES:
        style = role_style(MONO.name, role)
        assert style.color is None
        assert style.bgcolor is None


def test_sixteen_colours_stay_the_terminals_own_and_dim_is_not_bright_black():
    for role in ROLES:
        style = role_style(SIXTEEN.name, role)
        assert style.bgcolor is None
        assert style.color is None or style.color.number in (3, 6, 9)
    assert role_style(SIXTEEN.name, "dim").dim


def test_a_state_is_bold_where_it_cannot_be_told_by_colour():
    assert [bool(role_style(theme.name, "red strong").bold) for theme in THEMES] == [False, False, True, True]


def test_muted_text_loses_its_alarm_and_its_weight():
    assert role_style(DARK.name, "red bold", muted=True) == role_style(DARK.name, "dim")
    assert role_style(DARK.name, "blue on selected", muted=True) == role_style(DARK.name, "dim", "selected", muted=True)


@pytest.mark.parametrize("role", ["green", "red loud", "dim on paper"])
def test_a_role_nobody_defined_is_an_error(role):
    with pytest.raises(ValueError, match="no such"):
        role_style(DARK.name, role)


def test_a_foreign_theme_gets_the_dark_palette():
    assert palette("nord") is DARK


@pytest.mark.parametrize(
    ("wanted", "environ", "system", "name"),
    [
        ("auto", {}, "truecolor", "etlwatch-dark"),
        ("auto", {}, "256", "etlwatch-dark"),
        ("auto", {}, "standard", "etlwatch-ansi"),
        ("auto", {}, None, "etlwatch-mono"),
        ("auto", {"COLORFGBG": "0;15"}, "truecolor", "etlwatch-light"),
        ("auto", {"COLORFGBG": "15;default;0"}, "truecolor", "etlwatch-dark"),
        ("light", {"COLORFGBG": "15;0"}, "standard", "etlwatch-light"),
        ("etlwatch-ansi", {}, "truecolor", "etlwatch-ansi"),
        ("dark", {"NO_COLOR": "1"}, "truecolor", "etlwatch-mono"),
        ("dark", {"NO_COLOR": ""}, "truecolor", "etlwatch-dark"),
    ],
)
def test_a_terminal_gets_the_theme_it_can_show(wanted, environ, system, name):
    assert pick_theme(wanted, environ, color_system=system) == name


def test_an_unknown_theme_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="one of auto, 16, ansi, dark"):
        pick_theme("solarized", {})


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
async def test_textual_takes_every_theme_and_its_own_widgets_find_their_variables(theme):
    app = App[None]()
    async with app.run_test() as pilot:
        app.register_theme(theme)
        app.theme = theme.name
        await pilot.pause()
        app.action_command_palette()
        await pilot.pause()
        assert app.screen is not app.screen_stack[0]
