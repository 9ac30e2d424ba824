"""The tools that a buffered `log_request` is measured beside, each as its users call it once a request.

Every peer is optional but the standard library's: a row says so where one is not installed (`pip install
etlwatch[bench]`).
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Call = tuple[str, int, int, int, int, float]
Log = Callable[[Call], object]


@contextmanager
def queue_handler() -> Iterator[Log]:
    """Yield a `logging` call whose record goes into a queue, drained by a listener that drops it."""
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    logger = logging.getLogger("bench")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(logging.handlers.QueueHandler(records))
    listener = logging.handlers.QueueListener(records, logging.NullHandler())
    listener.start()

    def log(call: Call) -> None:
        logger.info("request %s %s %s %s %s %.1f", *call)

    yield log
    listener.stop()


@contextmanager
def opentelemetry_span() -> Iterator[Log]:
    """Yield a call that makes one span with the same facts; BatchSpanProcessor, an exporter that drops them."""
    from opentelemetry.sdk.trace import TracerProvider  # type: ignore[import-not-found]
    from opentelemetry.sdk.trace.export import (  # type: ignore[import-not-found]
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    class Dropping(SpanExporter):  # type: ignore[misc]
        def export(self, spans: object) -> object:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    tracer = provider.get_tracer("bench")

    def log(call: Call) -> None:
        endpoint, offset, limit, status, count, duration = call
        with tracer.start_as_current_span(endpoint) as span:
            span.set_attribute("http.response.status_code", status)
            span.set_attribute("page.offset", offset)
            span.set_attribute("page.limit", limit)
            span.set_attribute("items", count)
            span.set_attribute("duration_ms", duration)

    yield log
    provider.shutdown()


@contextmanager
def mlflow_metrics(directory: Path) -> Iterator[tuple[Log, Log]]:
    """Yield `mlflow.log_metric`, waiting and asynchronous, into MLflow's default store: a SQLite file."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_LOGGING_LEVEL"] = "ERROR"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # type: ignore[import-not-found]
        import sqlalchemy  # type: ignore[import-not-found]  # noqa: F401 - without it MLflow has no such store

        mlflow.set_tracking_uri(f"sqlite:///{directory}/mlflow.db")
        mlflow.set_experiment("bench")
        with mlflow.start_run():
            yield (
                lambda call: mlflow.log_metric("duration_ms", call[5]),
                lambda call: mlflow.log_metric("duration_ms", call[5], synchronous=False),
            )
            mlflow.flush_async_logging()
