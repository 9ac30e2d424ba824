"""Any command as a tracked run: the code behind `etlwatch exec`.

tracked.py    the whole sequence, and the command as a child process: its start, signals passed on, its exit
streams.py    its stdout and stderr, passed on, the last bytes kept
outcome.py    how it ended: exit status, memory and kills by the kernel, state of the run, the error that is recorded
"""
