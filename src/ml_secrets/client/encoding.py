"""JSON in and out, without letting a value out of sight.

Values go into `Sensitive` in the same breath in which they are encoded or decoded. A decoder's own error is never
chained: it is replaced by one that says where, not what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import msgspec

from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive


class Unreadable(ValueError):  # noqa: N818 - named like the rest of our errors
    """The bytes are not the JSON that was expected."""


class Unsendable(Sensitive):
    """Stands for a value that has no JSON. Raises when it is to be sent: by then no frame holds the value any more."""

    __slots__ = ("_problem",)

    def __init__(self, problem: str) -> None:
        super().__init__("")
        self._problem = problem

    def reveal(self) -> str:
        """Raises `Invalid`, naming the type that cannot be sent."""
        return self.reveal_bytes().decode()

    def reveal_bytes(self) -> bytes:
        """The same."""
        raise Invalid(
            f"the value cannot be sent: {self._problem}",
            hint="use text, numbers, booleans, lists and maps; base64 for bytes",
        )


def conceal(value: Any, *, ordered: bool = False) -> Sensitive:
    """`value` as JSON; `Sensitive` members are written as their text. Never raises: see `Unsendable`.

    Whoever was handed the value deletes it right after this, so that no traceback from then on can show it.
    """
    try:
        _check(value)
        return Sensitive(
            msgspec.json.encode(value, enc_hook=_open, order="deterministic" if ordered else None)
        )
    except TypeError as error:
        return Unsendable(str(error))
    except (ValueError, RecursionError, OverflowError) as error:
        return Unsendable(type(error).__name__)


def conceal_fields(fields: Any) -> Sensitive:
    """The same, and a JSON object: nothing else is taken for one with no fields, which would empty a secret."""
    if isinstance(fields, Mapping):
        return conceal(fields)
    kind = type(fields).__name__
    return Unsendable(f"{kind} is no mapping of fields")


def conceal_texts(fields: Mapping[str, Any]) -> Sensitive:
    """The same, of texts: None, out of os.environ.get say, is none."""
    odd = [name for name, value in fields.items() if not isinstance(value, str | Sensitive)]
    return Unsendable(f"{odd[0]} is no text") if odd else conceal(fields)


def _check(value: Any) -> None:
    """Raises `TypeError` for what the encoder would quietly turn into something else: null, or text in base64."""
    if isinstance(value, float) and not isfinite(value):
        del value
        raise TypeError("a float that is no number, or infinite")
    if isinstance(value, bytes | bytearray | memoryview):
        kind = type(value).__name__
        del value
        raise TypeError(f"objects of type {kind} are not supported")
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        for part in value.values() if isinstance(value, Mapping) else value:
            _check(part)


def hide(text: str | Sensitive) -> Sensitive:
    """A text out of sight, at once; `Unsendable` for what is none."""
    if isinstance(text, Sensitive):
        return text
    return (
        Sensitive(text) if isinstance(text, str | bytes) else Unsendable(f"{type(text).__name__} is no text")
    )


def _open(value: Any) -> Any:
    if isinstance(value, Sensitive):
        return value.reveal()
    kind = type(value).__name__
    del value
    raise TypeError(f"objects of type {kind} are not supported")


def decode(body: Sensitive) -> Any:
    """The JSON value in `body`. Raises `Unreadable`."""
    try:
        return msgspec.json.decode(body.reveal_bytes())
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        problem = type(error).__name__
    raise Unreadable(problem)


def raw_members(body: Sensitive) -> dict[str, bytes]:
    """The members of a JSON object that we wrote or have read, each as JSON."""
    raw = msgspec.json.decode(body.reveal_bytes(), type=dict[str, msgspec.Raw])
    return {name: bytes(part) for name, part in raw.items()}


def pick(body: Sensitive, names: Sequence[str]) -> Sensitive:
    """The JSON object with these members of a JSON object that we wrote or have read."""
    raw = raw_members(body)
    return Sensitive(b"{" + b",".join(msgspec.json.encode(name) + b":" + raw[name] for name in names) + b"}")


def members(body: Sensitive) -> dict[str, Sensitive]:
    """The members of a JSON object, each as its text: a text as it is, anything else as JSON. Raises `Unreadable`."""
    try:
        raw = msgspec.json.decode(body.reveal_bytes(), type=dict[str, msgspec.Raw])
        return {name: Sensitive(_text(bytes(part))) for name, part in raw.items()}
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        problem = type(error).__name__
    raise Unreadable(problem)


def part(body: Sensitive, *names: str) -> Sensitive | None:
    """The JSON found by going down `names`, undecoded; None when there is no such member or it is null."""
    found = body
    for name in names:
        try:
            raw = msgspec.json.decode(found.reveal_bytes(), type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, RecursionError, ValueError):
            return None
        if name not in raw or bytes(raw[name]) == b"null":
            return None
        found = Sensitive(bytes(raw[name]))
        del raw
    return found


def items(body: Sensitive, *names: str) -> list[Sensitive] | None:
    """The elements of the list found by going down `names`, undecoded; None when there is no such list."""
    found = part(body, *names)
    try:
        return (
            None
            if found is None
            else [
                Sensitive(bytes(one))
                for one in msgspec.json.decode(found.reveal_bytes(), type=list[msgspec.Raw])
            ]
        )
    except msgspec.DecodeError:
        return None


def _text(raw: bytes) -> str:
    decoded = msgspec.json.decode(raw)
    return decoded if isinstance(decoded, str) else raw.decode()
