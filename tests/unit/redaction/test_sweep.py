"""What is made of texts is masked, built anew only where it must be, and never asked to print itself."""

import dataclasses
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

from ml_secrets import Sensitive
from ml_secrets.redaction import redact


class Pair(NamedTuple):
    one: Any
    other: Any


@dataclasses.dataclass(frozen=True)
class Config:
    url: str
    size: int = 3


class Silent:
    def __repr__(self):
        raise AssertionError("nobody may ask")


def test_text_and_bytes_and_what_is_made_of_them(value):
    """Keys and values, lists, tuples, sets, named tuples, dataclasses and paths."""
    assert redact(f"key={value}.") == "key=[masked]."
    assert redact(value.encode()) == b"[masked]"
    assert redact(bytearray(value.encode())) == bytearray(b"[masked]")
    assert redact({value: [value], "n": (1, {value})}) == {"[masked]": ["[masked]"], "n": (1, {"[masked]"})}
    assert redact(Pair(value, 1)) == Pair("[masked]", 1)
    assert redact(Config(f"https://{value}@host")) == Config("https://[masked]@host")
    assert redact(Path("runs") / value.replace("/", "_")) == Path("runs") / value.replace("/", "_")
    assert redact(Path(value) / "log") == Path("[masked]") / "log"
    assert type(redact(OrderedDict(a=value))) is OrderedDict


def test_what_holds_none_is_the_same_object(value):
    """Nothing is copied, and nobody's `repr` is called."""
    things = {"a": [1, 2.5, None, True, "text", b"bytes", Path("x")], "b": Silent(), "c": Sensitive(value)}
    assert redact(things) is things


def test_the_callers_objects_stay_as_they_are(value):
    """Masked is a copy."""
    mine = {"a": [value]}
    assert redact(mine) == {"a": ["[masked]"]}
    assert mine == {"a": [value]}


def test_a_number_that_is_a_value_is_masked(value):
    """A pin of many digits is a value like another; other numbers stay numbers."""
    from ml_secrets.redaction import know

    know(pin="4471936252")
    assert redact([4471936252, 44719, 2.5]) == ["[masked]", 44719, 2.5]


def test_what_holds_itself_or_is_too_deep_comes_to_an_end(value):
    """A list in itself is walked once; a tower of a thousand lists is cut."""
    loop = ["fine"]
    loop.append(loop)
    assert redact(loop) is loop
    tower = value
    for _ in range(1000):
        tower = [tower]
    assert value not in repr(redact(tower))


def test_text_that_no_utf_8_has_is_walked_all_the_same(value):
    """Lone surrogates, as undecodable file names have them."""
    assert redact("\udc80") == "\udc80"
    assert redact(f"\udc80{value}").endswith("[masked]")
