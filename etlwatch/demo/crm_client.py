"""Ask the CRM's HTTP API, one request at a time.

Owns the connection and the reading of answers: a refused connection, a time-out and a body that is no JSON
come back as an `Answer` too, because a sync counts and retries them like any other. How often to retry is
`crm_sync`'s part.
"""

import http.client
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from tracking_core.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one request came to."""

    status: int | None  # None when no answer arrived
    payload: Mapping[str, Any]  # empty unless the status is 200
    duration_ms: float
    retry_after_s: float | None  # what the server asked for, None when it asked for nothing
    error: str | None  # what went wrong, None for an answer that can be used

    @property
    def is_usable(self) -> bool:
        """Say whether the payload is what was asked for."""
        return self.error is None

    @property
    def may_pass(self) -> bool:
        """Say whether the same request may well succeed later."""
        return self.status is None or self.status == HTTPStatus.TOO_MANY_REQUESTS or self.status >= 500


class CrmClient:
    """One kept-open connection to the API, for one thread: `with CrmClient(url) as client`."""

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        """Remember where to connect; the connection is opened by the first request and reopened when lost."""
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, endpoint: str, **query: int) -> Answer:
        """Ask for one resource; never raises for what the network or the server does."""
        path = f"{endpoint}?{urlencode(query)}" if query else endpoint
        began = time.perf_counter()
        try:
            self._connection.request("GET", path, headers={"Accept": "application/json"})
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            # Whatever state the connection is in, the next request begins on a new one.
            self._connection.close()
            return _answer(None, began, error=f"{type(error).__name__}: {error}")
        if response.status != HTTPStatus.OK:
            return _answer(
                response.status,
                began,
                retry_after_s=retry_after_seconds(response.getheader("Retry-After"), now=datetime.now(UTC)),
                error=f"{response.status} {response.reason}",
            )
        try:
            payload = json.loads(body)
        except ValueError as error:
            return _answer(response.status, began, error=f"the answer is no JSON: {error}")
        if not isinstance(payload, dict):
            return _answer(response.status, began, error=f"the answer is no object but a {type(payload).__name__}")
        return _answer(response.status, began, payload=payload)


def _answer(
    status: int | None,
    began: float,
    *,
    payload: Mapping[str, Any] | None = None,
    retry_after_s: float | None = None,
    error: str | None = None,
) -> Answer:
    duration_ms = (time.perf_counter() - began) * 1000
    return Answer(
        status=status,
        payload=payload or {},
        duration_ms=duration_ms,
        retry_after_s=retry_after_s,
        error=error,
    )


def retry_after_seconds(header: str | None, *, now: datetime) -> float | None:
    """Read a Retry-After header, which holds seconds or an HTTP date; None for anything else."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError):
        return None
