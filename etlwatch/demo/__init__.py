"""Real jobs to watch: what `etlwatch demo` runs.

The three jobs may be copied: they use only the public API of `tracking_core`, and what `jobs` has for all of them.
"""
