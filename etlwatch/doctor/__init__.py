"""`etlwatch doctor`: the promises that are safe to try, tried against the user's own store.

    patient → checks (gather, then a pure judge_… each) → findings → the command line

Knows no terminal and no command line. What it writes to a store it removes again by its own ids.
"""
