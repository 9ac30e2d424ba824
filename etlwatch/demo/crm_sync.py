"""The job `crm-sync`: copy contacts, companies and opportunities out of a CRM with a paged HTTP API.

Owns the order of work, the retries and what is recorded: every request, the source's own counts, a phase
for each entity, and an error for each page that was given up. Speaking HTTP is `crm_client`'s part. Run it
alone with `python -m etlwatch.demo.crm_sync`: without `--url` it serves itself a CRM (`crm_api`).
"""

import json
import logging
import math
import random
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

from etlwatch.demo.crm_api import CrmApi
from etlwatch.demo.crm_client import Answer, CrmClient
from etlwatch.demo.job_options import job_parser, result_file
from etlwatch.demo.pacing import Pacer
from tracking_core import ETLRunContext, SimpleETLTracker

JOB = "crm-sync"
ENTITIES = ("contacts", "companies", "opportunities")
ATTEMPTS = 4
FIRST_WAIT_S = 0.1  # doubled by each further attempt
LONGEST_WAIT_S = 30.0
PAGES_LOST_IN_A_ROW = 5  # then it is not the page that is broken, but the API

logger = logging.getLogger(__name__)

# Statements stand in the job's own file, so that a job can be copied whole.
_CREATE = "CREATE TABLE IF NOT EXISTS records (entity TEXT, id INTEGER, document TEXT, PRIMARY KEY (entity, id))"
_UPSERT = "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (entity, id) DO UPDATE SET document = excluded.document"
_COUNT = "SELECT count(*) FROM records WHERE entity = ?"


class RequestGivenUpError(Exception):
    """A request that failed for good, or as often as it is worth trying."""


class CrmUnavailableError(Exception):
    """Too many pages in a row were given up: going on would only hammer a sick API."""


class CrmSync:
    """One sync: asks, retries, loads, and records into the run."""

    def __init__(
        self,
        run: ETLRunContext,
        client: CrmClient,
        result: sqlite3.Connection,
        *,
        page_size: int = 50,
        pace_s: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take what the sync works with; `pace_s` spreads the pages over so many seconds, 0 does not rest."""
        self._run = run
        self._client = client
        self._result = result
        self._page_size = page_size
        self._pace_s = pace_s
        self._sleep = sleep

    def sync(self, entities: Sequence[str]) -> None:
        """Copy all records of the entities.

        Raises `RequestGivenUpError` when even a count cannot be had, `CrmUnavailableError` when the API goes
        down.
        """
        with self._result:
            self._result.execute(_CREATE)
        with self._run.phase("count", entities=len(entities)) as phase:
            counts = {}
            for entity in entities:
                counts[entity] = self._source_count(entity)
                phase.update(entities=1)
        pages = {entity: math.ceil(count / self._page_size) for entity, count in counts.items()}
        pacer = Pacer(self._pace_s, sum(pages.values()), sleep=self._sleep)
        for entity in entities:
            self._copy(entity, counts[entity], pages[entity], pacer)
        self._verify(counts)

    def _source_count(self, entity: str) -> int:
        count = int(self._ask(f"/v1/{entity}/count")["count"])
        self._run.log_source_count(entity, count)
        return count

    def _copy(self, entity: str, count: int, pages: int, pacer: Pacer) -> None:
        lost_in_a_row = 0
        with self._run.phase(entity, pages=pages, records=count) as phase:
            for offset in range(0, count, self._page_size):
                try:
                    items = self._ask(f"/v1/{entity}", offset=offset, limit=self._page_size)["items"]
                except RequestGivenUpError as error:
                    # One page less is better than no sync; the error and the counts say what is missing.
                    self._run.log_error(error, phase=entity)
                    lost_in_a_row += 1
                    if lost_in_a_row == PAGES_LOST_IN_A_ROW:
                        raise CrmUnavailableError(f"{entity}: {lost_in_a_row} pages in a row given up") from error
                    items = []
                else:
                    lost_in_a_row = 0
                with self._result:
                    self._result.executemany(_UPSERT, [(entity, item["id"], json.dumps(item)) for item in items])
                phase.update(pages=1, records=len(items))
                pacer.rest()

    def _verify(self, counts: Mapping[str, int]) -> None:
        with self._run.phase("verify", entities=len(counts)) as phase:
            for entity, expected in counts.items():
                (loaded,) = self._result.execute(_COUNT, (entity,)).fetchone()
                level = logging.INFO if loaded == expected else logging.WARNING
                logger.log(level, "%s: %d of %d records loaded", entity, loaded, expected)
                phase.update(entities=1)

    def _ask(self, endpoint: str, *, offset: int | None = None, limit: int | None = None) -> Mapping[str, Any]:
        """Ask until an answer can be used; raises `RequestGivenUpError` when none will come."""
        query = {name: value for name, value in (("offset", offset), ("limit", limit)) if value is not None}
        for attempt in range(ATTEMPTS):
            answer = self._client.get(endpoint, **query)
            self._run.log_request(
                endpoint,
                offset,
                limit,
                answer.status,
                len(answer.payload.get("items", ())),
                answer.duration_ms,
                throttled=answer.retry_after_s is not None,
                error=answer.error,
            )
            if answer.is_usable:
                return answer.payload
            if not answer.may_pass or attempt + 1 == ATTEMPTS:
                break
            self._sleep(seconds_to_wait(answer, attempt))
        where = f"{endpoint} at {offset}" if offset is not None else endpoint
        raise RequestGivenUpError(f"GET {where} given up after {attempt + 1} attempts: {answer.error}")


def seconds_to_wait(answer: Answer, attempt: int) -> float:
    """Say how long to wait before asking again: as long as the server wishes, else doubling with some jitter.

    Jitter keeps several syncs from coming back in step; a server's absurd wish is cut to `LONGEST_WAIT_S`.
    """
    if answer.retry_after_s is not None:
        return min(answer.retry_after_s, LONGEST_WAIT_S)
    return float(min(FIRST_WAIT_S * 2**attempt * random.uniform(0.5, 1.5), LONGEST_WAIT_S))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job; 0 when every entity was copied, whatever single pages were given up."""
    parser = job_parser(JOB, "Copy a CRM's records page by page.")
    parser.add_argument("--url", help="the CRM's address; without it one is served for this run")
    parser.add_argument("--entity", action="append", choices=ENTITIES, help="only this one (may be repeated)")
    parser.add_argument("--page-size", type=int, default=50, metavar="N", help="records asked for at once")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    entities = tuple(options.entity or ENTITIES)
    notes = options.notes or f"Sync of {', '.join(entities)}"
    with ExitStack() as stack:
        url = options.url or stack.enter_context(CrmApi()).url
        path = stack.enter_context(result_file(options.result, "crm.db"))
        client = stack.enter_context(CrmClient(url))
        result = stack.enter_context(closing(sqlite3.connect(path)))
        tracker = stack.enter_context(closing(SimpleETLTracker()))
        run = stack.enter_context(ETLRunContext(tracker, notes, job=JOB))
        CrmSync(run, client, result, page_size=options.page_size, pace_s=options.pace).sync(entities)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
