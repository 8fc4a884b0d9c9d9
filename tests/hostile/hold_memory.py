"""Hold 64 MiB until standard input's end, or for a minute."""

import time

held = bytearray(b"x") * (64 << 20)
print("holding", flush=True)
time.sleep(60)
