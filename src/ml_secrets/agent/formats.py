"""How values are written where programs read them: .env, JSON, YAML. Each is read back exactly.

JSON comes in as text and is never decoded whole, so that numbers keep their digits.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS: Final = ("raw", "dotenv", "json", "yaml")
_ENDINGS: Final = {".env": "dotenv", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}
_TOKEN: Final = re.compile(r'(?P<token>"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?P<colon>\s*:|)')
_SIMPLE: Final = 1000  # a key of 1,024 characters is none without a question mark
_BEYOND: Final = re.compile(r"[^\x20-\x7e]")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*", re.ASCII)


def kind_of(file: str) -> str | None:
    """The format that a file's name tells: `.env` and `prod.env`, `.json`, `.yaml`, `.yml`."""
    return next((kind for ending, kind in _ENDINGS.items() if file.endswith(ending)), None)


def is_variable(name: str) -> bool:
    """Is it a name that a .env file can hold?"""
    return _NAME.fullmatch(name) is not None


def quoted(text: str) -> str:
    """A text between quotes, as readers of .env files take it literally. They read CR as a line end, unless it is escaped."""
    text = text.replace("\\", "\\\\")
    if "\r" in text:
        escaped = text.replace('"', '\\"').replace("\r", "\\r")
        return f'"{escaped}"'
    escaped = text.replace("'", "\\'")
    return f"'{escaped}'"


def dotenv(fields: Mapping[str, str]) -> str:
    """Lines of a .env file."""
    return "".join(f"{name}={quoted(value)}\n" for name, value in fields.items())


def json_text(text: str) -> str:
    """A text as JSON."""
    return json.dumps(text, ensure_ascii=False)


def json_object(fields: Mapping[str, str]) -> str:
    """A JSON object. The values are JSON already."""
    return "{" + ", ".join(f"{json_text(name)}: {value}" for name, value in fields.items()) + "}\n"


def yaml_object(fields: Mapping[str, str]) -> str:
    """A YAML map, a line for each field. The values are JSON."""
    return (
        "".join(_yaml_line(yaml_of(json_text(name)), yaml_of(value)) for name, value in fields.items())
        or "{}\n"
    )


def _yaml_line(key: str, value: str) -> str:
    return f"{key}: {value}\n" if len(key) < _SIMPLE else f"? {key}\n: {value}\n"


def yaml_of(text: str) -> str:
    """JSON on one line that every YAML reads as the same value.

    YAML 1.1 takes 1e5 for a text, some characters for line ends, and a long key for one only after a question mark.
    """
    return _TOKEN.sub(_yaml_part, " ".join(text.split("\n")))


def _yaml_part(part: re.Match[str]) -> str:
    token = _yaml_token(part["token"])
    return f"{'? ' if part['colon'] and len(token) >= _SIMPLE else ''}{token}{part['colon']}"


def _yaml_token(token: str) -> str:
    if token.startswith('"'):
        return _BEYOND.sub(_escaped, json.dumps(json.loads(token), ensure_ascii=False))
    mantissa, exponent, power = token.lower().partition("e")
    if not exponent:
        return token
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{mantissa}e{power if power[0] in '-+' else f'+{power}'}"


def _escaped(character: re.Match[str]) -> str:
    number = ord(character[0])
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
