"""The ETL context: phases, progress, memory, errors and resources of one job."""

from __future__ import annotations

from tracking_core.etl.context import ETLContext
from tracking_core.etl.memory import MemoryMonitor
from tracking_core.etl.phases import PhaseBlock
from tracking_core.etl.progress import ProgressTracker
from tracking_core.etl.recorder import PhaseRecorder, RunTracker

__all__ = [
    "ETLContext",
    "MemoryMonitor",
    "PhaseBlock",
    "PhaseRecorder",
    "ProgressTracker",
    "RunTracker",
]
