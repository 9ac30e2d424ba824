"""`python -m tests.benchmarks SUITE [--json] [--quick]`: the budgets of docs/performance.md, each beside its peer.

Owns the suites' names and their order. Nothing here is asserted by the test suite: a busy machine misses budgets that
an idle one meets.
"""

from __future__ import annotations

import argparse
import sys

from tests.benchmarks import (
    commands,
    imports,
    promises,
    reading,
    reading_charts,
    reading_fleet,
    removing,
    screen,
    screen_bytes,
    screen_soak,
    table,
    write_batches,
    write_calls,
    write_immediate,
    write_together,
)
from tests.benchmarks.measuring import Effort, Finding
from tests.benchmarks.places import Topic, also_in_memory, as_shipped, open_places

SUITES: dict[str, dict[str, Topic]] = {
    "write": {
        "calls": write_calls.findings,
        "immediate": also_in_memory(write_immediate.findings),
        "batches": also_in_memory(write_batches.findings),
        "together": also_in_memory(write_together.findings),
        "import": lambda places, effort: imports.findings(effort),
    },
    "read": {
        "polls": as_shipped(reading.findings),
        "charts": as_shipped(reading_charts.findings),
        "fleet": as_shipped(reading_fleet.findings),
    },
    "commands": {"growth": commands.growth, "living": commands.living},
    "keep": {"clean-up": removing.findings},
    "promises": {
        "calls": promises.calls,
        "back": promises.coming_back,
        "loop": promises.event_loop,
        "leaving": promises.leaving,
    },
    "screen": {
        "start": screen.start,
        "rest": screen.rest,
        "keys": screen.keys,
        "slow": screen.slow,
        "bytes": screen_bytes.sizes,
        "link": screen_bytes.slow_link,
        "soak": screen_soak.findings,
    },
}


def main() -> int:
    """Measure a suite and print its table; exit status 1 when a budget was missed."""
    arguments = _arguments()
    effort = Effort(quick=arguments.quick)
    topics = SUITES[arguments.suite]
    findings: list[Finding] = []
    with open_places() as places:
        for name in arguments.only or topics:
            sys.stderr.write(f"{arguments.suite}: {name} …\n")
            findings += topics[name](places, effort)
        surroundings = {**places.surroundings(), "effort": effort.error}
    print((table.as_json if arguments.json else table.as_text)(findings, surroundings))
    return int(any(finding.met is False for finding in findings))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure the budgets.")
    suites = parser.add_subparsers(dest="suite", required=True)
    for suite, topics in SUITES.items():
        command = suites.add_parser(suite)
        command.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
        command.add_argument("--quick", action="store_true", help="do less of everything; rougher figures")
        command.add_argument("--only", action="append", choices=tuple(topics), help="one topic; may be repeated")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
