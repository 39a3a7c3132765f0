"""What exists only while the barrier is open, and goes when it seals: keys, and what is remembered with them.

Where a row lies, and what it is bound to:
    open/...   names made by us (random ids, HMACs, times): the row lies under its own name
    sealed/x   names made by people: x is an HMAC of the whole name (and barrier/names.py knows their order)
    names/x    pages of that tree, under random ids
Associated data is (cluster id, kind, full name), each with its length. Values are padded to multiples of 256 bytes, so
that sizes tell little; an empty value (a mere index row) stays empty. Names are remembered here, values never.

A forked child has no part in this: for it the barrier is closed.
"""

from __future__ import annotations

import os
import weakref
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.barrier.integrity import State
from ml_secrets.barrier.names import Page
from ml_secrets.crypto import kdf
from ml_secrets.crypto.aead import tampered
from ml_secrets.crypto.hmac import Hmac
from ml_secrets.errors import Sealed, TamperFault

if TYPE_CHECKING:
    from ml_secrets.barrier.keyring import Keyring

OPEN: Final = "open/"
SEALED: Final = "sealed/"
NAMES: Final = "names/"
_BUCKET: Final = 256
_END: Final = b"\x80"
_EPOCH: Final = slice(4, 8)
_PLACES: Final = 32_768
_PAGES: Final = 1024
_NO_KEY: Final = Hmac(bytes(kdf.KEY_SIZE))
_encode = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(State).decode
_decode_page = msgspec.msgpack.Decoder(Page).decode


class Opened:
    """An open barrier's insides. `closed` is set before the keys are wiped, and checked after they were used."""

    def __init__(self, keyring: Keyring, state: State) -> None:
        self.keyring = keyring
        self.state = state
        self.closed = False
        self.subkeys: dict[str, bytes] = {}
        self.state_key = keyring.memory.take(kdf.KEY_SIZE)
        kdf.expand_into(self.state_key, keyring.stable_key, "state")
        self.state_mac = Hmac(self.state_key)
        names_key = keyring.memory.take(kdf.KEY_SIZE)
        kdf.expand_into(names_key, keyring.stable_key, "names")
        self._names = Hmac(names_key)
        self._row = kdf.framed(keyring.cluster_id, "row")
        self._page = kdf.framed(keyring.cluster_id, "page")
        self.state_context = kdf.framed(keyring.cluster_id, "state")
        self.place = lru_cache(_PLACES)(self.place_of)
        self.page = lru_cache(_PAGES)(self.open_page)
        _all.add(self)

    # ── places ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def place_of(self, name: str) -> tuple[str, bytes]:
        """Where the row of that name lies, and what it is bound to. `place` remembers it."""
        raw = name.encode()
        context = self._row + kdf.frame(raw)
        if name.startswith(OPEN):
            return name, context
        return SEALED + self._names.digest(raw)[:24].hex(), context

    def page_context(self, place: str) -> bytes:
        """What the page at that place is bound to."""
        return self._page + kdf.framed(place)

    # ── sealing and opening ─────────────────────────────────────────────────────────────────────────────────────────

    def conceal(self, value: bytes, context: bytes) -> bytes:
        """A row with that value, under the newest key."""
        padded = value + _END + bytes(-(len(value) + 1) % _BUCKET) if value else value
        return self.keyring.newest.cipher.seal(padded, context)

    def reveal(self, row: bytes, context: bytes) -> bytes:
        """A row's value. Raises `TamperFault` when it is not what we wrote there."""
        cipher = self.keyring.ciphers.get(row[_EPOCH])
        if cipher is None:
            self.check()
            raise tampered()
        try:
            padded = cipher.open(row, context)
        except TamperFault:
            self.check()
            raise
        return padded[: padded.rindex(_END)] if padded else padded

    def conceal_page(self, place: str, page: Page) -> bytes:
        """A row with that page."""
        return self.conceal(_encode(page), self.page_context(place))

    def open_page(self, row: bytes, place: str) -> Page:
        """The page in the row at that place. `page` remembers it."""
        return _decode_page(self.reveal(row, self.page_context(place)))

    def conceal_state(self, state: State) -> bytes:
        """The state's row."""
        return self.conceal(_encode(state), self.state_context)

    def reveal_state(self, row: bytes | None) -> State:
        """The state from its row."""
        if row is None:
            raise TamperFault("the store's state is missing", hint="restore the store from a backup")
        return _decode_state(self.reveal(row, self.state_context))

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        """Raise `Sealed` when the barrier has sealed meanwhile."""
        if self.closed:
            raise sealed()

    def close(self) -> None:
        """Wipe the keys, forget the rest. Whoever still works with this gets `Sealed`."""
        self.closed = True
        self.keyring.wipe()
        self.state_mac = self._names = _NO_KEY
        self.subkeys.clear()
        self.place.cache_clear()
        self.page.cache_clear()


def sealed() -> Sealed:
    """The error for a barrier without a key."""
    return Sealed("Vault is sealed", hint="unseal it with `ml-secrets operator unseal`")


_all: Final[weakref.WeakSet[Opened]] = weakref.WeakSet()


def _close_all() -> None:
    for opened in list(_all):
        opened.close()


os.register_at_fork(after_in_child=_close_all)
