"""Any command as a tracked run: the code behind `etlwatch exec`.

tracked.py    the whole sequence: the run starts, the command runs, the run ends as the command did
process.py    the command as a child process: its start, signals passed on, its exit
streams.py    its stdout and stderr, passed on, the last bytes kept
memory.py     memory: its peak, the limit, and kills by the kernel
outcome.py    what an exit means: exit status, state of the run, the error that is recorded
"""
