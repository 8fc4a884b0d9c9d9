"""Write 10 MB as one line, and 10 MB as many lines on the other stream, without a pause."""

import os
import threading


def write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


lines = threading.Thread(target=write, args=(2, b"".join(b"%09d\n" % i for i in range(1000000))))
lines.start()
write(1, b"y" * 10000000 + b"\n")
lines.join()
