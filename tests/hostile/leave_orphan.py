"""Leave a process behind that holds both streams open, and end well."""

import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
print("parent done", flush=True)
