"""The job `crm-sync`: copy contacts, companies and opportunities out of a CRM with a paged HTTP API.

It records every request, the source's own counts, a phase for each entity, and an error for each page that was given
up. Alone, `python -m etlwatch.demo.crm_sync` starts a local CRM (`crm_api`) unless `--url` is given.
"""

import http.client
import json
import logging
import math
import random
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from etlwatch.demo.crm_api import CrmApi
from etlwatch.demo.jobs import Pacer, job_parser, result_file
from tracking_core import ETLRunContext, SimpleETLTracker
from tracking_core.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one request, also when none arrived."""

    status: int | None  # None when no answer arrived
    duration_ms: float
    payload: Mapping[str, Any]  # empty unless the answer is usable
    retry_after_s: float | None = None  # the server's Retry-After
    error: str | None = None  # None for a usable answer

    @property
    def is_usable(self) -> bool:
        """Whether the payload is what was requested."""
        return self.error is None

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status is None or self.status == HTTPStatus.TOO_MANY_REQUESTS or self.status >= 500


class CrmClient:
    """One kept-open connection to the API, for one thread: `with CrmClient(url) as client`."""

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        """Set the address; the first request connects, and a lost connection is reopened."""
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, endpoint: str, **query: int) -> Answer:
        """Request one resource; errors of the network and the server are returned, not raised."""
        path = f"{endpoint}?{urlencode(query)}" if query else endpoint
        began = time.perf_counter()
        payload: Any = None
        status: int | None = None
        retry_after_s: float | None = None
        error: str | None = None
        try:
            self._connection.request("GET", path, headers={"Accept": "application/json"})
            response = self._connection.getresponse()
            body = response.read()
            status = response.status
            if status != HTTPStatus.OK:
                error = f"{status} {response.reason}"
                retry_after_s = retry_after_seconds(response.getheader("Retry-After"), now=datetime.now(UTC))
            else:
                payload = json.loads(body)
                if not isinstance(payload, dict):
                    error = f"the answer is a JSON {type(payload).__name__}, not an object"
        except (OSError, http.client.HTTPException) as fault:
            # The connection may be in any state: the next request opens a new one.
            self._connection.close()
            error = f"{type(fault).__name__}: {fault}"
        except ValueError as fault:
            error = f"the answer is not JSON: {fault}"
        return Answer(
            status=status,
            duration_ms=(time.perf_counter() - began) * 1000,
            payload=payload if error is None else {},
            retry_after_s=retry_after_s,
            error=error,
        )


def retry_after_seconds(header: str | None, *, now: datetime) -> float | None:
    """Return a Retry-After header, seconds or an HTTP date, in seconds; None for anything else."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError):
        return None


JOB = "crm-sync"
ENTITIES = ("contacts", "companies", "opportunities")
ATTEMPTS = 4
FIRST_WAIT_S = 0.1  # doubled by each further attempt
LONGEST_WAIT_S = 30.0
PAGES_LOST_IN_A_ROW = 5  # then the API is down, not the page broken

logger = logging.getLogger(__name__)

# SQL in the job's own file, so that a job can be copied whole.
_CREATE = "CREATE TABLE IF NOT EXISTS records (entity TEXT, id INTEGER, document TEXT, PRIMARY KEY (entity, id))"
_UPSERT = "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (entity, id) DO UPDATE SET document = excluded.document"
_COUNT = "SELECT count(*) FROM records WHERE entity = ?"


class RequestGivenUpError(Exception):
    """A request failed permanently, or `ATTEMPTS` times."""


class CrmUnavailableError(Exception):
    """Too many pages in a row were given up: the API itself is down."""


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
        count = int(self._get(f"/v1/{entity}/count")["count"])
        self._run.log_source_count(entity, count)
        return count

    def _copy(self, entity: str, count: int, pages: int, pacer: Pacer) -> None:
        lost_in_a_row = 0
        with self._run.phase(entity, pages=pages, records=count) as phase:
            for offset in range(0, count, self._page_size):
                try:
                    items = self._get(f"/v1/{entity}", offset=offset, limit=self._page_size)["items"]
                except RequestGivenUpError as error:
                    # A sync without one page is better than none; the error and the counts show what is missing.
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

    def _get(self, endpoint: str, *, offset: int | None = None, limit: int | None = None) -> Mapping[str, Any]:
        """Request until the answer is usable; raises `RequestGivenUpError` when none is."""
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
    """Return the pause before the next attempt: the server's Retry-After, else doubling, with jitter.

    Jitter keeps several syncs from retrying at the same moment; no pause is longer than `LONGEST_WAIT_S`.
    """
    if answer.retry_after_s is not None:
        return min(answer.retry_after_s, LONGEST_WAIT_S)
    return float(min(FIRST_WAIT_S * 2**attempt * random.uniform(0.5, 1.5), LONGEST_WAIT_S))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job; return 0 when every entity was copied, even if single pages were given up."""
    parser = job_parser(JOB, "Copy a CRM's records page by page.")
    parser.add_argument("--url", help="the CRM's address; without it a local one is started for this run")
    parser.add_argument("--entity", action="append", choices=ENTITIES, help="only this one (may be repeated)")
    parser.add_argument("--page-size", type=int, default=50, metavar="N", help="records per request")
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
