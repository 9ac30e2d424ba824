"""A local HTTP API of a CRM, with paging, latency, rate limiting and errors like a real one.

Errors are drawn from a seed and the request, never from the time, so that each sync meets the same ones.

    GET /v1/contacts?offset=100&limit=50   ->  {"offset": 100, "limit": 50, "items": […]}
    GET /v1/contacts/count                 ->  {"count": 1900}
"""

import argparse
import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit

from tracking_core.dataclass import dataclass, field

Record = dict[str, str | int | None]

# fmt: off
_GIVEN: Final = (
    "Ada", "Björn", "Chloé", "Dmitri", "Esra", "Finn", "Gözde", "Hana", "Íris", "João",
    "Kenji", "Leïla", "Małgorzata", "Nguyễn", "Oluwaseun", "Priya", "Renée", "Siobhán",
    "Tomáš", "Zoë", "محمد", "李娜", "Елена", "유나",
)
_FAMILY: Final = (
    "Ångström", "Bakker", "Çelik", "Dvořák", "Eriksen", "Fernández", "García", "Hansen",
    "Ionescu", "Jansen", "Kowalski", "López", "Müller", "Novák", "O'Brien",
    "Papadopoulos", "Schmidt", "Tanaka", "Wójcik", "陈", "حداد",
)
_BUSINESS: Final = (
    "Foods", "Logistics", "Optics", "Energie", "Textiles", "Robotics", "Pharma",
    "Ceramics", "Media", "Marine",
)
_FORM: Final = (
    "GmbH", "Ltd", "S.A.", "AB", "株式会社", "Oy", "Inc.", "B.V.",
)
# fmt: on
_STAGE: Final = ("lead", "qualified", "proposal", "won", "lost")


def contact(number: int) -> Record:
    """Return one person; every eleventh has no address."""
    given, family = _GIVEN[number * 7 % len(_GIVEN)], _FAMILY[number * 5 % len(_FAMILY)]
    return {
        "id": number + 1,
        "given_name": given,
        "family_name": family,
        "email": None if number % 11 == 10 else f"contact{number + 1}@example.com",
        "company_id": number * 3 % 400 + 1,
    }


def company(number: int) -> Record:
    """Return one company."""
    family, business = _FAMILY[number * 3 % len(_FAMILY)], _BUSINESS[number * 7 % len(_BUSINESS)]
    return {
        "id": number + 1,
        "name": f"{family} {business} {_FORM[number % len(_FORM)]}",
        "employees": number * 37 % 5000,
    }


def opportunity(number: int) -> Record:
    """Return one possible sale; amounts are in cents."""
    return {
        "id": number + 1,
        "contact_id": number * 13 % 1800 + 1,
        "stage": _STAGE[number * 3 % len(_STAGE)],
        "amount": number * 7919 % 9_000_000,
    }


MAKERS: Final[Mapping[str, Callable[[int], Record]]] = {
    "contacts": contact,
    "companies": company,
    "opportunities": opportunity,
}


LARGEST_PAGE = 200
_SIZES: Mapping[str, int] = {"contacts": 1900, "companies": 430, "opportunities": 1120}
# Of four groups of twenty requests one has more errors, so that charts and retries show something.
_STRETCH = 20
_BAD_STRETCH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one request is answered."""

    status: HTTPStatus
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the API answers.

    `latency_ms` is the median of a log-normal distribution (0: answers at once); rates are between 0 and 1;
    `broken_pages` are (entity, offset) pairs that always answer 500.
    """

    seed: int = 1
    sizes: Mapping[str, int] = field(default_factory=lambda: dict(_SIZES))
    latency_ms: float = 60.0
    throttle_rate: float = 0.02
    error_rate: float = 0.02
    retry_after_s: int = 1
    broken_pages: frozenset[tuple[str, int]] = frozenset()

    def answer(self, entity: str, offset: int, *, attempt: int, serial: int) -> Answer:
        """Draw the answer to the `attempt`-th request for a page, the `serial`-th of all (both from 0)."""
        draw = random.Random(f"{self.seed}/{entity}/{offset}/{attempt}")
        bad = serial // _STRETCH % (_BAD_STRETCH + 1) == _BAD_STRETCH
        latency = self.latency_ms / 1000 * draw.lognormvariate(0.0, 0.5) * (3 if bad else 1)
        if draw.random() < min(1.0, self.throttle_rate * (6 if bad else 1)):
            # A rate limiter rejects requests before any work is done.
            return Answer(status=HTTPStatus.TOO_MANY_REQUESTS, latency_s=latency / 10)
        if (entity, offset) in self.broken_pages or draw.random() < self.error_rate:
            return Answer(status=HTTPStatus.INTERNAL_SERVER_ERROR, latency_s=latency * 2)
        return Answer(status=HTTPStatus.OK, latency_s=latency)


