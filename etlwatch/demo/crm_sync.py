"""The job `crm-sync`: copy contacts, companies and opportunities out of a CRM with a paged HTTP API.

It records every request, the source's own counts, a phase for each entity, and an error for each page that was given
up.
"""

import http.client
import json
import math
import random
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from etlwatch.demo.jobs import Pacer, job_parser, tracked_run
from tracking_core import ETLRunContext
from tracking_core.dataclass import dataclass

JOB = "crm-sync"
ENTITIES = ("contacts", "companies", "opportunities")
ATTEMPTS = 4
FIRST_WAIT_S = 0.1
"""Doubled by each further attempt."""

LONGEST_WAIT_S = 30.0
PAGES_LOST_IN_A_ROW = 5
"""Then the API is down, not the page broken."""

# SQL in the job's own file, so that a job can be copied whole.
_CREATE = "CREATE TABLE records (entity TEXT, id INTEGER, document TEXT, PRIMARY KEY (entity, id))"
_UPSERT = "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (entity, id) DO UPDATE SET document = excluded.document"
_COUNT = "SELECT count(*) FROM records WHERE entity = ?"


class RequestGivenUpError(Exception):
    """A request failed permanently, or `ATTEMPTS` times."""


class CrmUnavailableError(Exception):
    """Too many pages in a row were given up: the API itself is down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one request, also when none arrived."""

    status: int | None
    """None when no answer arrived."""

    duration_ms: float
    payload: Mapping[str, Any]
    retry_after_s: float | None = None
    """How long the server wants to be left alone."""

    error: str | None = None
    """None for a usable answer."""

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status is None or self.status == HTTPStatus.TOO_MANY_REQUESTS or self.status >= 500


class CrmClient:
    """One kept-open connection to the API, for one thread; `close` closes it."""

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        """Set the address; the first request connects, and a lost connection is reopened."""
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout_s)
        self.close = self._connection.close

    def get(self, path: str) -> Answer:
        """Request one resource; errors of the network and the server are returned, not raised."""
        began = time.perf_counter()
        payload: Mapping[str, Any] = {}
        status: int | None = None
        retry_after_s: float | None = None
        error: str | None = None
        try:
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            body = response.read()
            status = response.status
            if status == HTTPStatus.OK:
                payload = json.loads(body)
            else:
                error = f"{status} {response.reason}"
                retry_after = response.getheader("Retry-After")
                retry_after_s = None if retry_after is None else float(retry_after)
        except (OSError, http.client.HTTPException, ValueError) as failure:
            # The connection may be in any state: the next request opens a new one.
            self.close()
            error = f"{type(failure).__name__}: {failure}"
        duration_ms = (time.perf_counter() - began) * 1000
        return Answer(status=status, duration_ms=duration_ms, payload=payload, retry_after_s=retry_after_s, error=error)


class CrmSync:
    """One sync: requests, retries, loads, and records into the run."""

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
        """Prepare a sync; `pace_s` spreads the pages over so many seconds, 0 does not wait."""
        self._run = run
        self._client = client
        self._result = result
        self._page_size = page_size
        self._pace_s = pace_s
        self._sleep = sleep

    def sync(self, entities: Sequence[str]) -> None:
        """Copy all records of the entities.

        Raises `RequestGivenUpError` when a count cannot be read, `CrmUnavailableError` when the API goes down.
        """
        self._result.execute(_CREATE)
        counts = {}
        with self._run.phase("count", entities=len(entities)) as phase:
            for entity in entities:
                counts[entity] = int(self._get(f"/v1/{entity}/count")["count"])
                self._run.log_source_count(entity, counts[entity])
                phase.update(entities=1)
        pages = {entity: math.ceil(count / self._page_size) for entity, count in counts.items()}
        pacer = Pacer(self._pace_s, sum(pages.values()))
        for entity in entities:
            self._copy(entity, counts[entity], pages[entity], pacer)
        with self._run.phase("verify", records=sum(counts.values())) as phase:
            for entity in entities:
                phase.update(records=self._result.execute(_COUNT, (entity,)).fetchone()[0])

    def _copy(self, entity: str, count: int, pages: int, pacer: Pacer) -> None:
        lost_in_a_row = 0
        with self._run.phase(entity, pages=pages, records=count) as phase:
            for offset in range(0, count, self._page_size):
                items = []
                try:
                    items = self._get(f"/v1/{entity}", offset)["items"]
                    lost_in_a_row = 0
                except RequestGivenUpError as error:
                    # A sync without one page is better than none; the error and the counts show what is missing.
                    self._run.log_error(error, phase=entity)
                    lost_in_a_row += 1
                    if lost_in_a_row == PAGES_LOST_IN_A_ROW:
                        raise CrmUnavailableError(f"{entity}: {lost_in_a_row} pages in a row given up") from error
                with self._result:
                    self._result.executemany(_UPSERT, [(entity, item["id"], json.dumps(item)) for item in items])
                phase.update(pages=1, records=len(items))
                pacer.rest()

    def _get(self, endpoint: str, offset: int | None = None) -> Mapping[str, Any]:
        """Request a resource, or its page from an offset on; raises `RequestGivenUpError` without a usable answer."""
        limit = None if offset is None else self._page_size
        path = endpoint if offset is None else f"{endpoint}?offset={offset}&limit={limit}"
        for attempt in range(ATTEMPTS):
            answer = self._client.get(path)
            items = len(answer.payload.get("items", ()))
            throttled = answer.retry_after_s is not None
            self._run.log_request(
                endpoint, offset, limit, answer.status, items, answer.duration_ms, throttled=throttled,
                error=answer.error,
            )  # fmt: skip
            if answer.error is None:
                return answer.payload
            if not answer.may_pass or attempt + 1 == ATTEMPTS:
                break
            self._sleep(seconds_to_wait(answer, attempt))
        raise RequestGivenUpError(f"GET {path} given up after {attempt + 1} attempts: {answer.error}")


def seconds_to_wait(answer: Answer, attempt: int) -> float:
    """Return the pause before the next attempt: the server's Retry-After, else doubling, with jitter.

    Jitter keeps several syncs from retrying at the same moment; no pause is longer than `LONGEST_WAIT_S`.
    """
    if answer.retry_after_s is not None:
        return min(answer.retry_after_s, LONGEST_WAIT_S)
    return float(min(FIRST_WAIT_S * 2**attempt * random.uniform(0.5, 1.5), LONGEST_WAIT_S))


def main(arguments: Sequence[str]) -> None:
    """Run the job; it completes when every entity was copied, even if single pages were given up."""
    parser = job_parser(JOB, "Copy a CRM's records page by page.")
    parser.add_argument("--url", required=True, help="the CRM's address")
    parser.add_argument("--entity", action="append", choices=ENTITIES, help="only this one (may be repeated)")
    parser.add_argument("--page-size", type=int, default=50, metavar="N", help="records per request")
    options = parser.parse_args(arguments)
    entities = tuple(options.entity or ENTITIES)
    with (
        tracked_run(JOB, options.notes or f"Sync of {', '.join(entities)}") as (run, directory),
        closing(CrmClient(options.url)) as client,
        closing(sqlite3.connect(directory / "crm.db")) as result,
    ):
        CrmSync(run, client, result, page_size=options.page_size, pace_s=options.pace).sync(entities)
