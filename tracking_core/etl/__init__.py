"""The ETL context: phases, progress, memory, errors and resources of one job."""

from __future__ import annotations

from tracking_core.etl.context import ETLContext, PhaseBlock
from tracking_core.etl.progress import MemoryMonitor, ProgressTracker
from tracking_core.etl.recorder import PhaseRecorder

__all__ = [
    "ETLContext",
    "MemoryMonitor",
    "PhaseBlock",
    "PhaseRecorder",
    "ProgressTracker",
]
