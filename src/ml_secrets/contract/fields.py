"""Types a declared operation may ask for, and how each is read from the JSON the wire brought.

The wire is lenient where clients need it (command lines send every value as text, lists as "a,b"), and strict where
leniency hides mistakes: only ASCII digits make a number, a duration is never negative, a bool is never a list.
`null` is the same as nothing sent, except for the kinds that take JSON as it is (Raw, Json).
Every failure is an `Invalid` that names the field and the expected form, and never shows the value.
"""

from __future__ import annotations

import re
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, NewType, Union, get_args, get_origin

import msgspec

from ml_secrets.domain.duration import parse_duration
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Callable

Raw = msgspec.Raw
"""JSON exactly as the client sent it."""

Json = NewType("Json", object)
"""Any decoded JSON value."""

Seconds = NewType("Seconds", int)
"""A duration: 90, "90", "1h30m", "2d"."""

Strings = NewType("Strings", tuple)  # type: ignore[type-arg]
"""A list of texts: an array, or one text with commas."""

Names = NewType("Names", tuple)  # type: ignore[type-arg]
"""Like Strings, folded to lower case, sorted, without repeats (policy names)."""

TextMap = NewType("TextMap", dict)  # type: ignore[type-arg]
"""A map of text to text: an object, an array of "k=v", or a text holding a JSON object."""

UnixTime = NewType("UnixTime", int)
"""A moment in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Help:
    """Beside a field's type in `Annotated`: what it is for, and its name on the wire where Python needs another."""

    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One declared field. `read` turns raw JSON into the argument."""

    name: str
    argument: str
    kind: str
    help: str
    required: bool
    default: Any
    in_path: bool
    sensitive: bool
    read: Callable[[str, msgspec.Raw], Any]


_DIGITS: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_BLANKS: Final = " \t\r\n"
_TRUTH: Final = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False, "": False}


def decode(name: str, raw: msgspec.Raw) -> Any:
    """Raw JSON to Python."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise Invalid(f"field {name!r} is not valid JSON") from None


def _text(name: str, raw: msgspec.Raw) -> str | None:
    value = decode(name, raw)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return bytes(raw).decode().strip()
    raise Invalid(f"field {name!r} must be a text")


def _number(name: str, raw: msgspec.Raw) -> int | None:
    value = decode(name, raw)
    if value is None:
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise Invalid(f"field {name!r} must be a whole number")
    return value


def _truth(name: str, raw: msgspec.Raw) -> bool | None:
    value = decode(name, raw)
    if value is None:
        return None
    if isinstance(value, str):
        value = _TRUTH.get(value.lower(), value)
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise Invalid(f"field {name!r} must be true or false")


def _seconds(name: str, raw: msgspec.Raw) -> int | None:
    value = decode(name, raw)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Invalid(f'field {name!r} must be a duration such as 90, "90s" or "1h30m"')
    try:
        return parse_duration(value)
    except Invalid as error:
        raise Invalid(f"field {name!r}: {error.message}", hint=error.hint) from None


def _strings(name: str, raw: msgspec.Raw) -> tuple[str, ...] | None:
    value = decode(name, raw)
    if value is None:
        return None
    if isinstance(value, str):
        value = [part.strip(_BLANKS) for part in value.split(",")] if value.strip(_BLANKS) else []
    elif isinstance(value, int) and not isinstance(value, bool):
        value = [str(value)]
    if isinstance(value, list) and all(
        isinstance(part, str | int) and not isinstance(part, bool) for part in value
    ):
        return tuple(str(part) for part in value)
    raise Invalid(f"field {name!r} must be a list of texts, or one text with commas")


def _names(name: str, raw: msgspec.Raw) -> tuple[str, ...] | None:
    """Only ASCII is folded, and nothing is trimmed inside an array: other spellings are for `policy_name` to refuse."""
    parts = _strings(name, raw)
    if parts is None:
        return None
    return tuple(sorted({part.lower() if part.isascii() else part for part in parts} - {""}))


def _text_map(name: str, raw: msgspec.Raw) -> dict[str, str] | None:
    value = decode(name, raw)
    if value is None:
        return None
    if isinstance(value, str):
        value = _map_of_text(name, value)
    if isinstance(value, list) and all(isinstance(part, str) and "=" in part for part in value):
        value = dict(part.split("=", 1) for part in value)
    texts = (
        {key: _scalar(part) for key, part in value.items() if part is not None}
        if isinstance(value, dict)
        else None
    )
    if texts is None or None in texts.values():
        raise Invalid(f"field {name!r} must be a map of text to text")
    return {key: part for key, part in texts.items() if part is not None}


def _scalar(value: Any) -> str | None:
    """A text, or a number or truth value as a text; None for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _map_of_text(name: str, text: str) -> Any:
    if not text.strip():
        return {}
    if "=" in text and not text.lstrip().startswith("{"):
        return text.split(",")
    return decode(name, msgspec.Raw(text.encode()))


def _sensitive(name: str, raw: msgspec.Raw) -> Sensitive | None:
    text = _text(name, raw)
    return None if text is None else Sensitive(text)


def _as_is(name: str, raw: msgspec.Raw) -> msgspec.Raw:  # noqa: ARG001 - one signature for every reader
    return raw


READERS: Final[dict[Any, tuple[str, Callable[[str, msgspec.Raw], Any]]]] = {
    str: ("string", _text),
    int: ("integer", _number),
    bool: ("boolean", _truth),
    Seconds: ("duration", _seconds),
    Strings: ("string list", _strings),
    Names: ("string list", _names),
    TextMap: ("map", _text_map),
    UnixTime: ("integer", _number),
    Sensitive: ("string", _sensitive),
    Raw: ("any", _as_is),
    Json: ("any", decode),
}


def _unwrapped(annotation: Any) -> tuple[Any, Help]:
    """The type inside `Annotated[..., Help(...)]` and `... | None`, in whatever order they are nested."""
    help_ = Help("")
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *notes = get_args(annotation)
            help_ = help_ if help_.text else next((note for note in notes if isinstance(note, Help)), help_)
        elif get_origin(annotation) in (Union, types.UnionType):
            inner = [part for part in get_args(annotation) if part is not type(None)]
            if len(inner) != 1:
                raise TypeError(f"{annotation!r}: a field has one type, or that type and None")
            annotation = inner[0]
        else:
            return annotation, help_


def field_of(argument: str, annotation: Any, *, default: Any, required: bool, in_path: bool) -> Field:
    """Read a parameter's annotation. Raises TypeError at import for a type the wire cannot bring."""
    annotation, help_ = _unwrapped(annotation)
    if annotation not in READERS:
        raise TypeError(f"parameter {argument!r}: no reader for {annotation!r}")
    kind, read = READERS[annotation]
    return Field(
        name=help_.name or argument,
        argument=argument,
        kind=kind,
        help=help_.text,
        required=required,
        default=default,
        in_path=in_path,
        sensitive=annotation is Sensitive,
        read=read,
    )
