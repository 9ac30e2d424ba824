#!/bin/sh
# For cron: run a job as a tracked run, then report what needs somebody. cron sends a mail when something is printed.
# Run it: sh examples/cron_check.sh JOB COMMAND...
# In a crontab:  15 2 * * *  sh /opt/etl/cron_check.sh nightly-load /opt/etl/load.sh
set -u
job=$1
shift
output=$(etlwatch exec --job "$job" -- "$@" 2>&1)
status=$?
[ "$status" -eq 0 ] || printf '%s\n' "$output"
# 0 well, 1 warning, 2 critical, 3 the store cannot answer.
report=$(etlwatch check --job "$job") || printf '%s\n' "$report"
exit "$status"
