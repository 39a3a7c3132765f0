"""Arguments as callers gave them, checked before anything is sent. What does not fit is `Invalid`, and says what does.

Only what would otherwise be taken for something else is checked here; values of secrets never are: see encoding.py.
"""

from __future__ import annotations

from typing import Any

from ml_secrets.errors import Invalid


def whole(number: Any, what: str) -> int:
    """A whole number from 0 on: a version, a check-and-set."""
    if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
        return number
    raise Invalid(f"{number!r} is no {what}", hint="it is a whole number, such as 3")


def versions(numbers: Any) -> list[int]:
    """A list of versions. One text is none: its characters would be taken for versions."""
    if isinstance(numbers, str | bytes) or not hasattr(numbers, "__iter__"):
        raise Invalid(f"{numbers!r} is no list of versions", hint="write [3], or [3, 4]")
    return [whole(number, "version") for number in numbers]


def names(several: Any) -> list[str]:
    """A list of names. One text is none: its letters are no names."""
    if isinstance(several, str | bytes):
        raise Invalid(
            "one name, where a list of them was expected", hint="get_secret(name), or get_secrets([name])"
        )
    if not hasattr(several, "__iter__"):
        raise Invalid(f"{several!r} is no list of names", hint='get_secrets(["team/db", "openai/api-key"])')
    return list(several)


def text(given: Any, what: str) -> str:
    """A text: a folder, a user's name."""
    if isinstance(given, str):
        return given
    raise Invalid(f"{given!r} is no {what}", hint="it is a text")