class CrmApi:
    """The running API: `with CrmApi(Behaviour(seed=3)) as api: …api.url…`."""

    def __init__(self, behaviour: Behaviour | None = None, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Open a free port of the loopback interface; `with` or `serve()` starts answering."""
        self._server = _Server(behaviour or Behaviour(), sleep)
        self._thread = threading.Thread(target=self.serve, name="crm-api", daemon=True)

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def serve(self) -> None:
        """Answer requests in the calling thread until the process ends or `with` is left."""
        self._server.serve_forever(poll_interval=0.05)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, behaviour: Behaviour, sleep: Callable[[float], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviour = behaviour
        self.sleep = sleep
        self._lock = threading.Lock()  # guards the two counts below
        self._asked: Counter[tuple[str, int]] = Counter()
        self._serial = 0

    def next_answer(self, entity: str, offset: int) -> Answer:
        with self._lock:
            attempt, serial = self._asked[entity, offset], self._serial
            self._asked[entity, offset] += 1
            self._serial += 1
        return self.behaviour.answer(entity, offset, attempt=attempt, serial=serial)

    def handle_error(
        self,
        request: socket.socket | tuple[bytes, socket.socket],
        client_address: tuple[str, int] | str,
    ) -> None:
        # A client that disconnects is no reason for a traceback on the terminal.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"  # keeps the connection open between pages
    wbufsize = -1  # head and body in one packet: two small ones wait 40 ms for a delayed acknowledgement
    timeout = 60

    def do_GET(self) -> None:
        """Answer one request after its latency."""
        parts = urlsplit(self.path)
        version, _, rest = parts.path.removeprefix("/").partition("/")
        entity, _, action = rest.partition("/")
        if version != "v1" or entity not in self.server.behaviour.sizes or action not in ("", "count"):
            self._send(HTTPStatus.NOT_FOUND, {"error": "no such resource"})
            return
        query = parse_qs(parts.query)
        try:
            offset, limit = int(query.get("offset", ["0"])[0]), int(query.get("limit", ["50"])[0])
        except ValueError:
            offset = limit = -1
        if offset < 0 or not 1 <= limit <= LARGEST_PAGE:
            self._send(HTTPStatus.BAD_REQUEST, {"error": f"offset from 0, limit from 1 to {LARGEST_PAGE}"})
            return
        answer = self.server.next_answer(entity, -1 if action else offset)
        if answer.latency_s > 0:
            self.server.sleep(answer.latency_s)
        if answer.status is HTTPStatus.TOO_MANY_REQUESTS:
            self._send(answer.status, {"error": "slow down"}, retry_after=self.server.behaviour.retry_after_s)
        elif answer.status is not HTTPStatus.OK:
            self._send(answer.status, {"error": "something went wrong on our side"})
        elif action:
            self._send(answer.status, {"count": self.server.behaviour.sizes[entity]})
        else:
            last = min(offset + limit, self.server.behaviour.sizes[entity])
            items = [MAKERS[entity](number) for number in range(offset, last)]
            self._send(answer.status, {"offset": offset, "limit": limit, "items": items})

    def _send(self, status: HTTPStatus, payload: Mapping[str, object], *, retry_after: int | None = None) -> None:
        body = json.dumps(payload, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: the sync records its requests itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the process is ended; the address is the first line on stdout."""
    parser = argparse.ArgumentParser(prog="crm-api", description="Serve the demo's CRM on a free local port.")
    parser.add_argument("--seed", type=int, default=1, help="selects which requests fail")
    parser.add_argument("--latency", type=float, default=60.0, metavar="MS", help="median time of an answer")
    parser.add_argument(
        "--broken-page", action="append", default=[], metavar="ENTITY:OFFSET", help="always answers 500"
    )
    parser.add_argument("--retry-after", type=int, default=1, metavar="S", help="how long a throttled caller waits")
    options = parser.parse_args(arguments)
    broken = [page.partition(":") for page in options.broken_page]
    behaviour = Behaviour(
        seed=options.seed,
        latency_ms=options.latency,
        retry_after_s=options.retry_after,
        broken_pages=frozenset((entity, int(offset)) for entity, _, offset in broken),
    )
    api = CrmApi(behaviour)
    sys.stdout.write(api.url + "\n")
    sys.stdout.flush()
    api.serve()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
