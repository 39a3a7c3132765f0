"""Every form that a value may take in output, and why each is looked for.

One list, `ENCODINGS`; the documentation reads it too. A form is worth its place when a tool that people use writes it without being
asked. What no list of forms can catch is told in docs/explain/masking.md: compression, encryption, reversed text, text cut by others.

A long value is taken as blocks that overlap, so that no form is longer than a few kilobytes: this bounds what a stream holds back.
"""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BLOCK: Final = 1024
"""A longer value is searched in blocks of this many bytes."""
OVERLAP: Final = 3
"""Blocks share so many bytes: the base64 of one begins before that of the last has ended."""
LINE: Final = 8
"""Single lines of a value that are shorter are not looked for."""
WRAPS: Final = (64, 76)
"""Columns at which openssl and base64(1) break base64."""
HEX_WRAP: Final = 60
"""Columns at which `xxd -p` breaks hexadecimal."""

_URL_SAFE: Final = ("", "/", " +", "!*'()", ";,/?:@&=+$#!*'()")
_SHELL_SPECIAL: Final = re.compile(rb"([^A-Za-z0-9_@%+=:,./\n\x80-\xff-])")
_ARMOUR: Final = re.compile(rb"-----(BEGIN|END)[ A-Z0-9]*-----")


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way to write a value. `forms` gives the texts that then stand in the output."""

    name: str
    why: str
    forms: Callable[[bytes], Iterable[bytes]]


def forms_of(value: bytes) -> set[bytes]:
    """All forms of a value."""
    return {
        form for part in _parts(value) for encoding in ENCODINGS for form in encoding.forms(part) if form
    } | set(_lines(value))


def exact_of(value: bytes) -> set[bytes]:
    """The value itself, and without the white space around it. None if it is nothing else."""
    return {part for part in (value, value.strip()) if part.strip()}


def _parts(value: bytes) -> Iterator[bytes]:
    for part in exact_of(value):
        if len(part) <= BLOCK:
            yield part
            continue
        yield part[-BLOCK:]
        for start in range(0, len(part) - BLOCK, BLOCK - OVERLAP):
            yield part[start : start + BLOCK]


def _exact(value: bytes) -> Iterator[bytes]:
    yield value


def _lines(value: bytes) -> Iterator[bytes]:
    """Each line without what surrounds it. The first and last line of a PEM file are in every such file, so they are none."""
    lines = [line.strip() for line in value.splitlines()]
    if len(lines) > 1:
        yield from (line[:BLOCK] for line in lines if len(line) >= LINE and not _ARMOUR.fullmatch(line))


def _base64(value: bytes) -> Iterator[bytes]:
    """As it is alone, and what does not depend on the bytes around it when 0, 1 or 2 bytes stand before its first group."""
    for text in _base64_texts(value):
        yield text
        yield text.translate(_TO_URL_SAFE)


def _base64_texts(value: bytes) -> Iterator[bytes]:
    alone = base64.b64encode(value)
    yield alone
    yield alone.rstrip(b"=")
    for before in range(3):
        text = base64.b64encode(bytes(before) + value)
        yield text[(before * 8 + 5) // 6 : (before + len(value)) * 8 // 6]


_TO_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def _base64_lines(value: bytes) -> Iterator[bytes]:
    alone = base64.b64encode(value)
    for width in WRAPS:
        if len(alone) > width:
            yield from _broken(alone, width)


def _broken(text: bytes, width: int) -> Iterator[bytes]:
    for start in range(0, len(text), width):
        line = text[start : start + width]
        if len(line) >= LINE:
            yield line


def _hex(value: bytes) -> Iterator[bytes]:
    text = value.hex().encode()
    yield text
    yield text.upper()
    if len(text) > HEX_WRAP:
        yield from _broken(text, HEX_WRAP)


def _percent(value: bytes) -> Iterator[bytes]:
    """Reserved characters: what counts as reserved differs by tool."""
    for safe in _URL_SAFE:
        text = urllib.parse.quote_from_bytes(value, safe=safe)
        yield from _both_cases(text)
        if "%20" in text:
            yield from _both_cases(text.replace("%20", "+"))


def _both_cases(text: str) -> Iterator[bytes]:
    yield text.encode()
    yield _ESCAPED_BYTE.sub(lambda found: found[0].lower(), text).encode()


_ESCAPED_BYTE: Final = re.compile("%[0-9A-F]{2}")


def _percent_all(value: bytes) -> Iterator[bytes]:
    yield b"%" + value.hex("%").upper().encode()
    yield b"%" + value.hex("%").encode()


def _json(value: bytes) -> Iterator[bytes]:
    text = _text(value)
    if text is None:
        return
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        for variant in (escaped, escaped.replace("/", "\\/"), _as_go(escaped)):
            yield variant.encode()
            yield _ESCAPED_UNIT.sub(lambda found: "\\u" + found[1].upper(), variant).encode()
    yield json.dumps(json.dumps(text)[1:-1])[1:-1].encode()


_ESCAPED_UNIT: Final = re.compile(r"\\u([0-9a-f]{4})")


def _as_go(escaped: str) -> str:
    """Go's encoder and HTML templates hide these three too."""
    for character in "<>&":
        escaped = escaped.replace(character, f"\\u{ord(character):04x}")
    return escaped


