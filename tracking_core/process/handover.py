"""A run handed on to a program by its environment, so that what that program records is recorded into this run.

The variable holds how the run began, so that whoever reaches the store first can make its row, and the store's label,
since a run is handed on within one store only. It holds no password. Whoever handed the run on ends it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping

from tracking_core.dataclass import asdict, fields, replace
from tracking_core.events import RunStart
from tracking_core.identity import MAX_RUN_ID, format_run_id

HANDED_RUN = "TRACKING_HANDED_RUN"
PARENT_RUN = "TRACKING_RUN"

LONGEST = 32 * 1024
"""Bytes of the variable: a program with one of 128 KiB is not started at all. Notes and tags go first."""


def handed_on(start: RunStart, store: str) -> dict[str, str]:
    """Return the variables for a program that is to record into a run; `store` is the label of the run's store.

    The first run that a process of it begins in that store is this one. Runs that it begins beside that one name it as
    their parent.
    """
    text = _written(start, store)
    if len(text) > LONGEST:
        text = _written(replace(start, notes=None, tags={}), store)
    return {PARENT_RUN: format_run_id(start.run_id), HANDED_RUN: text}


def _written(start: RunStart, store: str) -> str:
    return json.dumps({"store": store, "start": asdict(start)}, ensure_ascii=True, separators=(",", ":"))


def take(environ: MutableMapping[str, str], store: str) -> RunStart | None:
    """Return the run that was handed to this process for a store, once; None where there is none.

    It is gone from the environment then, so that a second run of this process, and those of processes that it starts,
    are runs of their own. What cannot be read is passed over: a job does not answer for what stood around it.
    """
    text = environ.get(HANDED_RUN)
    if not text:
        return None
    try:
        content = json.loads(text)
        if content["store"] != store:
            return None
        start = _start_of(content["start"])
    except (LookupError, TypeError, ValueError, RecursionError):
        start = None
    environ.pop(HANDED_RUN, None)
    return start


def _start_of(item: Mapping[str, object]) -> RunStart:
    known = {field.name for field in fields(RunStart)}
    start = RunStart(**{name: value for name, value in item.items() if name in known})  # type: ignore[arg-type]
    if not 0 < start.run_id <= MAX_RUN_ID:
        raise ValueError(f"{start.run_id} is no run id")
    return start
