"""Whatever bytes come from outside: an error of our own tree or exactly what they say, in bounded time (parsers.py)."""

import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz.parsers import PARSERS
from tests.fuzz.seeds import PIECES, seeds_of

LONG = int(os.environ.get("FUZZ_EXAMPLES", "20000"))
ROOM = 8.0  # seconds of processor time for one input; the slowest bomb takes two here


@st.composite
def changed(draw, seeds):
    """A good input with up to five changes: pieces put in, parts taken out or doubled, bytes changed."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 12)))
        match draw(st.sampled_from(["piece", "take", "double", "byte", "bytes"])):
            case "piece":
                data[at:at] = draw(st.sampled_from(PIECES))
            case "take":
                del data[at:end]
            case "double":
                data[at:at] = data[at:end] * draw(st.integers(1, 3))
            case "byte" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case _:
                data[at:end] = draw(st.binary(max_size=6))
    return bytes(data)


def inputs(name):
    pieces = st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)
    return changed(seeds_of(name)) | pieces | st.binary(max_size=80) | st.text(max_size=40).map(str.encode)


def fuzz(name, examples):
    parse = PARSERS[name]
    seeds = seeds_of(name)
    for seed in seeds:
        parse(seed)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(inputs(name))
    def once(data):
        begun = time.thread_time()
        parse(data)
        assert time.thread_time() - begun < ROOM

    once()


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_or_refuses_any_bytes(name):
    """Everyday: some changed inputs for each parser."""
    fuzz(name, 150)


@pytest.mark.long
@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_or_refuses_any_bytes_for_long(name):
    """The same with many (FUZZ_EXAMPLES says how many)."""
    fuzz(name, LONG)


FOUND = [
    ("requests", b'\x01sys/batch\n\n\n{"paths": ["\x80secret/data/a"]}'),
    ("policies", b'{"path": {"x": {"required_parameters": ["\\ud800"]}}}'),
    ("configuration_json", b'{"a":' * 5000),
    ("imports_json", b'{"a": 1e-' + b"1" * 400 + b"}"),
    ("imports_yaml", b"a: &a {b: *a}\n"),
]
"""What escaped once."""


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_escaped_once_does_no_more(name, data):
    """Inputs that brought about an error of no tree of ours, or an endless answer, when they were first tried."""
    PARSERS[name](data)


BOMBS = {
    "open brackets": b"[" * 100_000,
    "open braces": b'{"a":' * 20_000,
    "closed": b"[" * 50_000 + b"]" * 50_000,
    "quotes": b'"' * 100_000,
    "escapes": b'"' + b"\\" * 100_000,
    "stars": b"/*" + b"*" * 60_000,
    "slashes": b"/" * 100_000,
    "digits": b"9" * 100_000,
    "dots": b"1." * 50_000,
    "keys": b"{" + b",".join(b'"k%d":1' % n for n in range(15_000)) + b"}",
    "lines": b"\n" * 100_000,
    "equals": b"a=" * 50_000,
    "assignments": b"A=1\n" * 30_000,
    "percent": b"%41" * 40_000,
    "spaces": b" " * 100_000,
    "anchors": b"a: &a [x]\n"
    + b"".join(b"b%d: &b%d [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" % (n, n) for n in range(2000)),
    "laughs": b"a0: &a0 [x,x]\n"
    + b"".join(b"a%d: &a%d [*a%d,*a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 40)),
    "colons": b"a:" * 50_000,
    "indents": b"".join(b" " * n + b"a:\n" for n in range(400)),
    "units": b"1h" * 50_000,
    "quoted keys": b'"a" ' * 30_000 + b"{}",
    "commas": b"[1" + b",1" * 50_000 + b"]",
    "comments": b"#" * 100_000,
    "records": (b'{"type":"request","seq":1,"prev":"' + b"0" * 64 + b'","mac":"' + b"0" * 64 + b'"}\n') * 500,
}


@pytest.mark.parametrize("name", PARSERS)
def test_117_no_bomb_takes_long(name):
    """Check 117: large inputs made to be slow: refused or taken, each in a few seconds of processor time at most."""
    for what, bomb in BOMBS.items():
        begun = time.thread_time()
        PARSERS[name](bomb)
        assert time.thread_time() - begun < ROOM, what
