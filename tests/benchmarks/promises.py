"""The times of docs/promises.md while the store is hurt: calls (P1, P3), a restart (P4), an event loop (P7), leaving.

The same jobs with tracking off stand beside where the machine itself has a share: a call is then only as slow as the
system lets any process wait. Behaviour is tests/acceptance's business.
"""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable

from tests.benchmarks.hurting import Patient, end_of, patient, said_by
from tests.benchmarks.measuring import Effort, Finding, quantile
from tests.benchmarks.places import Places
from tests.support.waiting import wait_until
from tracking_core import SimpleETLTracker

DEADLINE_S = 1.0
"""Of the jobs here; the default of 5 s would only make the waiting longer."""

AFTER_S = 0.25
WHILE_DOWN_S = (1.0, 10.0)

CALLS = f"""
import json
tracker = SimpleETLTracker(DSN, deadline={DEADLINE_S})
took = []
def timed(call, *arguments):
    began = time.perf_counter()
    call(*arguments)
    took.append((time.perf_counter() - began) * 1000)
def at_first():
    run_id = tracker.start_run("hurt")
    tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    tracker.flush()
    return run_id
def ready():
    print("ready", flush=True)
    sys.stdin.readline()
"""

FIRST = """
ready()
timed(tracker.start_run, "down from the start")
print(json.dumps(took))
os._exit(0)
"""

PACED = """
run_id = at_first()
ready()
until = time.monotonic() + SECONDS
page = 0
while time.monotonic() < until:
    timed(tracker.log_request, run_id, "/a", page, 1, 200, 1, 1)
    page += 1
    if page % 100 == 0:
        timed(tracker.log_phase, run_id, "load", "running")
        timed(tracker.log_error, run_id, "an error")
    time.sleep(0.001)
timed(tracker.end_run, run_id, True)
print(json.dumps(took))
os._exit(0)
"""

IN_A_ROW = """
run_id = at_first()
ready()
for page in range(CALLS):
    timed(tracker.log_request, run_id, "/a", page, 1, 200, 1, 1)
print(json.dumps(took))
os._exit(0)
"""

LOOP = """
import asyncio
async def lags(seconds):
    found = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        due = time.perf_counter() + 0.001
        await asyncio.sleep(0.001)
        found.append((time.perf_counter() - due) * 1000)
        for page in range(20):
            tracker.log_request(run_id, f"/{page % 4}", page, 1, 200, 1, 1)
    return found
async def job():
    rounds = []
    for _ in range(ROUNDS):
        on = await lags(0.5)
        await asyncio.to_thread(tracker.flush)
        tracker.disable()
        rounds.append((on, await lags(0.5)))
        tracker.enable()
    return rounds
run_id = at_first()
ready()
print(json.dumps(asyncio.run(job())))
os._exit(0)
"""

LEAVING = """
trackers = [SimpleETLTracker(DSN) for _ in range(3)]
runs = [tracker.start_run("leaving") for tracker in trackers]
for tracker, run_id in zip(trackers, runs):
    tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    tracker.flush()
print("ready", flush=True)
sys.stdin.readline()
for tracker, run_id in zip(trackers, runs):
    if os.environ["TRACKING_DELIVERY"] == "buffered":
        tracker.log_request(run_id, "/a", 1, 1, 200, 1, 1)
print("leaving", flush=True)
"""

WAITING = """
tracker = SimpleETLTracker(DSN, deadline=60)
run_id = tracker.start_run("waiting")
print("ready", flush=True)
sys.stdin.readline()
print("leaving", flush=True)
tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
"""


def calls(places: Places, effort: Effort) -> list[Finding]:
    """P1 and P3: what a call takes while the store is down or hangs."""
    rounds = effort.rounds(9)
    with patient(places) as store:
        found = [
            _first_run(store, rounds, "refuses", store.proxy.refuse),
            _first_run(store, rounds, "is silent", store.silence),
            _over_the_deadline("P1 start_run, immediate: over the deadline", FIRST, store, store.silence, 3)[0],
        ]
        off = [_worst(store, effort, lambda: None, TRACKING_ENABLED="off") for _ in range(3)]
        for name, fault in store.faults.items():
            worst = [_worst(store, effort, fault) for _ in range(3)]
            found.append(
                Finding(
                    what=f"P3 worst buffered call, {name}",
                    ours=statistics.median(worst),
                    unit="ms",
                    peer="the same with tracking off",
                    theirs=statistics.median(off),
                    budget="≤ 5 ms",
                    met=statistics.median(worst) <= 5,
                )
            )
        for name, fault in store.faults.items():
            source = IN_A_ROW.replace("CALLS", "200")
            found += _over_the_deadline(f"P3 worst immediate call, {name}: over the deadline", source, store, fault, 1)
    return found


def _first_run(store: Patient, rounds: int, how: str, fault: Callable[[], None]) -> Finding:
    took = [_hurt(store, CALLS + FIRST, fault, TRACKING_DELIVERY="buffered")[0] for _ in range(rounds)]
    what = f"P1 start_run, buffered, the store {how}"
    usual, note = statistics.median(took), f"median of {rounds} jobs; the worst {max(took):.0f} ms"
    return Finding(what=what, ours=usual, unit="ms", budget="< 50 ms", met=usual < 50, note=note)


