"""tracking_core: record ETL runs without ever hurting the job.

Jobs import everything from here. Each name is loaded when it is first used: a job that only records runs does not pay
for the ETL context, nor a job that only imports for either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracking_core.errors import ConfigurationError, TrackingError
    from tracking_core.etl import ETLContext, MemoryMonitor, ProgressTracker
    from tracking_core.legacy import get_etl_tracker
    from tracking_core.records import DeliveryReport, Run, RunMetrics
    from tracking_core.run_context import ETLRunContext
    from tracking_core.tracker import SimpleETLTracker

__all__ = [
    "ConfigurationError",
    "DeliveryReport",
    "ETLContext",
    "ETLRunContext",
    "MemoryMonitor",
    "ProgressTracker",
    "Run",
    "RunMetrics",
    "SimpleETLTracker",
    "TrackingError",
    "get_etl_tracker",
]

_HOMES = {
    "ConfigurationError": "tracking_core.errors",
    "DeliveryReport": "tracking_core.records",
    "ETLContext": "tracking_core.etl",
    "ETLRunContext": "tracking_core.run_context",
    "MemoryMonitor": "tracking_core.etl",
    "ProgressTracker": "tracking_core.etl",
    "Run": "tracking_core.records",
    "RunMetrics": "tracking_core.records",
    "SimpleETLTracker": "tracking_core.tracker",
    "TrackingError": "tracking_core.errors",
    "get_etl_tracker": "tracking_core.legacy",
}


def __getattr__(name: str) -> object:
    """Load a public name at its first use; AttributeError for any other."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names beside what is loaded already."""
    return sorted({*globals(), *__all__})
