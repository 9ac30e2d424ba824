"""A local HTTP API of a CRM, with paging, latency, rate limiting and errors like a real one.

Errors are drawn from a seed and the request, never from the time, so that each sync meets the same ones.

    GET /v1/contacts?offset=100&limit=50   ->  {"items": […]}
    GET /v1/contacts/count                 ->  {"count": 1900}
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from tracking_core.dataclass import dataclass, field

SIZES: Final[Mapping[str, int]] = {"contacts": 1900, "companies": 430, "opportunities": 1120}

# Of four groups of twenty requests one has more errors, so that charts and retries show something.
_GROUP: Final = 20
_BAD_GROUP: Final = 3


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
