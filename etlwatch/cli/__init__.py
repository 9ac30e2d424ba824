"""The command line: the dashboard's answers as plain commands, and the deeds that need no dashboard.

One file a command group. What is written where belongs to `output`, which store is meant to `connect`, which run to
`selectors`, exit statuses to `entry`. Nothing here imports Textual; a command's module is loaded when it is called.
"""

from etlwatch.cli.entry import main

__all__ = ["main"]
