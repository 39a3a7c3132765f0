"""What comes true in a moment, on a busy machine in a little more."""

import time

SOON = 20.0
"""Seconds after which it was not to be. Nothing that is well takes so long."""


def eventually(holds):
    """Does it come true?"""
    deadline = time.monotonic() + SOON
    while not (found := holds()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found
