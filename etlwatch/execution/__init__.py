"""Any command as a tracked run: the code behind `etlwatch exec`.

tracked.py    the whole sequence, the command as a child process, and its streams
outcome.py    how it ended: exit status, memory and kills by the kernel, state of the run, the error that is recorded
"""
