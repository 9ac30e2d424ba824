"""The palettes as Textual's themes, for `App.register_theme`: etlwatch-dark, -light, -ansi, -mono.

Contains nothing but the translation of `etlwatch.tui.colours`: Textual's own variables are set from the same
table, so that CSS uses `$primary` (blue), `$warning` (amber), `$error` (red), `$surface` (bars and panels), `$panel`
(selected), `$text-muted` (dim) and `$border` (faint) with any theme. Without colour the theme is an ANSI one: with an
RGB theme Textual would turn colours into 24-bit greys and send those.
"""

from typing import Final

from textual.theme import Theme

from etlwatch.tui.colours import DARK, LIGHT, MONO, SIXTEEN, Palette

__all__ = ["THEMES"]


def _theme(colours: Palette, *, dark: bool) -> Theme:
    """Build Textual's theme of an RGB palette."""
    ink = {**colours.grounds, **colours.inks}
    return Theme(
        name=colours.name,
        dark=dark,
        primary=ink["blue"],
        secondary=ink["chart-p50"],
        accent=ink["blue"],
        warning=ink["amber"],
        error=ink["red"],
        success=ink["text"],
        foreground=ink["text"],
        background=ink["background"],
        surface=ink["bar"],
        panel=ink["selected"],
        boost=ink["bar"],
        text_alpha=1.0,
        variables={
            "text": ink["text"],
            "text-muted": ink["dim"],
            "text-disabled": ink["dim"],
            "foreground-muted": ink["dim"],
            "foreground-disabled": ink["dim"],
            "border": ink["faint"],
            "border-blurred": ink["faint"],
            "block-cursor-foreground": ink["text"],
            "block-cursor-background": ink["selected"],
            "block-cursor-text-style": "none",
            "block-cursor-blurred-foreground": ink["text"],
            "block-cursor-blurred-background": ink["selected"],
            "block-hover-background": ink["bar"],
            "input-cursor-background": ink["blue"],
            "input-cursor-foreground": ink["background"],
            "input-selection-background": ink["selected"],
            "scrollbar": ink["faint"],
            "scrollbar-hover": ink["dim"],
            "scrollbar-active": ink["dim"],
            "scrollbar-background": ink["background"],
            "scrollbar-background-hover": ink["background"],
            "scrollbar-background-active": ink["background"],
            "scrollbar-corner-color": ink["background"],
            "button-focus-text-style": "bold",
            "footer-background": ink["bar"],
            "footer-foreground": ink["dim"],
            "footer-key-foreground": ink["blue"],
            "footer-description-foreground": ink["dim"],
        },
    )


def _ansi_theme(name: str, *, blue: str, amber: str, red: str) -> Theme:
    """Build Textual's theme of the terminal's own colours; backgrounds stay the terminal's."""
    own = "ansi_default"
    return Theme(
        name=name,
        ansi=True,
        primary=blue,
        secondary=blue,
        accent=blue,
        warning=amber,
        error=red,
        success=own,
        foreground=own,
        background=own,
        surface=own,
        panel=own,
        boost=own,
        variables={
            # Textual's own style sheet asks for these two of every ANSI theme.
            "ansi-background": own,
            "ansi-foreground": own,
            "text-muted": own,
            "text-disabled": own,
            "foreground-muted": own,
            "foreground-disabled": own,
            "surface-active": own,
            "border": own,
            "border-blurred": own,
            "block-cursor-foreground": own,
            "block-cursor-background": own,
            "block-cursor-text-style": "bold reverse",
            "block-cursor-blurred-text-style": "bold reverse",
            "input-cursor-text-style": "reverse",
            "scrollbar": own,
            "scrollbar-hover": own,
            "scrollbar-active": own,
            "scrollbar-background": own,
            "scrollbar-background-hover": own,
            "scrollbar-background-active": own,
            "footer-key-foreground": blue,
        },
    )


THEMES: Final[tuple[Theme, ...]] = (
    _theme(DARK, dark=True),
    _theme(LIGHT, dark=False),
    _ansi_theme(SIXTEEN.name, blue="ansi_cyan", amber="ansi_yellow", red="ansi_bright_red"),
    _ansi_theme(MONO.name, blue="ansi_default", amber="ansi_default", red="ansi_default"),
)
