"""The writing side of the chain that domain/audit_chain.py describes and checks."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.crypto.hmac import keyed_states
from ml_secrets.domain.audit_chain import NO_HASH, Head, first_key, key_id, next_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SEGMENT_SECONDS: Final = 3600.0
_sha256: Final = hashlib.sha256
_encode = msgspec.json.Encoder().encode


class Chain:
    """One device's chain. Not thread-safe: its device locks.

    `seal` moves the chain on; a caller whose write failed puts `at` back to what it was.
    """

    def __init__(self, verification_key: bytes, random: Callable[[int], bytes]) -> None:
        self._id = key_id(verification_key)
        self._run = random(16).hex()
        self._number = 0
        self._key = bytearray(first_key(verification_key, self._run))
        self._inner, self._outer = keyed_states(self._key)
        self.ends = math.inf
        """When the segment has lasted its hour."""
        self.at = (0, NO_HASH)
        """The number and the hash of the last line."""

    @property
    def head(self) -> Head:
        """The end of the chain."""
        return Head(*self.at)

    def turn(self) -> None:
        """Go on to the next segment, and forget this one's key."""
        following = next_key(self._key)
        self._key[:] = following
        self._inner, self._outer = keyed_states(following)
        self._number += 1
        self.ends = math.inf

    def opening(
        self, now: float, time: str, *, begins: bool, repaired: int = 0, lost: Head | None = None
    ) -> bytes:
        """The line that opens the segment."""
        self.ends = now + SEGMENT_SECONDS
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
        return self.seal((_encode({"time": time, "type": "segment", "segment": header}),))

    def seal(self, records: Iterable[bytes]) -> bytes:
        """Each record, a JSON object, as the chain's next line."""
        parts: list[bytes] = []
        (seq, last), inner_of, outer_of = self.at, self._inner.copy, self._outer.copy
        for record in records:
            seq += 1
            start, place = record[:-1], f',"seq":{seq},"prev":"{last}"'.encode()
            digest, inner, outer = _sha256(start), inner_of(), outer_of()
            digest.update(place)
            inner.update(digest.digest())
            outer.update(inner.digest())
            mac = f',"mac":"{outer.hexdigest()}"}}'.encode()
            digest.update(mac)
            last = digest.hexdigest()
            parts += start, place, mac, b"\n"
        self.at = seq, last
        return b"".join(parts)

    def forget(self) -> None:
        """Wipe the key."""
        self._key[:] = bytes(len(self._key))
        self._inner, self._outer = keyed_states(self._key)
