"""What a store shows without a key: its cluster id, its seal configuration, and the wrapped keyring.

    barrier/header      Header: which of the two slots counts
    barrier/keyring/a   Slot
    barrier/keyring/b   Slot

A new keyring is written to the free slot and read back before the header is switched to it; only then the old slot
goes. Each row begins with a checksum, so that damage is told from a wrong key; against forgery stands the wrapping.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from ml_secrets.errors import StoreFault, TamperFault

if TYPE_CHECKING:
    from ml_secrets.storage.interface import Transaction

FORMAT: Final = 1
_HEADER: Final = "barrier/header"
_SLOT: Final = "barrier/keyring/"
_CHECKSUM: Final = 32
_encode = msgspec.msgpack.Encoder().encode
Row = TypeVar("Row")


class Header(msgspec.Struct, frozen=True):
    """Whose store this is, and where its keyring lies ("a" or "b")."""

    cluster_id: str
    slot: str
    format: int = FORMAT

    @property
    def free_slot(self) -> str:
        """The slot for the next keyring."""
        return "b" if self.slot == "a" else "a"


class Slot(msgspec.Struct, frozen=True):
    """A keyring under a root key. `check` tells that root key from others; `seal_config` is bound into `wrapped`."""

    generation: int
    seal_config: bytes
    check: bytes
    wrapped: bytes


def read_header(tx: Transaction) -> Header | None:
    """The header, or None in a store that has not been initialised. Raises `TamperFault` when it is damaged."""
    row = tx.get(_HEADER)
    header = None if row is None else _unpack(row, Header)
    if header is not None and header.format != FORMAT:
        raise StoreFault(
            f"the barrier has format {header.format}; this program knows {FORMAT}", hint="upgrade ml-secrets"
        )
    return header


def write_header(tx: Transaction, header: Header) -> None:
    """Switch to the header's slot."""
    tx.put(_HEADER, _pack(header))


def read_slot(tx: Transaction, name: str) -> Slot:
    """A slot. Raises `TamperFault` when it is missing or damaged."""
    row = tx.get(_SLOT + name)
    if row is None:
        raise damaged()
    return _unpack(row, Slot)


def write_slot(tx: Transaction, name: str, slot: Slot) -> None:
    """Fill a slot."""
    tx.put(_SLOT + name, _pack(slot))


def clear_slot(tx: Transaction, name: str) -> None:
    """Empty a slot."""
    tx.delete(_SLOT + name)


def damaged() -> TamperFault:
    """The error for a header that is not what we wrote."""
    return TamperFault("the store's header is damaged", hint="restore the store from a backup")


def _pack(row: Header | Slot) -> bytes:
    content = _encode(row)
    return hashlib.sha256(content).digest() + content


def _unpack(row: bytes, kind: type[Row]) -> Row:
    checksum, content = row[:_CHECKSUM], row[_CHECKSUM:]
    if hashlib.sha256(content).digest() != checksum:
        raise damaged()
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except (ValueError, RecursionError):
        raise damaged() from None
