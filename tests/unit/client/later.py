"""What happens while a test waits for it."""

import contextlib
import threading


@contextlib.contextmanager
def later(work, *arguments):
    """Do it while the test waits."""
    timer = threading.Timer(0.3, work, arguments)
    timer.start()
    try:
        yield
    finally:
        timer.join()
