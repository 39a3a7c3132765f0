"""What is looked for of one value. The rule for short values, and for those that hold others.

What is short or of little variety occurs by chance; masking it would spoil the output, and tell the value:

    shorter than 4 bytes, or white space only                   is not masked
    a setting: true, false, null, none, or a number (a port)
    of fewer than 6 characters                                  is not masked
    shorter than 6 bytes, or fewer than 3 different             is masked as it is, not in its encodings
    anything else                                               is masked in every form

Of a JSON object or list each text and each number is a value as well: a program takes the key out of its service account and prints
that. The same rule holds for each.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.detect.encodings import exact_of, forms_of, lines_of
from ml_secrets.detect.finders import SHORTEST

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT: Final = 6
VARIETY: Final = 3
SETTINGS: Final = frozenset((b"true", b"false", b"null", b"none"))
_NUMBER: Final = re.compile(rb"[+-]?\d+(\.\d*)?")


def forms_by_rule(value: bytes) -> set[bytes]:
    """Every text that is to be masked for this value."""
    found = {form for part in (value, *_parts(value)) for form in _forms(part)}
    return {form for form in found if len(form) >= SHORTEST}


def lines_by_rule(value: bytes) -> list[bytes]:
    """What is to be masked for this value by those who look at one line after another, and find encodings themselves."""
    parts = [part.strip() for part in (value, *sorted(_parts(value)))]
    lines = [line for part in parts for line in (lines_of(part) if len(part.splitlines()) > 1 else [part])]
    return [line for line in dict.fromkeys(lines) if _forms(line)]


def note(value: bytes) -> str:
    """What to tell the owner of a value that is not masked in every form; nothing if it is."""
    if len(value.strip()) < SHORTEST:
        return f"shorter than {SHORTEST} bytes: not masked"
    if _is_setting(value):
        return "a setting or a short number: not masked"
    return "short or of little variety: masked as it is, not in its encodings" if _weak(value) else ""


def _forms(value: bytes) -> set[bytes]:
    if len(value.strip()) < SHORTEST or _is_setting(value):
        return set()
    return exact_of(value) if _weak(value) else forms_of(value)


def _is_setting(value: bytes) -> bool:
    """Such a one stands beside the password, and in every text."""
    text = value.strip().lower()
    return text in SETTINGS or (len(text) < SHORT and _NUMBER.fullmatch(text) is not None)


def _weak(value: bytes) -> bool:
    return len(value) < SHORT or len(set(value)) < VARIETY


def _parts(value: bytes) -> set[bytes]:
    if not value.lstrip().startswith((b"{", b"[")):
        return set()
    try:
        texts = {text.encode("utf-8", "surrogatepass") for text in _leaves(json.loads(value))}
        return texts.union(*map(_parts, texts))  # a field may be a service account: JSON as a text
    except (ValueError, RecursionError):  # no JSON, or nested without end
        return set()


def _leaves(tree: Any) -> Iterator[str]:
    match tree:
        case dict():
            for part in tree.values():
                yield from _leaves(part)
        case list():
            for part in tree:
                yield from _leaves(part)
        case str():
            yield tree
        case int() | float():
            yield str(tree)
