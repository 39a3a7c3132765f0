"""Every form that a value may take in output, and why each is looked for.

One list, `ENCODINGS`; the documentation has the same. A form is worth its place when a tool that people use writes it without being
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
_ARMOUR: Final = re.compile(rb"-----(BEGIN|END)[ A-Z0-9]*-----")


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way to write a value. `forms` gives the texts that then stand in the output.

    of_lines: it is looked for in the single lines of a value too.
    """

    name: str
    why: str
    forms: Callable[[bytes], Iterable[bytes]]
    of_lines: bool = False


def forms_of(value: bytes) -> set[bytes]:
    """All forms of a value."""
    whole = {form for part in _parts(value) for each in ENCODINGS for form in each.forms(part)}
    lines = {
        form for line in _lines(value) for each in ENCODINGS if each.of_lines for form in each.forms(line)
    }
    return (whole | lines) - {b""}


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


def lines_of(value: bytes) -> list[bytes]:
    """The lines of several, without what surrounds them, that are values by themselves: not the first and last of a PEM file, which are in every such file."""
    lines = [line.strip() for line in value.splitlines()]
    several = len(lines) > 1
    return [line for line in lines if several and len(line) >= LINE and not _ARMOUR.fullmatch(line)]


def _lines(value: bytes) -> Iterator[bytes]:
    yield from (line[:BLOCK] for line in lines_of(value))


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
    texts = {urllib.parse.quote_from_bytes(value, safe=safe) for safe in _URL_SAFE}
    for text in texts | {text.replace("%20", "+") for text in texts}:
        yield from _both_cases(text)


def _percent_all(value: bytes) -> Iterator[bytes]:
    yield b"%" + value.hex("%").upper().encode()
    yield b"%" + value.hex("%").encode()


def _json(value: bytes) -> Iterator[bytes]:
    text = _text(value)
    for ascii_only in (True, False) if text is not None else ():
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        within = json.dumps(escaped, ensure_ascii=ascii_only)[1:-1]
        for variant in (escaped, within, escaped.replace("/", "\\/"), _as_go(escaped)):
            yield from _both_cases(variant)


def _as_go(escaped: str) -> str:
    """Go's encoder and HTML templates hide these three too."""
    for character in "<>&":
        escaped = escaped.replace(character, f"\\u{ord(character):04x}")
    return escaped


def _json_all(value: bytes) -> Iterator[bytes]:
    units = (_text(value) or "").encode("utf-16-be")
    for digits in (units.hex(",", 2), units.hex(",", 2).upper()):
        yield b"\\u" + digits.replace(",", "\\u").encode() if digits else b""


def _python(value: bytes) -> Iterator[bytes]:
    """Whether a quote is escaped depends on the other text in the same literal, so both are looked for."""
    literals = [repr(value)[2:-1]]
    text = _text(value)
    if text is not None:
        literals += [repr(text)[1:-1], ascii(text)[1:-1]]
    for literal in literals:
        bare = literal.replace("\\'", "'")
        for each in (bare, bare.replace("'", "\\'"), bare.replace('"', '\\"')):
            yield from _both_cases(each)


def _yaml(value: bytes) -> Iterator[bytes]:
    """Between double quotes, as libyaml and PyYAML write it."""
    yield re.sub(r"[^ -~]|[\"\\]", _yaml_escape, _text(value) or "").encode()


def _yaml_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if found[0] in _YAML:
        return "\\" + _YAML[found[0]]
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


_YAML: Final = {
    '"': '"',
    "\\": "\\",
    "\n": "n",
    "\t": "t",
    "\r": "r",
    "\x1b": "e",
    "\0": "0",
    "\x85": "N",
    "\xa0": "_",
}


def _quoted(value: bytes) -> Iterator[bytes]:
    """Between quotes of one kind, where that quote is doubled, or it and the backslash are escaped, and nothing else is."""
    for quote in (b"'", b'"'):
        yield value.replace(quote, quote * 2)
        yield value.replace(b"\\", b"\\\\").replace(quote, b"\\" + quote)


def _shell(value: bytes) -> Iterator[bytes]:
    yield value.replace(b"'", b"'\"'\"'")
    yield value.replace(b"'", b"'\\''")
    yield re.sub(rb'(["\\$`])', rb"\\\1", value)
    for plain in (rb"@%+=:,./", rb"@%+=:./#~"):
        escaped = re.sub(rb"([^\w" + plain + rb"\n\x80-\xff-])", rb"\\\1", value)
        yield escaped
        yield re.sub(rb"^[#~]", rb"\\\g<0>", escaped)
    yield re.sub(rb"[^ -~]|['\\]", lambda found: _ANSI_C.get(found[0]) or b"\\%03o" % found[0][0], value)


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
        yield escaped.replace("&#x27;", "&apos;").encode()


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _both_cases(text: str) -> Iterator[bytes]:
    r"""The hexadecimal digits of %2f, \x2f and \u002f are written in either case."""
    if not _ESCAPE.search(text):
        yield text.encode()
        return
    yield _ESCAPE.sub(lambda found: found[1] + found[2].lower(), text).encode()
    yield _ESCAPE.sub(lambda found: found[1] + found[2].upper(), text).encode()


_ESCAPE: Final = re.compile(r"(%|\\[xu])([0-9A-Fa-f]{2}(?:(?<=\\u..)[0-9A-Fa-f]{2})?)")


ENCODINGS: Final = (
    Encoding("as it is", "print, echo, cat, env", _exact, of_lines=True),
    Encoding(
        "base64", "basic authentication, Kubernetes secrets, headers: alone or within a longer text", _base64
    ),
    Encoding(
        "base64 in lines", "base64 and openssl break their output after 76 or 64 characters", _base64_lines
    ),
    Encoding("hexadecimal", "bytes.hex(), xxd -p, dumps of databases", _hex),
    Encoding(
        "percent", "connection strings, query strings, forms; tools differ in what they escape", _percent
    ),
    Encoding("percent, every byte", "encoders that take no risk", _percent_all),
    Encoding(
        "JSON",
        r"structured logs, also of PHP (`\/`) and Go (`\u0026`), and JSON in JSON",
        _json,
        of_lines=True,
    ),
    Encoding("JSON, every character", r"encoders that write `\u0041` for each", _json_all),
    Encoding(
        "Python and JavaScript",
        "repr, tracebacks with locals, printed dictionaries and bytes, console.log",
        _python,
        of_lines=True,
    ),
    Encoding("shell", "set -x, printf %q, declare -p, commands that a tool echoes", _shell, of_lines=True),
    Encoding("quotes", "SQL, CSV, YAML, PHP, Perl: the quote is doubled or escaped", _quoted, of_lines=True),
    Encoding("YAML", r"dumped configurations: `\xE4` between double quotes", _yaml, of_lines=True),
    Encoding("HTML", "notebook outputs, reports, rendered tracebacks", _html, of_lines=True),
)
"""Why a value's lines come on top: tools print a key line by line, and indent it."""
