"""The fourteen runs of the pictures, put through our own formatting; and the pictures' grids."""

from dataclasses import dataclass
from pathlib import Path

from etlwatch.rendering.lines import Row
from etlwatch.text import numbers
from etlwatch.text.blocks import duration_bar, is_over, progress_bar
from etlwatch.text.display import UNICODE, Glyphs
from etlwatch.text.spans import Spans


def picture(name: str) -> list[str]:
    """Return the lines of a drawn screen."""
    return (Path(__file__).parent / "pictures" / f"{name}.txt").read_text(encoding="utf-8").splitlines()


@dataclass(frozen=True)
class Drawn:
    """What a picture shows of one run."""

    state: str
    job: str
    start: str
    seconds: float
    p95_s: float | None
    phase: str
    done: float | None
    requests: int
    items: int
    eta: str = ""
    progress: bool = False
    rate: float | str | None = ""
    errors: int = 0
    p95_ms: float | None = None
    note: str = ""
    offending: frozenset[str] = frozenset()


def _minutes(whole: int, seconds: int = 0) -> float:
    return whole * 60.0 + seconds


RUNS = [
    Drawn("lost", "crm_contacts_sync", "02:14", _minutes(58, 12), _minutes(57), "3/5 load", 0.41, 48_213, 413_000,
          progress=True, rate=None, errors=3, note="silent 14m, host is up", offending=frozenset({"note"})),
    Drawn("failed", "ads_metrics_pull", "02:10", _minutes(25, 3), _minutes(36), "3/3 load", 0.12, 31_010, 30_900,
          errors=207, p95_ms=1900, note="UniqueViolation (new)", offending=frozenset({"note", "err"})),
    Drawn("stalled", "warehouse_orders", "01:52", _minutes(80), _minutes(62), "4/6 enrich", 0.67, 10_400, 83_000,
          progress=True, rate=0.0, p95_ms=840, note="no item for 22m", offending=frozenset({"note"})),
    Drawn("throttled", "ads_metrics_pull", "02:40", _minutes(32, 44), _minutes(37), "2/3 fetch", 0.58, 22_200, 21_900,
          eta="03:31–03:58", progress=True, rate=3.1, errors=412, p95_ms=2900, note="429 31% since 02:58",
          offending=frozenset({"note", "rate", "p95"})),
    Drawn("slow", "crm_contacts_sync", "01:30", _minutes(102), _minutes(57), "3/5 load", 0.74, 91_200, 774_000,
          eta="03:40–03:55", progress=True, rate=12.4, errors=14, p95_ms=2900, note="load +46m, /contacts",
          offending=frozenset({"note", "p95"})),
    Drawn("running", "invoices_export", "03:01", _minutes(11, 42), _minutes(28), "2/4 fetch", 0.38, 8_120, 81_200,
          eta="03:29–03:34", progress=True, rate=11.9, p95_ms=310),
    Drawn("running", "product_catalog", "03:09", _minutes(3, 32), None, "1/2 fetch", 0.22, 1_904, 19_000,
          progress=True, rate=9.4, p95_ms=280),
    Drawn("running", "warehouse_orders", "03:11", _minutes(1, 1), _minutes(62), "1/6 list", 0.90, 311, 2_480,
          eta="04:02–04:20", progress=True, rate=5.1, p95_ms=330),
    Drawn("terminated", "product_catalog", "01:44", _minutes(1, 28), None, "1/2 fetch", 0.09, 802, 8_020, p95_ms=290,
          note="SIGTERM"),
    Drawn("completed", "invoices_export", "02:01", _minutes(25, 41), _minutes(28), "4/4", None, 18_800, 188_000,
          p95_ms=305),
    Drawn("completed", "warehouse_orders", "00:52", _minutes(55, 4), _minutes(61), "6/6", None, 14_900, 119_000,
          p95_ms=350),
    Drawn("completed", "ads_metrics_pull", "01:10", _minutes(33, 31), _minutes(36), "3/3", None, 32_100, 32_100,
          errors=11, p95_ms=610),
    Drawn("completed", "crm_contacts_sync", "00:30", _minutes(48, 41), _minutes(57), "5/5", None, 88_000, 750_000,
          p95_ms=790),
    Drawn("completed", "invoices_export", "01:01", _minutes(24, 50), _minutes(27), "4/4", None, 18_800, 188_000,
          p95_ms=301),
]  # fmt: skip

SLOW = 4
"""The place of the run under the cursor in the pictures."""

_INKS = {"lost": "red", "failed": "red", "stalled": "amber", "throttled": "amber", "slow": "amber"}


def cells_of(run: Drawn, glyphs: Glyphs = UNICODE) -> dict[str, Spans]:
    """Return the cells of one run for every layout."""
    ink = _INKS.get(run.state, "plain")
    gone = "plain" if run.progress else "dim"

    def number(key: str, text: str, role: str = "plain") -> Spans:
        return ((glyphs.text(text), ink if key in run.offending else role),) if text else ()

    over = run.p95_s is not None and is_over(run.seconds, run.p95_s)
    live = run.rate == "" or run.state == "completed"
    return {
        "state": ((f"{glyphs.state(run.state)} {run.state}", f"{ink} strong" if ink != "plain" else "plain"),),
        "job": ((run.job, "plain"),),
        "start": ((run.start, "dim"),),
        "time": ((numbers.duration(run.seconds), "plain"),),
        "bar": duration_bar(run.seconds, run.p95_s, runs=30 if run.p95_s else 3, glyphs=glyphs),
        "ratio": number("ratio", numbers.ratio(run.seconds / run.p95_s, only_above=True), "amber")
        if over and run.p95_s
        else (),
        "phase": ((run.phase, gone),),
        "progress": progress_bar(run.done, glyphs=glyphs) if run.progress else (),
        "done": ((numbers.percent(run.done), gone),) if run.done is not None else (),
        "eta": number("eta", run.eta),
        "req": number("req", numbers.count(run.requests)),
        "rate": number("rate", "" if live else numbers.rate(run.rate)),  # type: ignore[arg-type]
        "items": number("items", numbers.count(run.items)),
        "err": number("err", numbers.count(run.errors, blank_zero=True)),
        "p95": number("p95", numbers.duration_ms(run.p95_ms)),
        "note": number("note", run.note, "dim"),
    }


def drawn_rows(glyphs: Glyphs = UNICODE) -> list[Row]:
    """Return the fourteen rows, keyed by their place."""
    return [
        Row(key=place, cells=cells_of(run, glyphs), role="dim" if run.state == "completed" else "plain")
        for place, run in enumerate(RUNS)
    ]
