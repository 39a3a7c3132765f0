"""Paths and names, each made canonical in one place and nowhere else.

A request path is percent-decoded once and strictly; the text that comes out is what is routed, authorised, stored and
audited. Anything that two parts of a system could read differently is refused: `.`, `..`, empty segments, `%2F`,
broken escapes, bytes that are not UTF-8, text that is not in normal form C, characters that print nothing.
Names of things that people make (policies, roles) are ASCII and lower case, so none looks like another.
No error shows what was sent.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote_to_bytes

from ml_secrets.errors import Invalid

MOST_BYTES: Final = 512
"""The longest request path."""

_PLAIN: Final = re.compile(
    rb"(?!\.\.?(?:/|\Z))[!-$&-.0-~]+(?:/(?!\.\.?(?:/|\Z))[!-$&-.0-~]+)*/?"
)  # printable ASCII but "%" and "/", in segments that are neither empty nor "." nor ".."
_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_RELATIVE: Final = ("", ".", "..")
_INVISIBLE: Final = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_REPLACEMENT: Final = "\ufffd"

_RESOURCE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
_USER: Final = re.compile(r"[a-z0-9][a-z0-9_.@+=-]{0,127}", re.ASCII)
_ROOT: Final = "root"


def request_path(raw: bytes) -> tuple[str, bool]:
    """The canonical path without its trailing slash, and whether it had one. `raw` is what follows "/v1/"."""
    if len(raw) <= MOST_BYTES and _PLAIN.fullmatch(raw):
        text = raw.decode("ascii")
        return (text[:-1], True) if text[-1] == "/" else (text, False)
    return _decoded_path(raw)


def _decoded_path(raw: bytes) -> tuple[str, bool]:
    if not raw:
        return "", False
    if _BROKEN_ESCAPE.search(raw):
        raise Invalid("the path has a broken percent escape")
    if b"%2f" in raw.lower():
        raise Invalid(
            "the path has an encoded slash", hint="a slash always separates segments: send it as it is"
        )
    decoded = unquote_to_bytes(raw)
    if len(decoded) > MOST_BYTES:
        raise Invalid("the path is too long", hint=f"the longest has {MOST_BYTES} bytes")
    try:
        text = decoded.decode()
    except UnicodeDecodeError:
        raise Invalid("the path is not UTF-8") from None
    return canonical_path(text)


def canonical_path(text: str) -> tuple[str, bool]:
    """Check a path that is already text (a lease's, a mount's). Same answer and same refusals as `request_path`."""
    folder = text.endswith("/")
    path = text[:-1] if folder else text
    for segment in path.split("/"):
        if segment in _RELATIVE:
            raise Invalid("relative paths not supported", hint="a path has no empty, '.' or '..' segment")
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        raise Invalid("the path is not in Unicode normal form C")
    if not text.isprintable() and any(unicodedata.category(c) in _INVISIBLE for c in text):
        raise Invalid("the path has a control, format or unassigned character")
    if _REPLACEMENT in text:
        raise Invalid("the path has the replacement character U+FFFD")
    if len(text) * 4 > MOST_BYTES and len(text.encode()) > MOST_BYTES:
        raise Invalid("the path is too long", hint=f"the longest has {MOST_BYTES} bytes")
    return path, folder


def policy_name(text: str, *, root: bool = False) -> str:
    """A policy's name in its one spelling. `root=True` lets the plain word "root" through (tokens made by root).

    Every write of a policy name goes through here: a name that only later, folded or trimmed, turns into "root" is
    refused now.
    """
    name = _folded(text, _RESOURCE)
    if name is None:
        raise Invalid("invalid policy name", hint=_hint("policy name", 64))
    if name == _ROOT and not (root and text == _ROOT):
        raise Invalid(
            "the root policy cannot be given here", hint="name the policies that allow what is needed"
        )
    return name


def resource_name(text: str, *, what: str = "name") -> str:
    """The name of a role, key, quota and so on, in its one spelling (lower case). `what` is said in the refusal."""
    name = _folded(text, _RESOURCE)
    if name is None:
        raise Invalid(f"invalid {what}", hint=_hint(what, 64))
    return name


def user_name(text: str) -> str:
    """A login name in its one spelling: as a resource's, with "@", "+" and "=" (mail addresses) and up to 128 long."""
    name = _folded(text, _USER)
    if name is None:
        raise Invalid("invalid user name", hint=_hint("user name", 128, extra="@+="))
    return name


def _folded(text: str, form: re.Pattern[str]) -> str | None:
    if not text.isascii():
        return None
    name = text.lower()
    return name if form.fullmatch(name) else None


def _hint(what: str, most: int, *, extra: str = "") -> str:
    return f"a {what} has 1 to {most} of a-z, 0-9 and _.-{extra}, and begins with a letter or digit"