def _worst(store: Patient, effort: Effort, fault: Callable[[], None], **environ: str) -> float:
    source = CALLS + PACED.replace("SECONDS", "1" if effort.quick else "3")
    return float(max(_hurt(store, source, fault, TRACKING_DELIVERY="buffered", **environ)))


def _over_the_deadline(what: str, source: str, store: Patient, fault: Callable[[], None], rounds: int) -> list[Finding]:
    """Return how far the worst call goes beyond the deadline and, of many, what the breaker answers the others in."""
    took = [_hurt(store, CALLS + source, fault, TRACKING_DELIVERY="immediate") for _ in range(rounds)]
    over = statistics.median(map(max, took)) - DEADLINE_S * 1000
    found = [Finding(what=what, ours=over, unit="ms", budget="≤ 250 ms", met=over <= AFTER_S * 1000)]
    answers = sorted(took[0])[:-1]
    if answers:
        answer = statistics.median(answers)
        what = "  then the breaker's answer, spooled"
        found.append(Finding(what=what, ours=answer, unit="ms", budget="< 1 ms", met=answer < 1, note="median"))
    return found


def _hurt(store: Patient, source: str, fault: Callable[[], None], **environ: str) -> list[float]:
    try:
        found: list[float] = said_by(source, store.dsn, fault, **environ)
        return found
    finally:
        store.heal()


def coming_back(places: Places, effort: Effort) -> list[Finding]:
    """P4: from the moment at which a restarted server is ready to the first event in it."""
    found = []
    with patient(places) as store:
        for delivery in ("buffered", "immediate"):
            for seconds in WHILE_DOWN_S[: 1 if effort.quick else None]:
                took = [_back_after(store, delivery, seconds) for _ in range(3)]
                worst = max(took)
                what = f"P4 writing again, {delivery}, down for {seconds:g} s"
                found.append(
                    Finding(what=what, ours=worst, unit="s", budget="≤ 2 s", met=worst <= 2, note="worst of 3")
                )
    return found


def _back_after(store: Patient, delivery: str, seconds: float) -> float:
    tracker = SimpleETLTracker(store.dsn, delivery=delivery)  # type: ignore[arg-type]
    run_id = tracker.start_run("restarted")
    tracker.flush()
    store.server.stop()
    pages = iter(range(1_000_000))

    def log() -> None:
        tracker.log_request(run_id, "/a", next(pages), 1, 200, 1, 1)
        time.sleep(0.01)

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        log()
    store.server.start()
    ready = time.perf_counter()
    before = tracker.flush(0).sent

    def written() -> bool:
        log()
        return tracker.flush(0).sent > before

    wait_until(written, "something is written", timeout=60)
    took = time.perf_counter() - ready
    tracker.end_run(run_id, True)
    tracker.close()
    return took


def event_loop(places: Places, effort: Effort) -> list[Finding]:
    """P7: how late an event loop is that logs 20 requests each millisecond, beside the same loop with tracking off."""
    source = CALLS + LOOP.replace("ROUNDS", str(effort.rounds(40)))
    with patient(places) as store:
        rounds = said_by(source, store.dsn, TRACKING_DELIVERY="buffered")
    found = []
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        mine, theirs = (statistics.median(quantile(each[off], share) for each in rounds) for off in (0, 1))
        judged = name == "p99"
        found.append(
            Finding(
                what=f"P7 lag of an event loop, {name}",
                ours=mine,
                unit="ms",
                peer="the same with tracking off",
                theirs=theirs,
                budget="≤ 1 ms more" if judged else "",
                met=mine - theirs <= 1 if judged else None,
                note="median of turns of half a second" if judged else "",
            )
        )
    return found


def leaving(places: Places, effort: Effort) -> list[Finding]:
    """P3 ctrl-c, P8 and P9: from the signal, or the last line of the job, to the end of its process."""
    found = []
    with patient(places) as store:
        for name, fault in (("store works", lambda: None), *store.faults.items()):
            for delivery in ("buffered", "immediate"):
                environ = {"TRACKING_DELIVERY": delivery}
                ended = _ended(store, LEAVING + "time.sleep(60)", fault, signal.SIGTERM, **environ)
                found.append(_leaving(f"P8 SIGTERM to ended, {delivery}, {name}", ended))
                left = _ended(store, LEAVING, fault, None, **environ)
                found.append(_leaving(f"P9 leaving without an end, {delivery}, {name}", left))
                if effort.quick:
                    break
        took = [_ended(store, WAITING, fault, signal.SIGINT) for fault in store.faults.values()]
        worst = max(took)
        what = "P3 ctrl-c in a call that waits, to ended"
        found.append(
            Finding(what=what, ours=worst, unit="s", budget="< 1 s", met=worst < 1, note="worst of all faults")
        )
    return found


def _leaving(what: str, seconds: float) -> Finding:
    return Finding(what=what, ours=seconds, unit="s", budget="≤ 5 s", met=seconds <= 5)


def _ended(store: Patient, source: str, fault: Callable[[], None], number: int | None, **environ: str) -> float:
    try:
        return end_of(source, store.dsn, fault, number, **environ)
    finally:
        store.heal()
