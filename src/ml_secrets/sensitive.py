"""`Sensitive`: a value that does not leave by accident.

It prints as dots, refuses to pickle, compares in constant time, and gives its content only by `.reveal()`.
Python may still copy the bytes behind our back: this keeps values out of logs, tracebacks and files, not out of memory.

No frame that raises holds the value, no line that raises names the place it is in (cgitb looks such names up), and what lists
attributes (rich's inspect, jsonpickle, debuggers) does not find it.
"""

from __future__ import annotations

import hmac
from typing import Any, Final, NoReturn, Self, SupportsIndex

MASK: Final = "••••"


class Masked:
    """What prints as dots, does not pickle, and is its own copy. Subclasses may print more in `repr`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} does not pickle: hand over the secret's name and fetch it where it is used"
        )

    def __getstate__(self) -> NoReturn:
        self.__reduce_ex__(2)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class Sensitive(Masked):
    """Holds one secret text or bytes. Only `reveal()` gives it back."""

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret as text. Raises `ValueError` (without the value) when it is not UTF-8."""
        if isinstance(self._value, str):
            return self._value
        text, problem = _decoded(self._value)
        if problem:
            raise ValueError(f"the value is not UTF-8 text ({problem}); use reveal_bytes()")
        return text

    def reveal_bytes(self) -> bytes:
        """The secret as bytes (text as UTF-8). Raises `ValueError` (without the value) for text that has no UTF-8."""
        if isinstance(self._value, bytes):
            return self._value
        content, problem = _encoded(self._value)
        if problem:
            raise ValueError(f"the value is not UTF-8 text ({problem})")
        return content

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name != "_value"]

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sensitive):
            return NotImplemented
        return hmac.compare_digest(self.reveal_bytes(), other.reveal_bytes())

    def __hash__(self) -> NoReturn:
        raise TypeError(
            "a Sensitive is no dictionary key: its hash would tell equal secrets apart from others"
        )


def _decoded(value: bytes) -> tuple[str, str]:
    """The text; or "" and why it is none. The standard error would hold the bytes."""
    try:
        return value.decode(), ""
    except UnicodeDecodeError as error:
        return "", f"byte {error.start}: {error.reason}"


def _encoded(value: str) -> tuple[bytes, str]:
    """The bytes; or b"" and why there are none: what the system could not decode has no UTF-8 either."""
    try:
        return value.encode(), ""
    except UnicodeEncodeError as error:
        return b"", f"character {error.start}: {error.reason}"
