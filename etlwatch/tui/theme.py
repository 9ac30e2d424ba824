"""The palettes as Textual's themes, for `App.register_theme`: etlwatch-dark, -light, -ansi, -mono.

Contains nothing but the translation of `etlwatch.tui.colours`: Textual's own variables are set from the same
table, so that CSS uses `$primary` (blue), `$warning` (amber), `$error` (red), `$surface` (bars and panels), `$panel`
(selected), `$text-muted` (dim) and `$border` (faint) with any theme. Without colour the theme is an ANSI one: with an
RGB theme Textual would turn colours into 24-bit greys and send those.
"""

from typing import Final

from textual.theme import Theme

from etlwatch.tui.colours import DARK, LIGHT, MONO, SIXTEEN, Palette


def _theme(colours: Palette, *, dark: bool) -> Theme:
    """Build Textual's theme of an RGB palette."""
    colour = {**colours.grounds, **colours.foregrounds}
    return Theme(
        name=colours.name,
        dark=dark,
        primary=colour["blue"],
        secondary=colour["chart-p50"],
        accent=colour["blue"],
        warning=colour["amber"],
        error=colour["red"],
        success=colour["text"],
        foreground=colour["text"],
        background=colour["background"],
        surface=colour["bar"],
        panel=colour["selected"],
        boost=colour["bar"],
        text_alpha=1.0,
        variables={
            "text": colour["text"],
            "text-muted": colour["dim"],
            "text-disabled": colour["dim"],
            "foreground-muted": colour["dim"],
            "foreground-disabled": colour["dim"],
            "border": colour["faint"],
            "border-blurred": colour["faint"],
            "block-cursor-foreground": colour["text"],
            "block-cursor-background": colour["selected"],
            "block-cursor-text-style": "none",
            "block-cursor-blurred-foreground": colour["text"],
            "block-cursor-blurred-background": colour["selected"],
            "block-hover-background": colour["bar"],
            "input-cursor-background": colour["blue"],
            "input-cursor-foreground": colour["background"],
            "input-selection-background": colour["selected"],
            "scrollbar": colour["faint"],
            "scrollbar-hover": colour["dim"],
            "scrollbar-active": colour["dim"],
            "scrollbar-background": colour["background"],
            "scrollbar-background-hover": colour["background"],
            "scrollbar-background-active": colour["background"],
            "scrollbar-corner-color": colour["background"],
            "button-focus-text-style": "bold",
            "footer-background": colour["bar"],
            "footer-foreground": colour["dim"],
            "footer-key-foreground": colour["blue"],
            "footer-description-foreground": colour["dim"],
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
