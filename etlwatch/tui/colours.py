"""Colours by meaning: four palettes, how a role becomes a style, and which palette a terminal gets.

Red is dead, amber is behind, blue is cursor, keys and now, and what is well has no colour. Nothing of Textual is
loaded: the first frame is drawn before that (`etlwatch.tui.opening`).

    pick_theme("auto", environ, …)      which of them a terminal gets
    role_style(theme, "amber bold on bar")   a Rich style, cached; roles as in `etlwatch.text.spans`
    palette(theme).shades               whether nested areas differ by colour
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from rich.style import Style

from tracking_core.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """What each colour and ground looks like in one theme, in Rich's style words."""

    name: str
    foregrounds: Mapping[str, str]
    grounds: Mapping[str, str]
    """Background colours by name; empty where the terminal's own is kept."""
    shades: bool
    """Whether areas differ by colour (else by pattern), and the cursor's row has a ground (else reversed cells)."""


def _rgb(name: str, **colours: str) -> Palette:
    """Build a palette from hexadecimal colours; names have underscores for hyphens."""
    named = {token.replace("_", "-"): f"#{value}" for token, value in colours.items()}
    foregrounds = {token: value for token, value in named.items() if token not in ("background", "bar", "selected")}
    grounds = {token: value for token, value in named.items() if token not in ("text", "dim")}
    return Palette(name=name, foregrounds=MappingProxyType(foregrounds), grounds=MappingProxyType(grounds), shades=True)


# tests/etlwatch/test_theme.py computes contrasts, and distances as people see them who confuse red and green.
DARK: Final = _rgb(
    "etlwatch-dark",
    background="14171c",
    bar="1c2128",
    selected="26303d",
    text="d3d8df",
    dim="8791a0",
    faint="4b5463",
    blue="7cb7ff",
    amber="f0b23e",
    amber_fill="c08c2b",
    red="ff6f91",
    chart_p99="546a8c",
    chart_p95="7d99c0",
    chart_p50="b4cdec",
)

LIGHT: Final = _rgb(
    "etlwatch-light",
    background="fcfcfa",
    bar="eef0f2",
    selected="dbe8f8",
    text="22272e",
    dim="5c6673",
    faint="b4bbc4",
    blue="005dc2",
    amber="8d5100",
    amber_fill="b07c1e",
    red="a80054",
    chart_p99="7b93b2",
    chart_p95="4c688f",
    chart_p50="213a5c",
)

# Not bright black: in several common colour schemes it is the background.
SIXTEEN: Final = Palette(
    name="etlwatch-ansi",
    foregrounds=MappingProxyType(
        {
            "text": "",
            "dim": "dim",
            "faint": "dim",
            "blue": "cyan",
            "amber": "yellow",
            "amber-fill": "yellow",
            "red": "bright_red",
            "chart-p99": "dim",
            "chart-p95": "dim",
            "chart-p50": "dim",
        }
    ),
    grounds=MappingProxyType({}),
    shades=False,
)

MONO: Final = Palette(
    name="etlwatch-mono",
    foregrounds=MappingProxyType(
        {
            "text": "",
            "dim": "",
            "faint": "dim",
            "blue": "",
            "amber": "",
            "amber-fill": "",
            "red": "",
            "chart-p99": "dim",
            "chart-p95": "dim",
            "chart-p50": "dim",
        }
    ),
    grounds=MappingProxyType({}),
    shades=False,
)

_PALETTES: Final[Mapping[str, Palette]] = MappingProxyType(
    {palette.name: palette for palette in (DARK, LIGHT, SIXTEEN, MONO)}
)

# Without a connection everything but the banner is dimmed, alarms included: they may be outdated.
_MUTED: Final = MappingProxyType(
    {"text": "dim", "blue": "dim", "amber": "dim", "red": "dim", "amber-fill": "dim",
     "chart-p99": "faint", "chart-p95": "faint", "chart-p50": "faint"}
)  # fmt: skip

_MODIFIERS: Final = frozenset({"bold", "strong", "reverse"})


def palette(theme: str) -> Palette:
    """Return the palette of a theme's name; a theme that is not ours gets the dark one."""
    return _PALETTES.get(theme, DARK)


@lru_cache(maxsize=4096)
def role_style(theme: str, role: str, ground: str = "background", *, muted: bool = False) -> Style:
    """Return the Rich style of a role on `ground`, unless the role names its own (`dim on chart-p99`).

    `strong` is bold only in themes without shades; dim becomes text on the selected row.
    Raises ValueError for an unknown colour, ground or modifier: roles are constants of this program.
    """
    words, _, own_ground = role.partition(" on ")
    colour, *modifiers = words.split() or ["plain"]
    colours = palette(theme)
    base = own_ground or ground
    colour = "text" if colour == "plain" else colour
    if muted:
        colour = _MUTED.get(colour, colour)
        # An area has a ground of its own; what it is dimmed to must be one as well, and "dim" is none.
        own_ground = "faint" if own_ground in _MUTED else own_ground
        base = own_ground or ground
    elif colour == "dim" and base == "selected":
        colour = "text"
    if colour not in colours.foregrounds or not _MODIFIERS.issuperset(modifiers):
        raise ValueError(f"no such role: {role!r}")
    if base not in DARK.grounds:
        raise ValueError(f"no such ground: {base!r}")
    parts = [colours.foregrounds[colour]]
    if not muted and ("bold" in modifiers or ("strong" in modifiers and not colours.shades)):
        parts.append("bold")
    if "reverse" in modifiers:
        parts.append("reverse")
    if base in colours.grounds:
        parts.append(f"on {colours.grounds[base]}")
    return Style.parse(" ".join(part for part in parts if part) or "none")


_WORDS: Final = MappingProxyType(
    {"dark": DARK.name, "light": LIGHT.name, "ansi": SIXTEEN.name, "16": SIXTEEN.name, "mono": MONO.name,
     "none": MONO.name}
)  # fmt: skip


def pick_theme(wanted: str, environ: Mapping[str, str], *, color_system: str | None = "truecolor") -> str:
    """Return the name of the theme for a setting (`auto`, `dark`, `light`, `ansi`, `mono`) and a terminal.

    `NO_COLOR` comes first, then the setting, then detection; `color_system` is Rich's name for the terminal's colours.
    Raises ValueError for an unknown setting.
    """
    if environ.get("NO_COLOR"):
        return MONO.name
    if wanted != "auto":
        if wanted.removeprefix("etlwatch-") not in _WORDS:
            raise ValueError(f"no such theme: {wanted!r}; one of auto, {', '.join(sorted(_WORDS))}")
        return _WORDS[wanted.removeprefix("etlwatch-")]
    if color_system is None:
        return MONO.name
    if color_system in ("standard", "windows"):
        return SIXTEEN.name
    # Set by several terminals as "foreground;background" in colour numbers; 7 and 15 are white.
    return LIGHT.name if environ.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15") else DARK.name


def color_system_of(environ: Mapping[str, str]) -> str | None:
    """Return Rich's name for a terminal's colours; None for a terminal that has none."""
    chosen = environ.get("TEXTUAL_COLOR_SYSTEM", "auto")
    if chosen != "auto":
        return chosen
    term = environ.get("TERM", "").strip().lower()
    if term in ("dumb", "unknown"):
        return None
    if environ.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit"):
        return "truecolor"
    return {"kitty": "256", "256color": "256"}.get(term.rpartition("-")[2], "standard")
