"""The job `crm-sync`: copy contacts, companies and opportunities out of a CRM with a paged HTTP API; and that API.

The job records every request, the source's own counts, a phase for each entity, and an error for each page that was
given up.

The API, which the demo serves on this machine, has paging, latency, rate limiting and errors like a real one. Errors
are drawn from a seed and the request, never from the time, so that each sync meets the same ones.

    GET /v1/contacts?offset=100&limit=50   ->  {"items": […]}
    GET /v1/contacts/count                 ->  {"count": 1900}
"""

import http.client
import json
import math
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from etlwatch.demo.jobs import Pacer, job_parser, tracked_run
from tracking_core import ETLRunContext
from tracking_core.dataclass import dataclass, field

JOB = "crm-sync"
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

SIZES: Final[Mapping[str, int]] = {"contacts": 1900, "companies": 430, "opportunities": 1120}

# Of four groups of twenty requests one has more errors, so that charts and retries show something.
_GROUP: Final = 20
_BAD_GROUP: Final = 3


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
    parser.add_argument("--entity", action="append", choices=tuple(SIZES), help="only this one (may be repeated)")
    parser.add_argument("--page-size", type=int, default=50, metavar="N", help="records per request")
    options = parser.parse_args(arguments)
    entities = tuple(options.entity or SIZES)
    with (
        tracked_run(JOB, options.notes or f"Sync of {', '.join(entities)}") as (run, directory),
        closing(CrmClient(options.url)) as client,
        closing(sqlite3.connect(directory / "crm.db")) as result,
    ):
        CrmSync(run, client, result, page_size=options.page_size, pace_s=options.pace).sync(entities)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the API answers; rates are between 0 and 1."""

    seed: int = 1
    sizes: Mapping[str, int] = field(default_factory=lambda: SIZES)
    latency_ms: float = 60.0
    """The median of a log-normal distribution; 0: it answers at once."""

    throttle_rate: float = 0.02
    error_rate: float = 0.02
    retry_after_s: int = 1
    broken_pages: frozenset[tuple[str, int]] = frozenset()
    """Entities and offsets that always answer 500."""

    def answer(self, entity: str, offset: int, *, attempt: int, serial: int) -> tuple[HTTPStatus, float]:
        """Return the status and latency (seconds) of the `attempt`-th request for a page, the `serial`-th of all."""
        draw = random.Random(f"{self.seed}/{entity}/{offset}/{attempt}")
        bad = serial // _GROUP % (_BAD_GROUP + 1) == _BAD_GROUP
        latency = self.latency_ms / 1000 * draw.lognormvariate(0.0, 0.5) * (3 if bad else 1)
        if draw.random() < self.throttle_rate * (6 if bad else 1):
            # A rate limiter rejects requests before any work is done.
            return HTTPStatus.TOO_MANY_REQUESTS, latency / 10
        if (entity, offset) in self.broken_pages or draw.random() < self.error_rate:
            return HTTPStatus.INTERNAL_SERVER_ERROR, latency * 2
        return HTTPStatus.OK, latency


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """Answer requests on a free port of the loopback interface inside the block; yield the address."""
    with _Server(behaviour) as server:
        threading.Thread(target=server.serve_forever, args=(0.2,), name="crm-api", daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviour = behaviour
        self._lock = threading.Lock()
        self._attempts: Counter[tuple[str, int]] = Counter()

    def next_answer(self, entity: str, offset: int) -> tuple[HTTPStatus, float]:
        with self._lock:
            attempt, serial = self._attempts[entity, offset], self._attempts.total()
            self._attempts[entity, offset] += 1
        return self.behaviour.answer(entity, offset, attempt=attempt, serial=serial)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: the terminal may show the dashboard."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"  # keeps the connection open between pages
    wbufsize = -1  # head and body in one packet: two small ones wait 40 ms for a delayed acknowledgement
    timeout = 60

    def do_GET(self) -> None:
        """Answer one request after its latency."""
        parts, behaviour = urlsplit(self.path), self.server.behaviour
        entity, _, action = parts.path.removeprefix("/v1/").partition("/")
        if entity not in behaviour.sizes or action not in ("", "count"):
            self._send(HTTPStatus.NOT_FOUND, {"error": "no such resource"})
            return
        query = dict(parse_qsl(parts.query))
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", 50))
        status, latency_s = self.server.next_answer(entity, -1 if action else offset)
        time.sleep(latency_s)
        if status is not HTTPStatus.OK:
            self._send(status, {"error": status.description})
        elif action:
            self._send(status, {"count": behaviour.sizes[entity]})
        else:
            last = min(offset + limit, behaviour.sizes[entity])
            self._send(status, {"items": [{"id": number + 1} for number in range(offset, last)]})

    def _send(self, status: HTTPStatus, payload: Mapping[str, object]) -> None:
        body = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status is HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("Retry-After", str(self.server.behaviour.retry_after_s))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: the sync records its requests itself."""
