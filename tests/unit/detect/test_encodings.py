"""Every form of a value: what real tools write is masked."""

import base64
import html
import json
import os
import random
import re
import shlex
import shutil
import string
import subprocess
import sys
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_secrets.detect.encodings import BLOCK, ENCODINGS, forms_of
from ml_secrets.detect.known import KnownValues
from ml_secrets.detect.mask import masked

MARK = "[masked]"


def key(lines):
    """A made-up private key."""
    letters = random.Random(lines)
    body = ["".join(letters.choices(string.ascii_letters + string.digits + "+/", k=64)) for _ in range(lines)]
    return "\n".join(("-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----")) + "\n"


VALUES = {
    "letters": "hunter2fakeABC",
    "signs": "p@ss w'ord\"$x`/\\<&>=+%~!#{}[]|;:,?*^()",
    "other scripts": "pässwörd-Zürich-€-😀-x",
    "a quote": "it's-a-fake",
    "at home": "~#home/fake",
    "long": "".join(random.Random(1).choices(string.ascii_letters + "+/=", k=150)),
    "key": key(3),
    "lines": "line-one-x1\nline two 'y2'\n",
    "control": "abc\x01\x1bdef\tghi\x7f-fake",
}
PYTHON = [sys.executable, "-c"]
BASH = ["bash", "-c"]
TOOLS = {
    "env": ["env"],
    "printf %q": [*BASH, 'printf %q "$V"'],
    "${V@Q}": [*BASH, "echo ${V@Q}"],
    "set -x": [*BASH, 'set -x; : "$V" before"$V"after'],
    "declare -p": [*BASH, "declare -p V"],
    "dash -x": ["dash", "-xc", ': "$V"'],
    "base64": [*BASH, 'printf %s "$V" | base64'],
    "base64 of a line": [*BASH, 'echo "$V" | base64'],
    "base64 in one line": [*BASH, 'echo "$V" | base64 -w0'],
    "base64 of openssl": [*BASH, 'printf %s "$V" | openssl base64'],
    "xxd": [*BASH, 'printf %s "$V" | xxd -p'],
    "jq": ["jq", "-n", "env.V, {V: env.V} | tojson"],
    "jq -a": ["jq", "-an", "env.V"],
    "jq @uri": ["jq", "-rn", "env.V|@uri"],
    "jq @html": ["jq", "-rn", "env.V|@html"],
    "jq @sh": ["jq", "-rn", "env.V|@sh"],
    "jq @csv": ["jq", "-rn", "[env.V]|@csv"],
    "node": ["node", "-e", "const v = process.env.V; console.log(JSON.stringify(v), [v], {v})"],
    "encodeURI": ["node", "-e", "const v = process.env.V; console.log(encodeURIComponent(v), encodeURI(v))"],
    "perl": ["perl", "-MData::Dumper", "-e", "print Dumper($ENV{V})"],
    "repr": [*PYTHON, "import os; v = os.environ['V']; print(repr(v), ascii(v), v.encode(), ['\\'\"' + v])"],
    "yaml": [*PYTHON, "import os, yaml; print(yaml.safe_dump({'v': os.environ['V']}, width=1e6))"],
    "yaml in UTF-8": [
        *PYTHON,
        "import os, yaml; print(yaml.safe_dump({'v': os.environ['V']}, width=1e6, allow_unicode=True))",
    ],
}


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("name", VALUES)
def test_what_tools_print_is_masked(name, tool, locale):
    """What is left is no longer than what the tool prints for no value at all, and some quotes and escapes around each line."""
    if not shutil.which(TOOLS[tool][0]):
        pytest.skip(f"{TOOLS[tool][0]} is not installed")
    value = VALUES[name]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": locale, "PYTHONIOENCODING": "utf-8"}
    printed = {}
    for variable in (value, ""):
        ran = subprocess.run(TOOLS[tool], env={**environment, "V": variable}, capture_output=True, check=True)
        printed[variable] = ran.stdout + ran.stderr
    out = masked(printed[value], KnownValues({name: value}))
    assert out != printed[value]
    left = re.sub(rb"\[masked\]|-----[A-Z ]+-----", b"", out)
    assert len(left) <= len(printed[""]) + 8 * (1 + printed[value].count(b"\n")), out


