"""Ignore every signal that can be ignored, in two sessions, and never end."""

import os
import signal
import time

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    print("child deaf", flush=True)
else:
    print("parent deaf", flush=True)
time.sleep(600)
