"""Values that nobody handed out, under a name that says what they are: `db.password=…` on a command line, `api_key` in a configuration.

Used where things have names: configurations, parameters, arguments. Names of the trade that only sound alike (`pad_token`, `max_tokens`,
`tokenizer`) are no secrets; references (`${…}`, `secret://…`) and values that are plainly none (empty, numbers, true) stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ml_secrets.detect.mask import REPLACEMENT

_SAYS_SO: Final = re.compile(
    r"((^|[./ ])token|(^|[._\-/ ])(password|passwd|passphrase|pwd|secret|credentials?"
    r"|(api|access|private|secret|signing|encryption|account)[_-]?keys?"
    r"|(access|api|auth|bearer|client|github|hf|id|private|refresh|secret|session)[_-]?(token|secret)))$",
    re.IGNORECASE,
)
_ARGUMENT: Final = re.compile(r"((?:--?|\+\+?|~)?([A-Za-z0-9_][A-Za-z0-9_.\-/@]*)=)(.+)", re.DOTALL)
_REFERENCE: Final = re.compile(
    r"\$\{.*\}|secret://.*|[\"']?[\"']?|null|none|true|false|\?\?\?", re.IGNORECASE
)
MASK: Final = REPLACEMENT.decode()


def says_so(name: object) -> bool:
    """Does this name say that its value is a secret?"""
    return isinstance(name, str) and bool(_SAYS_SO.search(name))


def without_named(thing: Any) -> tuple[Any, set[str]]:
    """What is made of mappings and lists, without values that go by such a name; and those names."""
    names: set[str] = set()
    return _walk(thing, names, 0), names


def _walk(thing: Any, names: set[str], depth: int) -> Any:
    if depth > 64:
        return thing
    if isinstance(thing, Mapping):
        new: Any = {key: _value(key, value, names, depth) for key, value in thing.items()}
    elif isinstance(thing, list | tuple):
        new = type(thing)(_arguments(thing, names, depth)) if type(thing) in (list, tuple) else thing
    else:
        return thing
    return thing if new == thing else new


def _value(key: object, value: Any, names: set[str], depth: int) -> Any:
    if says_so(key) and isinstance(value, str) and not _REFERENCE.fullmatch(value) and value != MASK:
        names.add(str(key))
        return MASK
    return _walk(value, names, depth + 1)


def _arguments(several: Any, names: set[str], depth: int) -> list[Any]:
    """`a.password=x`, `--token=x`, and `--token` before `x`."""
    new: list[Any] = []
    before = ""
    for each in several:
        found = _ARGUMENT.fullmatch(each) if isinstance(each, str) else None
        if found:
            value = _value(found[2], found[3], names, depth)
            new.append(each if value == found[3] else found[1] + value)
        elif before.startswith("--") and isinstance(each, str) and not each.startswith("-"):
            new.append(_value(before.lstrip("-"), each, names, depth))
        else:
            new.append(_walk(each, names, depth + 1))
        before = each if isinstance(each, str) else ""
    return new
