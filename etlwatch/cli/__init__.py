"""The command line: what the dashboard shows and changes, as plain commands.

One file a command group. What is written where belongs to `output`, which store is meant to `connect`, which run to
`selectors`, exit statuses to `entry`. Nothing here imports Textual; a command's module is loaded when it is called.
"""
