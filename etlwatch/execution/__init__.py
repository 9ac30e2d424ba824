"""Any command as a tracked run: started, attended to its death, and its death certified. Behind `etlwatch exec`.

tracked.py    the whole of it: the run begins, the command runs, the run ends as the command did
process.py    the command as a child: its start, the signals passed on to it, its end
streams.py    its stdout and stderr on their way through, the last of each kept
memory.py     what the system says of memory: peak, limit, kills for want of it
outcome.py    what an end means: exit status, state of the run, the words of the certificate
"""
