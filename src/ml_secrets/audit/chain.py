"""The writing side of the chain that domain/audit_chain.py describes and checks."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.domain.audit_chain import Head, first_key, key_id, next_key

if TYPE_CHECKING:
    from collections.abc import Callable

SEGMENT_SECONDS: Final = 3600.0
_encode = msgspec.json.Encoder().encode


class Chain:
    """One device's chain. Not thread-safe: its device locks.

    `seal` moves the chain on; a caller whose write failed puts `head` back to what it was.
    """

    def __init__(self, verification_key: bytes, random: Callable[[int], bytes]) -> None:
        self._id = key_id(verification_key)
        self._run = random(16).hex()
        self._number = 0
        self._key = bytearray(first_key(verification_key, self._run))
        self._ends: float | None = None
        self.head = Head()

    def due(self, now: float) -> bool:
        """The segment has lasted its hour."""
        return self._ends is not None and now >= self._ends

    def turn(self) -> None:
        """Go on to the next segment, and forget this one's key."""
        following = next_key(self._key)
        self._key[:] = following
        self._number += 1
        self._ends = None

    def opening(
        self, now: float, time: str, *, begins: bool, repaired: int = 0, lost: Head | None = None
    ) -> bytes:
        """The line that opens the segment."""
        self._ends = now + SEGMENT_SECONDS
        header: dict[str, object] = {
            "run": self._run,
            "number": self._number,
            "key": self._id,
            "begins": begins,
        }
        if repaired:
            header["repaired"] = repaired
        if lost is not None:
            header["lost"] = {"seq": lost.seq, "hash": lost.hash}
        return self.seal(_encode({"time": time, "type": "segment", "segment": header}))

    def seal(self, record: bytes) -> bytes:
        """`record`, a JSON object, as the chain's next line."""
        head = self.head
        seq = head.seq + 1
        start = b'%b,"seq":%d,"prev":"%b"' % (record[:-1], seq, head.hash.encode())
        digest = hashlib.sha256(start)
        end = b',"mac":"%b"}' % hmac.digest(self._key, digest.digest(), "sha256").hex().encode()
        digest.update(end)
        self.head = Head(seq, digest.hexdigest())
        return start + end + b"\n"

    def forget(self) -> None:
        """Wipe the key."""
        self._key[:] = bytes(len(self._key))
