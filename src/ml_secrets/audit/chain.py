"""The writing side of the chain that domain/audit_chain.py describes and checks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.crypto.hmac import keyed_states
from ml_secrets.domain.audit_chain import NO_HASH, Head, first_key, key_id, next_key

if TYPE_CHECKING:
    from collections.abc import Callable

SEGMENT_SECONDS: Final = 3600.0
_SHA256: Final = hashlib.sha256()
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
        self._inner, self._outer = keyed_states(self._key)
        self._ends: float | None = None
        self._seq, self._hash = 0, NO_HASH.encode()

    @property
    def head(self) -> Head:
        """The end of the chain."""
        return Head(self._seq, self._hash.decode())

    @head.setter
    def head(self, head: Head) -> None:
        self._seq, self._hash = head.seq, head.hash.encode()

    def due(self, now: float) -> bool:
        """The segment has lasted its hour."""
        return self._ends is not None and now >= self._ends

    def turn(self) -> None:
        """Go on to the next segment, and forget this one's key."""
        following = next_key(self._key)
        self._key[:] = following
        self._inner, self._outer = keyed_states(following)
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

    def seal(self, *records: bytes) -> bytes:
        """Each record, a JSON object, as the chain's next line."""
        lines: list[bytes] = []
        seq, last = self._seq, self._hash
        for record in records:
            seq += 1
            start = b'%b,"seq":%d,"prev":"%b"' % (record[:-1], seq, last)
            digest, inner, outer = _SHA256.copy(), self._inner.copy(), self._outer.copy()
            digest.update(start)
            inner.update(digest.digest())
            outer.update(inner.digest())
            end = b',"mac":"%b"}\n' % outer.hexdigest().encode()
            digest.update(end[:-1])
            last = digest.hexdigest().encode()
            lines += start, end
        self._seq, self._hash = seq, last
        return b"".join(lines)

    def forget(self) -> None:
        """Wipe the key."""
        self._key[:] = bytes(len(self._key))
        self._inner, self._outer = keyed_states(self._key)
