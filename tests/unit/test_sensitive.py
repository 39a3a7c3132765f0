"""sensitive.py: values that do not leave by accident."""

import copy
import inspect
import io
import pickle
import sys
import traceback

import pytest
import rich
from rich.console import Console

from ml_secrets.sensitive import MASK, Sensitive

VALUE = "fake-secret-value"


def test_it_prints_as_dots():
    """Whichever way it is made text, also within something else."""
    secret = Sensitive(VALUE)
    for text in (str(secret), repr(secret), f"{secret}", f"{secret:>10}", f"{[secret]}"):
        assert MASK in text
        assert VALUE not in text


def test_text_and_bytes_are_given_back():
    """Each as what it is, and as the other."""
    assert (Sensitive("caf\u00e9").reveal(), Sensitive("caf\u00e9").reveal_bytes()) == (
        "caf\u00e9",
        b"caf\xc3\xa9",
    )
    assert (Sensitive(b"caf\xc3\xa9").reveal(), Sensitive(b"\xff").reveal_bytes()) == ("caf\u00e9", b"\xff")


@pytest.mark.parametrize(
    "use",
    [
        lambda: Sensitive(VALUE.encode() + b"\xff").reveal(),
        lambda: Sensitive(VALUE + "\udcff").reveal_bytes(),
    ],
)
def test_a_value_that_is_no_text_is_not_in_the_error(use):
    """Neither in its words nor in what it carries or was raised from."""
    with pytest.raises(ValueError, match="not UTF-8 text") as caught:
        use()
    error = caught.value
    assert (type(error), error.__cause__, error.__context__) == (ValueError, None, None)
    assert VALUE not in "".join(traceback.format_exception(error))
    tale = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert [frame.name for frame in tale.stack if VALUE in str(frame.locals)] == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_traceback_that_looks_up_attributes_shows_no_value():
    """cgitb prints what `self.x` stands for wherever a line that raised names it."""
    cgitb = pytest.importorskip("cgitb")
    planted = Sensitive(bytes([255]) + VALUE.encode())
    try:
        planted.reveal()
    except ValueError:
        shown = cgitb.text(sys.exc_info())
    assert "sensitive.py" in shown
    assert VALUE not in shown


def test_what_lists_attributes_does_not_find_it():
    """Neither inspection for people nor serialisers that take an object to pieces."""
    secret, told = Sensitive(VALUE), io.StringIO()
    rich.inspect(secret, console=Console(file=told, width=200), private=True, dunder=True)
    assert MASK in told.getvalue()
    assert VALUE not in told.getvalue() + repr(inspect.getmembers(secret))
    with pytest.raises(TypeError, match="does not pickle"):
        secret.__getstate__()


def test_equal_values_are_equal():
    """Text and bytes of one value, too; nothing else is."""
    assert Sensitive("a") == Sensitive(b"a")
    assert Sensitive("a") != Sensitive("b")
    assert Sensitive("a") != "a"
    assert not Sensitive("")
    assert Sensitive("a")


def test_it_neither_pickles_nor_hashes():
    """A copy within the process is the same object."""
    secret = Sensitive(VALUE)
    for refused in (lambda: pickle.dumps(secret), lambda: hash(secret)):
        with pytest.raises(TypeError) as caught:
            refused()
        assert VALUE not in str(caught.value)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
