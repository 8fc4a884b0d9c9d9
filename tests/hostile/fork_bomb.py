"""Fork without end. Every process goes on; each tells once that it was refused."""

import os
import time

told = False
while True:
    try:
        os.fork()
    except OSError as error:
        if not told:
            os.write(1, f"refused: {error.strerror}\n".encode())
            told = True
        time.sleep(0.01)
