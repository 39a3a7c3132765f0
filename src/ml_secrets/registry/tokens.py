"""Live tokens. Only HMACs of tokens and accessors are in the store, and its rows are sealed.

    open/token/id/<key>                 TokenEntry
    open/token/accessor/<HMAC>          key
    open/token/child/<parent key>/<key> (empty)
    open/token/expire/<seconds>/<key>   (empty), in the order of time
    open/token/doomed/<key>             (empty): ended, with descendants left to sweep

`key` is HMAC-SHA256(token key, token) in hex. Batch tokens have no row: they are sealed blobs that carry their entry.

A token is live while it has not expired, no cut (cuts.py) has ended it, and all its ancestors are live. So the end of a
parent, or of everything below a path, is one small write, and takes effect for all it ends in that one moment; the rows
left behind are dead, and are swept away in bounded rounds (`sweep`).
"""

from __future__ import annotations

import base64
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.crypto.hmac import Hmac
from ml_secrets.domain.token import BATCH_PREFIX, SERVICE_PREFIX, TokenEntry
from ml_secrets.errors import Fault, Invalid, Refusal
from ml_secrets.registry.cache import Cache
from ml_secrets.registry.cuts import KeptCuts, Round

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ml_secrets.registry.unit import Unit

_ID: Final = "open/token/id/"
_ACCESSOR: Final = "open/token/accessor/"
_CHILD: Final = "open/token/child/"
_EXPIRE: Final = "open/token/expire/"
_DOOMED: Final = "open/token/doomed/"
_SUBKEYS: Final = 2
_CACHE_BYTES: Final = 40 * 1024 * 1024
_ENTRY_BYTES: Final = 1200  # about what a remembered token takes, without what its owner may make long
_TEXT_BYTES: Final = 60  # beside the text itself
_BATCH_CONTEXT: Final = b"batch-token"
_AT_ONCE: Final = 200
"""So many tokens of a family end in the request that ends it; the rest is swept."""

