r"""Data on the command line, as in Vault's CLI.

    key=value      text                     @file.json     the keys of a JSON object in a file
    key=@file      a file's content         -              the keys of a JSON object on stdin
    key=-          stdin (as ? on a terminal)   key=\@text     text that begins with @ (also \- and \?)
    key=?          asked for on the terminal, without echo

A key given twice becomes a list. Values from `key=` stay text; those from JSON keep their type. Messages name keys,
never values; an argument without "=" is not quoted either, since it may be a secret that lost its key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ml_secrets.cli import terminal
from ml_secrets.cli.failures import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterable

BYTE_ORDER_MARK: Final = "\ufeff"  # some editors write it first: it is no part of what a file says


def data(arguments: Iterable[str]) -> dict[str, Any]:
    """The object that the arguments spell."""
    found: dict[str, Any] = {}
    for position, argument in enumerate(arguments, start=1):
        for key, value in _pairs(argument, position):
            _add(found, key, value)
    return found


def _pairs(argument: str, position: int) -> list[tuple[str, Any]]:
    if argument == "-":
        return list(json_object(terminal.stdin_text(), "stdin").items())
    key, separator, value = argument.partition("=")
    if not separator and argument.startswith("@"):
        return list(json_object(file_text(argument[1:]), argument[1:]).items())
    if not separator or not key:
        raise LocalError(
            f"data argument {position} is not of the form key=value",
            hint="a value with spaces needs quotes: note='two words'",
        )
    return [(key, text(key, value))]


def text(key: str, value: str) -> str:
    """What one `key=value` stands for."""
    match value[:1], value:
        case "@", _:
            return file_text(value[1:])
        case _, "-":
            return (
                terminal.ask_secret(key, twice=True) if terminal.is_terminal() else terminal.stdin_secret(key)
            )
        case _, "?":
            return terminal.ask_secret(key, twice=True)
        case "\\", _ if value[1:2] in {"@", "-", "?"}:
            return value[1:]
        case _:
            return value


def _add(found: dict[str, Any], key: str, value: Any) -> None:
    if key not in found:
        found[key] = value
    elif isinstance(found[key], list):
        found[key].append(value)
    else:
        found[key] = [found[key], value]


def file_text(name: str) -> str:
    """A file's content, byte for byte."""
    from pathlib import Path  # noqa: PLC0415 - help is quicker without

    try:
        return Path(name).expanduser().read_bytes().decode()
    except UnicodeDecodeError:
        raise LocalError(
            f"{name} is not UTF-8 text", hint="encode bytes first, for example with base64"
        ) from None


def json_object(source: str, name: str) -> dict[str, Any]:
    """A JSON object. Refuses what would not arrive as it was written: doubled keys, numbers beyond a float's digits."""
    import json  # noqa: PLC0415 - help is quicker without

    try:
        document = json.loads(
            source.removeprefix(BYTE_ORDER_MARK),
            object_pairs_hook=_once,
            parse_float=exact,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
    except RecursionError:
        place = "nested too deeply"
    except ValueError:  # Python's own bound, which the server has too
        raise LocalError(
            f"{name}: a JSON number has more digits than are taken", hint="write it as text, in quotes"
        ) from None
    else:
        if isinstance(document, dict):
            return document
        raise LocalError(f"{name} holds JSON, but no object", hint='an object looks like {"key": "value"}')
    raise LocalError(
        f"{name} is not valid JSON ({place})", hint="look there for a missing quote, comma or brace"
    )


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) != len(items):
        raise LocalError("a JSON object has the same key twice", hint="keep one of the two")
    return found


def exact(digits: str) -> float:
    """A float that has all the digits which are written."""
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415 - as above

    number = float(digits)
    try:
        kept = number not in {float("inf"), float("-inf")} and Decimal(repr(number)) == Decimal(digits)
    except InvalidOperation:  # an exponent that not even a Decimal has
        kept = False
    if not kept:
        raise LocalError("a number has more digits than a float keeps", hint="write it as text, in quotes")
    return number


def _no_constant(name: str) -> None:
    raise LocalError(f"{name} is not JSON", hint="write it as text, in quotes")
