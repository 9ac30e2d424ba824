"""Colours by meaning, in four palettes."""

import itertools
import math

import pytest
from rich.color import Color
from rich.style import Style
from textual.app import App

from etlwatch.rendering.lines import Key, key_parts
from etlwatch.tui.colours import DARK, LIGHT, MONO, SIXTEEN, palette, pick_theme, role_style
from etlwatch.tui.theme import THEMES
from tests.etlwatch.dashboard import dashboard
from tests.etlwatch.night import night

ROLES = ["plain", "text", "dim", "faint", "blue", "amber bold", "red strong", "amber-fill", "chart-p50 on chart-p95"]


def linear(colour):
    parts = [value / 255 for value in Color.parse(colour).get_truecolor()]
    return [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]


def luminance(colour):
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def lab(rgb):
    """Return CIELAB (D65) of linear RGB."""
    matrix = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
    x, y, z = (sum(m * c for m, c in zip(row, rgb, strict=True)) for row in matrix)
    f = [t ** (1 / 3) if t > 216 / 24_389 else (24_389 / 27 * t + 16) / 116 for t in (x / 0.95047, y, z / 1.08883)]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def deuteranope(colour):
    """Return linear RGB as a deuteranope sees a colour (Machado, Oliveira and Fernandes 2009, severity 1)."""
    matrix = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))
    return [min(1.0, max(0.0, sum(m * c for m, c in zip(row, linear(colour), strict=True)))) for row in matrix]


def difference(one, other):
    """Return the CIEDE2000 distance of two colours in CIELAB (Sharma, Wu and Dalal 2005)."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    stretch = 1 + 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = math.degrees(math.atan2(b1, a1)) % 360, math.degrees(math.atan2(b2, a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180
    lightness, c, h = (l1 + l2) / 2, (c1 + c2) / 2, (h1 + turn / 2) % 360
    cos = [math.cos(math.radians(angle)) for angle in (h - 30, 2 * h, 3 * h + 6, 4 * h - 63)]
    t = 1 - 0.17 * cos[0] + 0.24 * cos[1] + 0.32 * cos[2] - 0.20 * cos[3]
    light = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / math.sqrt(20 + (lightness - 50) ** 2))
    chroma = (c2 - c1) / (1 + 0.045 * c)
    hue = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2)) / (1 + 0.015 * c * t)
    rotation = math.sin(math.radians(60 * math.exp(-(((h - 275) / 25) ** 2)))) * 2 * math.sqrt(c**7 / (c**7 + 25**7))
    return math.sqrt(light**2 + chroma**2 + hue**2 - rotation * chroma * hue)


def test_the_distance_is_that_of_the_published_pairs():
    for one, other, distance in (
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ):
        assert difference(one, other) == pytest.approx(distance, abs=1e-4)


RGB = pytest.mark.parametrize("colours", [DARK, LIGHT], ids=lambda colours: colours.name)
WORDS = ("text", "dim", "blue", "amber", "red")
AREAS = ("chart-p99", "chart-p95", "chart-p50")


@RGB
@pytest.mark.parametrize("ground", ["background", "bar", "selected"])
def test_words_have_contrast_enough_on_every_ground(colours, ground):
    for colour in WORDS:
        # On the selected row dim becomes text.
        shown = "text" if (colour, ground) == ("dim", "selected") else colour
        assert contrast(colours.foregrounds[shown], colours.grounds[ground]) >= 5, colour


@RGB
def test_areas_of_charts_stand_out_from_the_ground_and_from_each_other(colours):
    for area in (*AREAS, "amber-fill"):
        assert contrast(colours.foregrounds[area], colours.grounds["background"]) >= 3, area
    # The lines of a full-size chart as well.
    pairs = [*itertools.combinations((*AREAS, "amber-fill"), 2), ("text", "chart-p95"), ("text", "chart-p99")]
    for one, other in pairs:
        seen = [lab(linear(colours.foregrounds[area])) for area in (one, other)]
        assert difference(*seen) >= 13, (one, other)


@RGB
def test_meanings_differ_for_people_who_confuse_red_and_green(colours):
    # Amber and its fill are one meaning, as a word and as an area.
    pairs = [*itertools.combinations(WORDS, 2), *((word, "amber-fill") for word in WORDS if word != "amber")]
    for pair in pairs:
        seen = [lab(deuteranope(colours.foregrounds[colour])) for colour in pair]
        assert difference(*seen) >= 15, pair


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


@pytest.mark.parametrize("muted", [False, True])
@pytest.mark.parametrize("theme", [palette.name for palette in (DARK, LIGHT, SIXTEEN, MONO)])
def test_the_time_cursor_has_a_style_over_every_area(theme, muted):
    for ground in DARK.grounds:
        assert isinstance(role_style(theme, f"blue on {ground}", muted=muted), Style)


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


@pytest.mark.parametrize("keys", [("question_mark",), ("colon",), ("X",), ("E",), ("J",), ("z",), ("enter",)])
async def test_the_faintest_tone_carries_no_words(keys):
    faint = Color.parse(DARK.foregrounds["faint"]).triplet
    async with dashboard(night(), may_write=True) as opened:
        await opened.press(*keys)
        strips = opened.app.screen._compositor.render_strips(opened.app.size)
    words = [
        segment.text
        for strip in strips
        for segment in strip
        if segment.style and segment.style.color and segment.style.color.triplet == faint
    ]
    assert not [word for word in words if any(map(str.isalnum, word))]


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


def test_keys_of_the_footer_are_bold_where_nothing_is_blue():
    ((key, role), *_) = key_parts([Key("q", "quit")])[0].spans
    assert key == "q"
    assert {palette.name for palette in (DARK, LIGHT, SIXTEEN, MONO) if role_style(palette.name, role, "bar").bold} == {
        SIXTEEN.name, MONO.name,
    }  # fmt: skip
