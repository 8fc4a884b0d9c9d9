"""Fill a folder until it is full; print how many bytes went in, and the error that ended it."""

import errno
import os
import sys

path = os.path.join(sys.argv[1], "filling")
size = 0
try:
    with open(path, "wb", buffering=0) as file:
        while size < 1 << 30:
            size += file.write(b"x" * 65536)
    print(size, "done")
except OSError as error:
    print(size, errno.errorcode[error.errno or 0])
os.remove(path)
