"""Live tokens. Only HMACs of tokens and accessors are in the store, and its rows are sealed.

    open/token/id/<key>                 TokenEntry
    open/token/accessor/<HMAC>          key
    open/token/child/<parent key>/<key> (empty)
    open/token/expire/<seconds>/<key>   (empty), in the order of time

`key` is HMAC-SHA256(token key, token) in hex. Batch tokens have no row: they are sealed blobs that carry their entry.
"""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.domain.token import BATCH_PREFIX, SERVICE_PREFIX, TokenEntry
from ml_secrets.errors import Invalid, NotFound, Unsupported
from ml_secrets.registry.cache import Cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ml_secrets.registry.unit import Unit

_ID: Final = "open/token/id/"
_ACCESSOR: Final = "open/token/accessor/"
_CHILD: Final = "open/token/child/"
_EXPIRE: Final = "open/token/expire/"
_BATCH_CONTEXT: Final = b"batch-token"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TokenEntry).decode


class Keys:
    """Where the tokens registry gets its keys: the barrier, while it is open."""

    def __init__(
        self,
        subkey: Callable[[str], bytes],
        seal: Callable[[bytes, bytes, bytes], bytes],
        unseal: Callable[[bytes, bytes, bytes], bytes],
    ) -> None:
        self.subkey = subkey
        self.seal = seal
        self.unseal = unseal


