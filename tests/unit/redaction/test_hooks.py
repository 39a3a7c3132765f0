"""What the interpreter prints by itself: nobody's exception, a thread's, a destructor's; warnings, and the streams."""

import io
import os
import subprocess
import sys
import threading
import warnings

import pytest

from ml_secrets.errors import Invalid
from ml_secrets.redaction.guards.streams import Text
from ml_secrets.redaction.leaks import Clean

VALUE = "sk-example-4f9d/7+Zq not a key"
HEAD = """
import os, sys, threading, warnings
from ml_secrets import redaction
value = os.environ["VALUE"]
redaction.know(openai=value)
"""


def run(program, *, only="[]", mode="mask"):
    """A program with guards, in an interpreter of its own."""
    text = f"{HEAD}redaction.install({mode!r}, only={only})\n{program}"
    return subprocess.run(
        [sys.executable, "-c", text],
        env=os.environ | {"VALUE": VALUE},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("raise ValueError(f'bad {value}')", "ValueError: bad [masked]"),
        (
            "try:\n    raise KeyError(value)\nexcept KeyError as e:\n    raise OSError(1, 'x') from e",
            "KeyError: '[masked]'",
        ),
        (
            "t = threading.Thread(target=lambda: 1/len([]) if not value else exec('raise ValueError(value)'))\nt.start(); t.join()",
            "ValueError: [masked]",
        ),
        ("class X:\n    def __del__(self): raise ValueError(value)\nx = X(); del x", "ValueError: [masked]"),
        ("sys.excepthook(ValueError, ValueError(value), None)", "ValueError: [masked]"),
    ],
)
def test_an_exception_that_nobody_caught(program, told):
    """The value does not show, the rest does, with the guard of exceptions alone."""
    done = run(program, only="['exceptions']")
    assert told in done.stderr
    assert VALUE not in done.stderr


def test_a_hook_that_was_there_gets_a_stand_in():
    """It sees the exception's type name, its masked text and the real traceback."""
    before = """
def mine(kind, error, trace): print(kind.__name__, error, error.args, trace.tb_lineno > 0)
def its(args): print("thread", args.exc_type.__name__, args.exc_value, args.thread is not None)
def gone(args): print("gone", args.exc_type.__name__, args.exc_value)
sys.excepthook, threading.excepthook, sys.unraisablehook = mine, its, gone
"""
    program = """
def fail(): raise ValueError(value)
t = threading.Thread(target=fail); t.start(); t.join()
class X:
    def __del__(self): fail()
x = X(); del x
fail()
"""
    text = HEAD + before + "redaction.install(only=['exceptions'])\n" + program
    done = subprocess.run(
        [sys.executable, "-c", text],
        env=os.environ | {"VALUE": VALUE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "thread ValueError [masked] True",
        "gone ValueError [masked]",
        "ValueError [masked] ('[masked]',) True",
    ]


def test_streams_of_a_program():
    """Whole, in pieces, as bytes under the text, without a newline at the end, and by a traceback printed later."""
    done = run(
        "print('a', value, 'b')\n"
        "for letter in value: sys.stdout.write(letter)\n"
        "print(end='.\\n', flush=True)\n"
        "sys.stdout.buffer.write(f'{value}\\n'.encode()); sys.stdout.flush()\n"
        "print(value, end='')\n"
        "sys.excepthook = sys.__excepthook__\n"
        "raise ValueError(value)",
        only="['streams']",
    )
    assert done.stdout == "a [masked] b\n[masked].\n[masked]\n[masked]"
    assert "ValueError: [masked]" in done.stderr
    assert VALUE not in done.stderr


def test_a_prompt_does_not_wait():
    """Text without a newline comes when it is flushed, and what only began as a value comes whole."""
    done = run(
        f"sys.stdout.write('login: '); sys.stdout.flush(); sys.stdout.write({VALUE[:9]!r} + ' is none\\n')"
    )
    assert done.stdout == f"login: {VALUE[:9]} is none\n"


def test_mode_fail_of_the_streams():
    """The print raises, and nothing of the value was written."""
    done = run("print('before')\nprint(value)\nprint('after')", mode="fail")
    assert done.stdout.startswith("before\n")
    assert VALUE not in done.stdout + done.stderr
    assert "after" not in done.stdout
    assert done.returncode == 1
    assert "Leaked: sys.stdout would have been given the value of openai" in done.stderr


def test_the_rest_of_a_stream_is_its_own(install, value):
    """Encoding, file descriptor, terminal or not: the stream answers itself; other characters and long texts come through whole."""
    under = io.TextIOWrapper(io.BytesIO(), "utf-8", newline="")
    stream = Text(under, Clean(), "here")
    assert stream.encoding == "utf-8"
    assert not stream.isatty()
    text = "grün \U0001f511 " * 5000
    assert stream.write(text) == len(text)
    stream.writelines([f"{value}\n", "end"])
    with stream:
        pass
    assert under.buffer.getvalue().decode() == f"{text}[masked]\nend"
    assert list(iter(stream)) == []


def test_many_threads_write_to_one_stream(install, value):
    """Each line stays whole."""
    under = io.StringIO()
    stream = Text(under, Clean(), "here")
    threads = [
        threading.Thread(target=lambda n=n: [stream.write(f"{n} {value} {i}\n") for i in range(50)])
        for n in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    lines = under.getvalue().splitlines()
    assert sorted(lines) == sorted(f"{n} [masked] {i}" for n in range(4) for i in range(50))


def test_warnings(install, value):
    """Shown, logged or recorded; the category stays."""
    install(only=["warnings"])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.warn(f"old key {value}", DeprecationWarning, stacklevel=1)
        warnings.warn("fine", stacklevel=1)
    assert [str(each.message) for each in seen] == ["old key [masked]", "fine"]
    assert seen[0].category is DeprecationWarning


def test_modes_and_guards_have_names(install):
    """Another is refused, and those there are told."""
    with pytest.raises(Invalid, match="one of mask, warn, fail"):
        install("loud")
    with pytest.raises(Invalid, match="one of logging, exceptions"):
        install(only=["loging"])
