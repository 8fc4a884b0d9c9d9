"""Take memory without end; with an argument, in a child, and tell how that one ended."""

import subprocess
import sys
import time

if len(sys.argv) > 1:
    print("child", subprocess.call([sys.executable, __file__]), flush=True)
    sys.exit(0)
taken = []
while True:
    taken.append(bytearray(b"x") * (4 << 20))
    time.sleep(0.005)
