"""What a store would hold of a generated run."""

from __future__ import annotations

from datetime import timedelta

from etlwatch.analysis.completed import RunFacts
from etlwatch.analysis.coverage import coverage_of
from tests.nights.jobs import Fetch, Plan
from tracking_core import histogram
from tracking_core.records import EndpointTotals, Page, Phase, Run, SourceCount


def _pages(fetch: Fetch) -> list[Page]:
    answered = [
        Page(endpoint=fetch.endpoint, page_offset=offset, page_limit=fetch.limit, items=items, whole=True)
        for offset, items in fetch.pages
    ]
    failed = [
        Page(endpoint=fetch.endpoint, page_offset=page * fetch.limit, page_limit=fetch.limit, items=0, whole=False)
        for page in fetch.unanswered
    ]
    return sorted((*answered, *failed), key=lambda page: page.page_offset)


def facts_of(plan: Plan) -> RunFacts:
    """Return what is stored once a run has ended."""
    pages = [page for fetch in plan.fetches for page in _pages(fetch)]
    items = sum(page.items for page in pages)
    run = Run(
        run_id=plan.run_id,
        job=plan.job.name,
        notes=None,
        status=plan.status,
        state=plan.status,
        started_at=plan.started_at,
        ended_at=plan.started_at + timedelta(seconds=plan.seconds),
        duration_s=plan.seconds,
        requests=len(pages),
        items=items,
        failed_requests=sum(not page.whole for page in pages),
        throttled_requests=0,
        errors=0,
        host=plan.job.host,
        pid=1,
        user="etl",
        command="",
        code_version="",
        tags=plan.tags,
        emitted=len(pages) + plan.missing_events,
    )
    phases, at = [], plan.started_at
    for position, step in enumerate(plan.steps, 1):
        ended = at + timedelta(seconds=step.seconds)
        phases.append(
            Phase(
                run_id=plan.run_id,
                phase=step.name,
                position=position,
                status="completed",
                started_at=at,
                ended_at=ended,
                counters={step.unit: {"total": step.total, "processed": step.processed}},
                memory_mb=step.memory_mb,
                peak_memory_mb=step.memory_mb,
            )
        )
        at = ended
    endpoints = [
        EndpointTotals(
            run_id=plan.run_id,
            endpoint=fetch.endpoint,
            requests=len(fetch.pages) + len(fetch.unanswered),
            failed=len(fetch.unanswered),
            items=sum(items for _, items in fetch.pages),
            status_2xx=len(fetch.pages),
            status_5xx=len(fetch.unanswered),
            histogram=tuple(histogram.pack({histogram.bucket_of(int(fetch.ms)): len(fetch.pages)})),
        )
        for fetch in plan.fetches
    ]
    counts = [
        SourceCount(run_id=plan.run_id, entity=entity, items=items, at=plan.started_at)
        for entity, items in plan.counted.items()
    ]
    return RunFacts(
        run=run,
        phases=phases,
        source_counts=counts,
        endpoints=endpoints,
        coverage=coverage_of(sorted(pages, key=lambda page: (page.endpoint, page.page_offset))),
        missing_events=plan.missing_events,
    )