def _json_all(value: bytes) -> Iterator[bytes]:
    text = _text(value)
    if text is not None:
        units = text.encode("utf-16-be").hex()
        escaped = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
        yield escaped.encode()
        yield _ESCAPED_UNIT.sub(lambda found: "\\u" + found[1].upper(), escaped).encode()


def _python(value: bytes) -> Iterator[bytes]:
    """Whether a quote is escaped depends on the other text in the same literal, so both are looked for."""
    literals = [repr(value)[2:-1]]
    text = _text(value)
    if text is not None:
        literals += [repr(text)[1:-1], ascii(text)[1:-1]]
    for literal in literals:
        bare = literal.replace("\\'", "'")
        yield from (each.encode() for each in (bare, bare.replace("'", "\\'"), bare.replace('"', '\\"')))


def _shell(value: bytes) -> Iterator[bytes]:
    """shlex.quote, `set -x`, printf %q, and $'…' with its octal bytes."""
    if b"'" in value:
        yield value.replace(b"'", b"'\"'\"'")
        yield value.replace(b"'", b"'\\''")
    yield _SHELL_SPECIAL.sub(rb"\\\1", value)
    yield re.sub(rb'(["\\$`])', rb"\\\1", value)
    yield re.sub(
        rb"[^\x20-\x7e]|['\\]", lambda found: _ANSI_C.get(found[0]) or b"\\%03o" % found[0][0], value
    )


_ANSI_C: Final = {
    b"'": b"\\'",
    b"\\": b"\\\\",
    b"\n": b"\\n",
    b"\t": b"\\t",
    b"\r": b"\\r",
    b"\x1b": b"\\E",
}


def _html(value: bytes) -> Iterator[bytes]:
    text = _text(value)
    if text is None:
        return
    for quotes in (False, True):
        escaped = html.escape(text, quote=quotes)
        yield escaped.encode()
        yield escaped.replace("&quot;", "&#34;").replace("&#x27;", "&#39;").encode()


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


ENCODINGS: Final = (
    Encoding("exact", "print, echo, cat, env", _exact),
    Encoding(
        "base64",
        "Basic authentication, Kubernetes secrets, tokens in headers: alone or within a longer text",
        _base64,
    ),
    Encoding(
        "base64 in lines", "base64(1) and openssl break their output after 76 or 64 characters", _base64_lines
    ),
    Encoding("hexadecimal", "bytes.hex(), xxd -p, database dumps", _hex),
    Encoding(
        "percent", "connection strings, query strings, form data; tools differ in what they escape", _percent
    ),
    Encoding("percent, everything", "encoders that escape each byte", _percent_all),
    Encoding(
        "JSON", "structured logs, also those of PHP (\\/), of Go (\\u0026), and JSON within JSON", _json
    ),
    Encoding("JSON, everything", "encoders that write each character as \\uXXXX", _json_all),
    Encoding("Python", "repr, %r, tracebacks with locals, printed dictionaries, bytes literals", _python),
    Encoding("shell", "set -x, shlex.join, printf %q, commands that a tool echoes", _shell),
    Encoding("HTML", "notebook outputs, reports, rendered tracebacks", _html),
)
"""The lines of a value of several lines come on top: tools print a key line by line, and indent it."""
