"""Cursors: where a long answer goes on, sealed, so that whoever carries one learns nothing from it.

A page may end at a name that its caller must not see. Nothing is stored; a cursor opens for the purpose it was made for.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from ml_secrets.registry.tokens import Keys

_KEY: Final = "cursor"
_LONGEST: Final = 2048


class Cursors:
    """Makes and reads them. `purpose` names the list that a cursor belongs to."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def seal(self, purpose: str, place: str) -> str:
        """The cursor for a place; every one has the same length for places of up to 512 bytes."""
        text = place.encode()
        blob = self._keys.seal(self._keys.subkey(_KEY), text.ljust(512, b"\0"), purpose.encode())
        return base64.urlsafe_b64encode(blob).rstrip(b"=").decode()

    def open(self, purpose: str, cursor: str) -> str:
        """The place. Raises `Invalid` for what `seal` did not make for this purpose."""
        if len(cursor) > _LONGEST or not cursor.isascii():
            raise Invalid("the cursor is none of this list's", hint="begin anew, without it")
        try:
            blob = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            return self._keys.unseal(self._keys.subkey(_KEY), blob, purpose.encode()).rstrip(b"\0").decode()
        except (binascii.Error, ValueError, Invalid):
            raise Invalid("the cursor is none of this list's", hint="begin anew, without it") from None
