"""Real jobs to watch: what `etlwatch demo` runs, and what a new user may copy from.

Three jobs, each a program of its own that uses nothing but the public API of `tracking_core`:

- `inventory` reads the metadata and files of every Python distribution on this machine;
- `crm_sync` pages through a local HTTP API that throttles and fails now and then (`crm_api`);
- `conversation_import` runs the extractor, transformer and loader of `conversations` over a chat export.

`runner` starts them as processes. Nothing in here knows the dashboard, and no job knows the runner.
"""