"""What encoders of Python write: each is applied to a text around the value, and its own text around the mask must come out."""
ENCODERS = {
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "percent": urllib.parse.quote_plus,
    "percent, path": urllib.parse.quote,
    "HTML": html.escape,
    "ascii": lambda text: ascii(text + "\"'")[1:-4],
    "repr": lambda text: repr(text + '"')[1:-2],
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "SQL": lambda text: text.replace("'", "''"),
}
TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
VALUE = st.text(st.characters(codec="utf-8"), min_size=6, max_size=40).filter(
    lambda text: len(text.encode()) >= 6 and len(set(text.encode())) > 2 and len(text.strip().encode()) >= 6
)


@pytest.mark.parametrize("encoder", ENCODERS)
@settings(deadline=None)
@given(value=VALUE, before=TEXT, after=TEXT)
def test_what_encoders_write_is_masked(encoder, value, before, after):
    """Any text, between any other texts: the encoder's text for the value is masked within the encoder's text for all."""
    encode = ENCODERS[encoder]
    out = masked(encode(before + value + after), KnownValues([value]))
    assert MARK in out
    assert encode(value.strip()) not in out


@settings(deadline=None)
@given(value=st.binary(min_size=6, max_size=60), before=st.binary(max_size=5), after=st.binary(max_size=5))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode], ids=["standard", "URL"])
def test_base64_is_masked_at_every_alignment(encode, value, before, after):
    """Of a value in the base64 of a longer text, one character at each end is left at most, and it has bits of a neighbour."""
    if len(set(value)) < 3 or len(value.strip()) < 6:
        return
    out = masked(encode(before + value + after), KnownValues([value]))
    first, _, last = out.partition(MARK.encode())
    assert len(first) <= (len(before) * 8 + 5) // 6
    assert len(last) <= (len(after) * 8 + 5) // 6 + 3


@pytest.mark.parametrize("size", [BLOCK, BLOCK + 1, 2 * BLOCK, 5000])
@pytest.mark.parametrize("encode", [bytes, base64.b64encode, bytes.hex])
def test_a_long_value_is_masked_as_one(size, encode):
    """Longer than a block, in a longer text, and one replacement comes out."""
    value = random.Random(size).randbytes(size)
    text = encode(b"abc" + value + b"abc")
    text = text.encode() if isinstance(text, str) else text
    out = masked(text, KnownValues([value]))
    assert out.count(MARK.encode()) == 1
    assert len(out) < 30


def test_no_form_is_longer_than_some_kilobytes():
    """What a stream may hold back is bounded, whatever the value."""
    value = "😀/\"'\n".encode() * 1_000
    assert max(map(len, forms_of(value))) <= 12 * BLOCK


def test_a_key_s_lines_are_masked_one_by_one():
    """Indented, in another order or alone; but not the first and last line, which every key has."""
    known = KnownValues({"key": VALUES["key"]})
    for line in VALUES["key"].splitlines():
        out = masked(f"  {line}  # ", known)
        assert out == (f"  {line}  # " if "-----" in line else f"  {MARK}  # ")


def test_shell_words_are_masked():
    """shlex.join, with the value inside a word."""
    for value in VALUES.values():
        out = masked(shlex.join(["tool", f"--password={value}", value]), KnownValues([value]))
        assert value.strip() not in out
        assert out.count(MARK) == 2


def test_each_encoding_says_why_it_is_there():
    """Names differ, and each has a reason."""
    assert len({each.name for each in ENCODINGS}) == len(ENCODINGS)
    assert all(each.why for each in ENCODINGS)
