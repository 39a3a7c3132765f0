"""`Sensitive`: a value that does not leave by accident.

It prints as dots, refuses to pickle, compares in constant time, and gives its content only by `.reveal()`.
Python may still copy the bytes behind our back: this keeps values out of logs, tracebacks and files, not out of memory.
"""

from __future__ import annotations

import hmac
from typing import Any, Final, NoReturn, SupportsIndex

MASK: Final = "••••"


class Sensitive:
    """Holds one secret text or bytes. Only `reveal()` gives it back."""

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret as text. Raises `ValueError` (without the value) when it is not UTF-8."""
        return self._value if isinstance(self._value, str) else decode_utf8(self._value)

    def reveal_bytes(self) -> bytes:
        """The secret as bytes (text as UTF-8). Raises `ValueError` (without the value) for text that has no UTF-8."""
        return encode_utf8(self._value) if isinstance(self._value, str) else self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

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

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Sensitive does not pickle: store the secret's name and fetch it where it is used")

    def __copy__(self) -> Sensitive:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Sensitive:
        return self


def decode_utf8(value: bytes) -> str:
    """Decode, with an error that does not carry the bytes (the standard one holds them whole)."""
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        position, reason = error.start, error.reason
    raise ValueError(f"the value is not UTF-8 text (byte {position}: {reason}); use reveal_bytes()")


def encode_utf8(text: str) -> bytes:
    """Encode, with an error that does not carry the text: what the system could not decode has no UTF-8 either."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        position, reason = error.start, error.reason
    raise ValueError(f"the value is not UTF-8 text (character {position}: {reason})")
