"""The value rule: what clients wrote is the truth, byte for byte. Pure.

A JSON value is kept as the bytes that were sent, and refused where two readers could take it for different things:
repeated member names, lone surrogates, numbers no double and no integer holds, nesting no parser is bound to follow.
See docs/decisions/0004-kv-value-rule.md.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.errors import Invalid, TooLarge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEEPEST: Final = 100
"""Arrays and objects inside one another."""
LARGEST: Final = 1 << 20
"""Bytes of one value."""
_FEW: Final = 16
_ONLY_TEXT: Final = frozenset({str})

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class _Repeated(Exception):  # noqa: N818 - a signal inside this file
    """A member name came twice."""


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Repeated
    return found


# Numbers are only measured: what they are is msgspec's to judge, and it does not turn long digits into an integer.
_structure = json.JSONDecoder(object_pairs_hook=_once, parse_int=len, parse_float=len).decode
_pairs = json.JSONDecoder(object_pairs_hook=list, parse_int=len, parse_float=len).decode


def fields_as_json(fields: Mapping[str, msgspec.Raw]) -> bytes:
    """A request's fields as the one JSON object to be kept, each as it was sent. Raises as `check_json`, and for none."""
    if not fields:
        raise Invalid(
            "missing data fields", hint='send the fields of the secret, such as {"password": "..."}'
        )
    value = _encode(fields)
    check_json("the secret", value)
    return value


def check_json(name: str, raw: bytes) -> Any:
    """The decoded value. Raises `Invalid` (or `TooLarge`) for one that cannot be kept and given back exactly."""
    if len(raw) > LARGEST:
        raise TooLarge(f"{name} is larger than {LARGEST} bytes")
    try:
        value = msgspec.json.decode(raw)
        if _is_plain(raw, value):
            return value
        _structure(raw.decode())
    except _Repeated:
        raise Invalid(f"{name} has an object with a repeated member name") from None
    except RecursionError:
        raise Invalid(f"{name} is nested deeper than {DEEPEST} levels") from None
    except (msgspec.MsgspecError, ValueError):
        raise Invalid(
            f"{name} is not JSON that every reader understands alike",
            hint="check numbers, UTF-8 and \\u escapes",
        ) from None
    if raw.count(b"{") + raw.count(b"[") > DEEPEST and _depth(value) > DEEPEST:
        raise Invalid(f"{name} is nested deeper than {DEEPEST} levels")
    return value


def _is_plain(raw: bytes, value: Any) -> bool:
    """An object of texts alone, none with an escape: it has four quotes for each member, unless one came twice."""
    return (
        type(value) is dict
        and raw.count(b'"') == 4 * len(value)
        and b"\\" not in raw
        and _ONLY_TEXT.issuperset(map(type, value.values()))
    )


def _depth(value: Any) -> int:
    depth, row = 0, [value]
    while row := [x for x in row if isinstance(x, dict | list)]:
        depth += 1
        row = [y for x in row for y in (x.values() if isinstance(x, dict) else x)]
    return depth


def repeats_member(body: bytes, members: Mapping[str, object]) -> bool:
    """Whether the object `body` has a member twice at its top; `members` are those a decoder found, the last of each name."""
    if (
        len(members) <= _FEW
        and b"\\" not in body
        and all(body.count(f'"{name}"'.encode()) == 1 for name in members)
    ):
        return False
    pairs = _pairs(body.decode())
    return isinstance(pairs, list) and len(pairs) != len(members)


def merge_patch(target: bytes, patch: bytes) -> bytes:
    """JSON merge patch (RFC 7396). Whatever the patch does not name stays as it is, byte for byte."""
    if not is_object(patch):
        return patch
    members = _members(target) if is_object(target) else {}
    for name, value in _members(patch).items():
        if bytes(value) == b"null":
            members.pop(name, None)
        else:
            members[name] = msgspec.Raw(merge_patch(bytes(members.get(name, b"null")), bytes(value)))
    return _encode(members)


def is_object(raw: bytes) -> bool:
    """True for a JSON object."""
    return raw.lstrip()[:1] == b"{"


def shown_as_json(content: bytes) -> bytes:
    """How opaque bytes look to a client that knows only JSON objects: themselves where they are one, else wrapped."""
    if is_object(content):
        try:
            check_json("content", content)
        except (Invalid, TooLarge):
            pass
        else:
            return content
    try:
        return _encode({"value": content.decode()})
    except UnicodeDecodeError:
        return _encode({"value_b64": base64.b64encode(content).decode()})
