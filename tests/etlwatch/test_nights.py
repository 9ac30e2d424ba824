"""A sample of generated nights: what is wrong is found, and hardly any healthy run is accused."""

from tests.nights.__main__ import measure
from tests.nights.faults import OF_COMPLETED
from tests.nights.living import FAULTS, living_lines, measure_living


def test_faults_are_found_and_healthy_runs_are_left_alone() -> None:
    tally = measure(12, 90, seed=7)
    assert tally.per_thousand < 10, tally.examples
    assert tally.faults.keys() == set(OF_COMPLETED)
    missed = {name: (tally.hits[name], tally.faults[name]) for name in OF_COMPLETED}
    assert tally.hits.total() >= 0.95 * tally.faults.total(), missed
    assert all(hits >= 0.75 * faults for hits, faults in missed.values()), missed


def test_faults_are_found_while_a_run_goes_on_and_healthy_runs_are_left_alone() -> None:
    tally = measure_living(8, 60, seed=7)
    assert tally.per_thousand < 10, living_lines(tally)
    assert tally.faults.keys() == set(FAULTS)
    assert tally.hits.total() >= 0.9 * tally.faults.total(), living_lines(tally)
