"""The demo's CRM API over real sockets: paging, throttling, errors, the same for the same seed."""

import contextlib
import http.client
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest

from etlwatch.demo.crm_sync import Behaviour, CrmClient, serving

CALM = Behaviour(latency_ms=0, throttle_rate=0, error_rate=0)


@contextlib.contextmanager
def client_of(behaviour: Behaviour) -> Iterator[CrmClient]:
    with serving(behaviour) as url, contextlib.closing(CrmClient(url)) as client:
        yield client


def test_pages_cover_an_entity_exactly_once() -> None:
    with client_of(CALM) as client:
        count = client.get("/v1/companies/count").payload["count"]
        ids = [
            item["id"]
            for offset in range(0, count, 100)
            for item in client.get(f"/v1/companies?offset={offset}&limit=100").payload["items"]
        ]
    assert ids == list(range(1, count + 1))


def test_a_page_behind_the_end_is_empty() -> None:
    with client_of(CALM) as client:
        assert client.get("/v1/contacts?offset=10000").payload["items"] == []


@pytest.mark.parametrize("endpoint", ["/v1/invoices", "/v1/contacts/7", "/"])
def test_a_wrong_question_is_refused_and_not_worth_repeating(endpoint: str) -> None:
    with client_of(CALM) as client:
        answer = client.get(endpoint)
    assert (answer.status, answer.error, answer.may_pass) == (404, "404 Not Found", False)


def test_a_throttled_request_has_a_retry_after() -> None:
    with client_of(Behaviour(latency_ms=0, throttle_rate=1, retry_after_s=7)) as client:
        answer = client.get("/v1/contacts?offset=0&limit=10")
    assert (answer.status, answer.retry_after_s, answer.may_pass) == (429, 7.0, True)


def test_a_broken_page_fails_each_time_and_its_neighbour_never() -> None:
    with client_of(
        Behaviour(latency_ms=0, throttle_rate=0, error_rate=0, broken_pages=frozenset({("contacts", 50)}))
    ) as client:
        broken = [client.get("/v1/contacts?offset=50&limit=50").status for _ in range(3)]
        neighbour = client.get("/v1/contacts?offset=100&limit=50").status
    assert (broken, neighbour) == ([500, 500, 500], 200)


def test_the_same_seed_brings_the_same_trouble_and_another_seed_other() -> None:
    def answers(seed: int) -> list[object]:
        behaviour = Behaviour(seed=seed, throttle_rate=0.2, error_rate=0.2)
        return [behaviour.answer("contacts", offset, attempt=0, serial=offset) for offset in range(100)]

    assert answers(3) == answers(3)
    assert answers(3) != answers(4)


def test_a_repeated_request_may_succeed_where_the_first_failed() -> None:
    behaviour = Behaviour(throttle_rate=0.5, error_rate=0)
    statuses = {behaviour.answer("contacts", 0, attempt=attempt, serial=attempt)[0] for attempt in range(20)}
    assert statuses == {HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS}


def test_latencies_vary_around_their_median() -> None:
    behaviour = Behaviour(latency_ms=80, throttle_rate=0, error_rate=0)
    latencies = sorted(behaviour.answer("contacts", offset, attempt=0, serial=0)[1] for offset in range(501))
    assert 0.07 < latencies[250] < 0.09
    assert latencies[-1] > 3 * latencies[0]


def test_the_latency_is_waited_for_before_the_answer() -> None:
    with client_of(Behaviour(latency_ms=200, throttle_rate=0, error_rate=0)) as client:
        began = time.monotonic()
        client.get("/v1/contacts?offset=0&limit=10")
    assert time.monotonic() - began > 0.05


def test_a_caller_that_hangs_up_does_not_disturb_the_next(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(CALM) as url:
        port = urlsplit(url).port
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port or 0)) as rude:
                rude.sendall(b"GET /v1/contacts?offset=0&limit=200 HTTP/1.1\r\n\r\n")
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            with contextlib.closing(CrmClient(url)) as odd:
                assert odd.get("/v1/contacts?offset=banana").status is None
        with contextlib.closing(CrmClient(url)) as client:
            assert client.get("/v1/contacts/count").status == 200
    assert capfd.readouterr().err == ""


def test_many_callers_at_once_are_all_answered() -> None:
    with serving(CALM) as url, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(CrmClient(url))) for _ in range(8)]
        assert [client.get("/v1/contacts/count").status for client in clients for _ in range(5)] == [200] * 40


def test_an_api_that_is_gone_is_an_answer_without_status() -> None:
    with serving(CALM) as url:
        pass
    answer = CrmClient(url).get("/v1/contacts/count")
    assert (answer.status, answer.may_pass) == (None, True)
    assert "ConnectionRefusedError" in (answer.error or "")


def test_a_lost_connection_is_opened_again_by_the_next_request() -> None:
    with client_of(CALM) as client:
        assert client.get("/v1/contacts/count").status == 200
        client._connection.sock.shutdown(socket.SHUT_RDWR)
        assert client.get("/v1/contacts/count").status is None
        assert client.get("/v1/contacts/count").status == 200


def test_a_body_of_another_kind_is_an_error_with_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    with client_of(CALM) as client:
        monkeypatch.setattr(http.client.HTTPResponse, "read", lambda self: b"<html>")
        answer = client.get("/v1/contacts/count")
    assert (answer.status, answer.may_pass) == (200, False)
    assert "JSONDecodeError" in (answer.error or "")
