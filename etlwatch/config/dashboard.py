"""The dashboard's settings, from what holds for this call.

Owns the translation. Refuses to own precedence (`etlwatch.config.effective`) and what the settings do.
"""

from __future__ import annotations

from etlwatch.config.effective import Effective
from etlwatch.config.files import Layer
from etlwatch.config.keymap import keymap_of
from etlwatch.config.settings import Settings
from etlwatch.config.values import zone_called
from tracking_core.conninfo import SECRET_KEYWORDS, write_pairs

__all__ = ["settings_of"]


def settings_of(config: Effective, *, ascii_only: bool = False, notices: tuple[str, ...] = ()) -> Settings:
    """Return the dashboard's settings; `ascii_only` where the terminal takes nothing else, whatever is configured.

    Raises ConfigError for keys that cannot be given as they are configured.
    """
    return Settings(
        interval=config.interval.value,
        theme=config.theme.value,
        ascii_only=config.ascii.value or ascii_only,
        mouse=config.mouse.value,
        label=config.target.value or "",
        store_option=_store_words(config),
        colour=config.colour.value,
        window=config.window.value,
        zone=zone_called(config.zone.value),
        thresholds=config.limits,
        keymap=keymap_of(config.keys),
        notices=notices,
        may_write=config.write.value,
        write_reason=config.write_reason,
    )


def _store_words(config: Effective) -> tuple[str, ...]:
    """Return how a command line names the store that is meant, for somebody to paste; never with a password."""
    if config.target.value is not None:
        return ("--target", config.target.value)
    if config.location.layer is not Layer.FLAG:
        return ()
    place = config.location.value
    if place.path is not None:
        return ("--dsn", place.dsn)
    said = {keyword: value for keyword, value in place.keywords.items() if keyword not in SECRET_KEYWORDS}
    return ("--dsn", write_pairs(said) or "postgresql://")