class Tokens:
    """The registry of tokens."""

    def __init__(self, keys: Keys, random: Callable[[int], bytes]) -> None:
        self._keys = keys
        self._random = random
        self._cache: Cache[TokenEntry] = Cache(100_000)

    def forget_all(self) -> None:
        """Drop every cached entry (the server seals, or its keys changed)."""
        self._cache.forget()

    # ── looking up ──────────────────────────────────────────────────────────────────────────────────────────────────

    def key_of(self, token: str) -> str:
        """A token's name in the store. Any text is fine: what was never issued is simply not found."""
        return hmac.digest(self._keys.subkey("token"), token.encode(errors="replace"), "sha256").hex()

    def find(self, unit: Unit, token: str) -> tuple[str, TokenEntry] | None:
        """(key, entry) of a live token, or None."""
        key = self.key_of(token)
        entry = self._open_batch(unit, token) if token.startswith(BATCH_PREFIX) else self.entry(unit, key)
        return (key, entry) if entry is not None else None

    def entry(self, unit: Unit, key: str) -> TokenEntry | None:
        """The live entry of that key. An expired one is not live, even if nobody has swept it away yet."""
        entry = self._cache.load(unit, key, lambda: self._read(unit, key))
        if entry is None or (entry.expires is not None and entry.expires <= unit.now):
            return None
        return entry

    def by_accessor(self, unit: Unit, accessor: str) -> tuple[str, TokenEntry]:
        """(key, entry). Raises `Invalid` for an unknown accessor."""
        key = unit.tx.get(_ACCESSOR + self._accessor_key(accessor))
        entry = self.entry(unit, key.decode()) if key else None
        if key is None or entry is None:
            raise Invalid("invalid accessor", hint="list them with LIST auth/token/accessors")
        return key.decode(), entry

    def all(self, unit: Unit) -> Iterator[tuple[str, TokenEntry]]:
        """Every live token. Cost grows with their number."""
        for key in unit.tx.list(_ID):
            entry = self.entry(unit, key)
            if entry is not None:
                yield key, entry

    # ── issuing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def new_token(self) -> str:
        """A fresh service token: prefix and 256 random bits."""
        return SERVICE_PREFIX + base64.urlsafe_b64encode(self._random(32)).rstrip(b"=").decode()

    def new_accessor(self) -> str:
        """A fresh accessor: 24 letters and digits."""
        return base64.b32encode(self._random(15)).decode().lower()

    def issue(self, unit: Unit, entry: TokenEntry, *, token: str = "") -> str:
        """Store a service token; returns it. A chosen `token` must not exist yet."""
        token = token or self.new_token()
        key = self.key_of(token)
        if unit.tx.get(_ID + key) is not None:
            raise Invalid("cannot create a token with a duplicate ID")
        self._store(unit, key, entry)
        unit.tx.put(_ACCESSOR + self._accessor_key(entry.accessor), key.encode())
        if entry.parent:
            unit.tx.put(f"{_CHILD}{entry.parent}/{key}", b"")
        return token

    def issue_batch(self, entry: TokenEntry) -> str:
        """A batch token: the sealed entry itself. Nothing is stored."""
        blob = self._keys.seal(self._keys.subkey("batch-token"), _encode(entry), _BATCH_CONTEXT)
        return BATCH_PREFIX + base64.urlsafe_b64encode(blob).rstrip(b"=").decode()

    def renew(self, unit: Unit, key: str, entry: TokenEntry, *, expires: float) -> TokenEntry:
        """Move a token's expiry."""
        if entry.expires is not None:
            unit.tx.delete(_expiry_key(entry.expires, key))
        renewed = msgspec.structs.replace(entry, expires=expires, last_renewal=unit.now)
        self._store(unit, key, renewed)
        return renewed

    def spend(self, unit: Unit, key: str) -> TokenEntry | None:
        """Take one use off a token with limited uses; the last use leaves -1. None when none is left."""
        entry = self.entry(unit, key)
        if entry is None or entry.uses_left < 0:
            return None
        if entry.uses_left:
            entry = msgspec.structs.replace(entry, uses_left=entry.uses_left - 1 or -1)
            self._store(unit, key, entry)
        return entry

    # ── ending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def revoke(self, unit: Unit, key: str, *, on_end: Callable[[str], None]) -> int:
        """End a token and all its descendants in this one transaction. Returns how many ended.

        `on_end(key)` lets what hangs on each token (cubbyhole, wrapped answer) go with it.
        """
        waiting, ended = [key], 0
        while waiting:
            current = waiting.pop()
            waiting += unit.tx.list(f"{_CHILD}{current}/")
            ended += self._end(unit, current)
            on_end(current)
        return ended

    def revoke_orphaning(self, unit: Unit, key: str, *, on_end: Callable[[str], None]) -> None:
        """End one token; its children live on as orphans."""
        for child in unit.tx.list(f"{_CHILD}{key}/"):
            entry = self._read(unit, child)
            if entry is not None:
                self._store(unit, child, msgspec.structs.replace(entry, parent=""))
            unit.tx.delete(f"{_CHILD}{key}/{child}")
        self._end(unit, key)
        on_end(key)

    def due(self, unit: Unit, *, limit: int) -> list[str]:
        """Keys of tokens that have expired, oldest first."""
        found: list[str] = []
        for moment in unit.tx.list(_EXPIRE):
            if int(moment.rstrip("/"), 16) > unit.now or len(found) >= limit:
                break
            found += unit.tx.list(_EXPIRE + moment, limit=limit - len(found))
        return found

    # ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, unit: Unit, key: str) -> TokenEntry | None:
        row = unit.tx.get(_ID + key)
        return None if row is None else _decode(row)

    def _store(self, unit: Unit, key: str, entry: TokenEntry) -> None:
        unit.tx.put(_ID + key, _encode(entry))
        if entry.expires is not None:
            unit.tx.put(_expiry_key(entry.expires, key), b"")
        unit.changes(self._cache, key)

    def _end(self, unit: Unit, key: str) -> bool:
        entry = self._read(unit, key)
        if entry is None:
            return False
        unit.tx.delete(_ID + key)
        unit.tx.delete(_ACCESSOR + self._accessor_key(entry.accessor))
        if entry.parent:
            unit.tx.delete(f"{_CHILD}{entry.parent}/{key}")
        if entry.expires is not None:
            unit.tx.delete(_expiry_key(entry.expires, key))
        unit.changes(self._cache, key)
        return True

    def _accessor_key(self, accessor: str) -> str:
        return hmac.digest(self._keys.subkey("token"), b"accessor\0" + accessor.encode(errors="replace"), "sha256").hex()

    def _open_batch(self, unit: Unit, token: str) -> TokenEntry | None:
        try:
            blob = base64.urlsafe_b64decode(token[len(BATCH_PREFIX) :] + "==")
            entry = _decode(self._keys.unseal(self._keys.subkey("batch-token"), blob, _BATCH_CONTEXT))
        except (ValueError, msgspec.MsgspecError, Unsupported, NotFound):
            return None
        if entry.expires is None or entry.expires <= unit.now:
            return None
        if entry.parent and self.entry(unit, entry.parent) is None:
            return None  # its parent has ended, and so has it
        return entry


def _expiry_key(expires: float, key: str) -> str:
    return f"{_EXPIRE}{int(expires) + 1:012x}/{key}"
