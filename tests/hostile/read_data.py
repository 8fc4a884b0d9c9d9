"""Print the hash of the data file, and what came of an attempt to change it."""

import errno
import hashlib
import os

path = os.environ["RUNNER_DATA_FILE"]
with open(path, "rb") as file:
    print(hashlib.sha256(file.read()).hexdigest())
for action in (lambda: open(path, "ab"), lambda: os.remove(path), lambda: open("/data/x", "w")):
    try:
        action()
        print("done")
    except OSError as error:
        print(errno.errorcode[error.errno or 0])
