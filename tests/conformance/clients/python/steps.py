"""What each program prints: a line for each thing that its client did. The first that fails ends the program."""

import contextlib
import os

AT = dict(os.environ)
USER = {"user": "ada", "password": "fake-app-password"}


@contextlib.contextmanager
def step(name):
    yield
    print(f"ok {name}")


@contextlib.contextmanager
def refused(kind, text=""):
    """What happens inside raises this kind of error, with this text."""
    told = None
    try:
        yield
    except kind as error:
        told = str(error)
    assert told is not None, f"{kind.__name__} was not raised"
    assert text in told, told
