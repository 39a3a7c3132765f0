"""sensitive.py: values that do not leave by accident."""

import copy
import pickle
import traceback

import pytest

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