_ACCESSOR_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz234567" * 8
"""A letter for each byte: five random bits of it count."""
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
        self._hmac = lru_cache(_SUBKEYS)(Hmac)
        self._cache: Cache[str, TokenEntry] = Cache(_CACHE_BYTES, self._read, _weight)
        self._cuts = KeptCuts()

    def forget_all(self) -> None:
        """Drop every cached entry (the server seals, or its keys changed)."""
        self._cache.forget()
        self._cuts.forget()
        self._hmac.cache_clear()

    # ── looking up ──────────────────────────────────────────────────────────────────────────────────────────────────

    def key_of(self, token: str) -> str:
        """A token's name in the store. Any text is fine: what was never issued is simply not found."""
        return self._hmac(self._keys.subkey("token")).hex(token.encode(errors="replace"))

    def digest(self, purpose: str, text: str) -> str:
        """The name in the store of another secret text (an accessor, a secret id), apart for each purpose."""
        message = purpose.encode() + b"\0" + text.encode(errors="replace")
        return self._hmac(self._keys.subkey("token-names")).hex(message)

    def find(self, unit: Unit, token: str) -> tuple[str, TokenEntry] | None:
        """(key, entry) of a live token, or None."""
        key = self.key_of(token)
        entry = self._open_batch(unit, token) if token.startswith(BATCH_PREFIX) else self.entry(unit, key)
        return (key, entry) if entry is not None else None

    def entry(self, unit: Unit, key: str) -> TokenEntry | None:
        """The live entry of that key. What has expired or been cut off is not live, even before it is swept away."""
        entry = self._cache.load(unit, key)
        if entry is None or not self.lives(unit, entry):
            return None
        return entry

    def by_accessor(self, unit: Unit, accessor: str) -> tuple[str, TokenEntry]:
        """(key, entry). Raises `Invalid` for an unknown accessor."""
        key = unit.tx.get(_ACCESSOR + self.digest("accessor", accessor))
        entry = self.entry(unit, key.decode()) if key else None
        if key is None or entry is None:
            raise Invalid("invalid accessor", hint="list them with LIST auth/token/accessors")
        return key.decode(), entry

    def all(self, unit: Unit) -> Iterator[tuple[str, TokenEntry]]:
        """Every live token. Cost grows with their number."""
        for key in unit.tx.list(_ID):
            entry = self._read(unit, key)
            if entry is not None and self.lives(unit, entry):
                yield key, entry

    # ── issuing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def new_token(self) -> str:
        """A fresh service token: prefix and 256 random bits."""
        return SERVICE_PREFIX + base64.urlsafe_b64encode(self._random(32)).rstrip(b"=").decode()

    def new_accessor(self) -> str:
        """A fresh accessor: 24 letters and digits."""
        return self._random(24).translate(_ACCESSOR_LETTERS).decode()

    def issue(self, unit: Unit, entry: TokenEntry, *, token: str = "") -> str:
        """Store a service token; returns it. A chosen `token` must not exist, nor be on its way out, yet."""
        chosen, token = bool(token), token or self.new_token()
        key = self.key_of(token)
        if chosen and (unit.tx.get(_ID + key) is not None or unit.tx.get(_DOOMED + key) is not None):
            raise Invalid(
                "cannot create a token with a duplicate ID",
                hint="one that has just ended counts for a moment, too",
            )
        self._store(
            unit, key, msgspec.structs.replace(entry, generation=self.generation(unit)), new=not chosen
        )
        unit.tx.put(_ACCESSOR + self.digest("accessor", entry.accessor), key.encode(), new=True)
        if entry.parent:
            unit.tx.put(f"{_CHILD}{entry.parent}/{key}", b"", new=not chosen)
        return token

    def issue_batch(self, unit: Unit, entry: TokenEntry) -> str:
        """A batch token: the sealed entry itself. Nothing is stored."""
        entry = msgspec.structs.replace(entry, generation=self.generation(unit))
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
        """End a token and all its descendants. Returns how many were swept at once; of a large family `sweep` does the rest.

        `on_end(key)` lets what hangs on each token (cubbyhole, wrapped answer) go with it.
        """
        return len(self._revoke_some(unit, [key], on_end))

    def revoke_orphaning(self, unit: Unit, key: str, *, on_end: Callable[[str], None]) -> None:
        """End one token; its children live on as orphans."""
        for child in unit.tx.list(f"{_CHILD}{key}/"):
            entry = self._read(unit, child)
            if entry is not None:
                self._store(unit, child, msgspec.structs.replace(entry, parent=""))
            unit.tx.delete(f"{_CHILD}{key}/{child}")
        on_end(key)
        self._end(unit, key)

    def cut(self, unit: Unit, prefix: str) -> None:
        """End every token that was made below a path ("auth/userpass/"; "" for all), batch tokens too, at once."""
        self._cuts.add(unit, prefix)

    def sweep(self, unit: Unit, *, limit: int, on_end: Callable[[str], None]) -> bool:
        """Remove rows of at most `limit` dead tokens and a few hundred of their descendants. True when more may be waiting."""
        due = self._due(unit, limit) or unit.tx.list(_DOOMED, limit=1)
        if due:
            self._revoke_some(unit, due, on_end)
            return True
        at = self._cuts.round(unit)
        if at is None:
            return False
        keys = unit.tx.list(_ID, after=at.after, limit=limit)
        if not keys:
            return self._cuts.end_round(unit, at)
        cuts, entries = self._cuts.load(unit), [(key, self._read(unit, key)) for key in keys]
        over = [key for key, entry in entries if entry is not None and cuts.end(entry)]
        if self._revoke_some(unit, over, on_end).issuperset(over):
            self._cuts.go_on(unit, Round(at.first, keys[-1]))
        return True

    def waiting(self, unit: Unit) -> bool:
        """True when `sweep` has something to do."""
        return bool(self._due(unit, 1) or unit.tx.list(_DOOMED, limit=1)) or self._cuts.in_round(unit)

    # ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def lives(self, unit: Unit, entry: TokenEntry) -> bool:
        """Not expired, not cut off, and so up the line of its ancestors."""
        cuts = self._cuts.load(unit)
        while True:
            if (entry.expires is not None and entry.expires <= unit.now) or cuts.end(entry):
                return False
            if not entry.parent:
                return True
            above = self._cache.load(unit, entry.parent)
            if above is None:
                return False
            entry = above

    def until(self, unit: Unit, entry: TokenEntry) -> float:
        """When a live token ends if nobody writes: the first of its own expiry and its ancestors'. Infinite for never."""
        ends = math.inf
        while True:
            if entry.expires is not None:
                ends = min(ends, entry.expires)
            above = self._cache.load(unit, entry.parent) if entry.parent else None
            if above is None:
                return ends
            entry = above

    def _revoke_some(self, unit: Unit, keys: list[str], on_end: Callable[[str], None]) -> set[str]:
        """End these with their families, until `_AT_ONCE` are together; the keys of all that ended.

        All looking first, all removing last: looking is cheap while a transaction has changed little.
        """
        ending: set[str] = set()
        for key in keys:
            if len(ending) >= _AT_ONCE:
                break
            family, complete = self._family(unit, key)
            ending.update(family)
            if complete:
                unit.tx.delete(_DOOMED + key)
            else:
                unit.tx.put(_DOOMED + key, b"")
        for key in ending:
            on_end(key)
        for key in ending:
            self._end(unit, key)
        return ending

    def _family(self, unit: Unit, key: str) -> tuple[list[str], bool]:
        """A token and its descendants, children before parents, and whether these are all. The token itself is always there.

        Children go first, so that none is left below a row that is gone, with nothing that leads to it.
        """
        found: list[str] = []
        path = [(key, iter(self._children(unit, key)))]
        while path and len(found) < _AT_ONCE:
            member, children = path[-1]
            child = next(children, None)
            if child is None:
                found.append(member)
                path.pop()
            else:
                path.append((child, iter(self._children(unit, child))))
        return (found, True) if not path else ([*found, key], False)

    @staticmethod
    def _children(unit: Unit, key: str) -> list[str]:
        return unit.tx.list(f"{_CHILD}{key}/", limit=_AT_ONCE)

    def _due(self, unit: Unit, limit: int) -> list[str]:
        """Keys of tokens that have expired, oldest first."""
        found: list[str] = []
        for moment in unit.tx.list(_EXPIRE, limit=limit):
            if int(moment.rstrip("/"), 16) > unit.now or len(found) >= limit:
                break
            found += unit.tx.list(_EXPIRE + moment, limit=limit - len(found))
        return found

    # ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def _read(unit: Unit, key: str) -> TokenEntry | None:
        row = unit.tx.get(_ID + key)
        return None if row is None else _decode(row)

    def _store(self, unit: Unit, key: str, entry: TokenEntry, *, new: bool = False) -> None:
        unit.tx.put(_ID + key, _encode(entry), new=new)
        if entry.expires is not None:
            unit.tx.put(_expiry_key(entry.expires, key), b"", new=new)
        unit.changes(self._cache, key)

    def _end(self, unit: Unit, key: str) -> None:
        entry = self._read(unit, key)
        if entry is None:
            return
        unit.tx.delete(_ID + key)
        unit.tx.delete(_ACCESSOR + self.digest("accessor", entry.accessor))
        if entry.parent:
            unit.tx.delete(f"{_CHILD}{entry.parent}/{key}")
        if entry.expires is not None:
            unit.tx.delete(_expiry_key(entry.expires, key))
        unit.changes(self._cache, key)

    def generation(self, unit: Unit) -> int:
        """What a token made now is stamped with: a cut from now on ends it."""
        return self._cuts.load(unit).generation

    def _open_batch(self, unit: Unit, token: str) -> TokenEntry | None:
        text = token[len(BATCH_PREFIX) :]
        try:
            blob = base64.urlsafe_b64decode(text + "==")
            if base64.urlsafe_b64encode(blob).rstrip(b"=") != text.encode():
                return None  # another spelling of one that we made: the audit log would not know it again
            entry = _decode(self._keys.unseal(self._keys.subkey("batch-token"), blob, _BATCH_CONTEXT))
        except (ValueError, msgspec.MsgspecError, Refusal, Fault):
            return None
        return entry if entry.expires is not None and self.lives(unit, entry) else None


def _weight(entry: TokenEntry) -> int:
    """About the bytes that a remembered token takes."""
    texts = [*entry.policies, *entry.bound_cidrs, entry.path, entry.display_name, entry.alias]
    for name, value in (entry.meta or {}).items():
        texts += name, value
    return _ENTRY_BYTES + sum(len(text) + _TEXT_BYTES for text in texts)


def _expiry_key(expires: float, key: str) -> str:
    return f"{_EXPIRE}{int(expires) + 1:012x}/{key}"
