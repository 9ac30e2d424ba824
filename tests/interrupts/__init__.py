"""Exceptions raised from outside inside every public method: `python -m tests.interrupts`."""
