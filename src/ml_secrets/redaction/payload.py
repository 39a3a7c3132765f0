"""Pickled payloads: looked through as they are written, and rewritten text by text, so that what is left still loads.

A pickle says how long each text in it is, so its bytes cannot be masked; its opcodes can be written anew. Whoever loads it gets "[masked]" where the value
was, which changes what it does: so a warning says so in every mode.

Not seen: what is compressed before it is written, and what a `reduce` of somebody's own encodes.
"""

from __future__ import annotations

import pickletools
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.errors import Leaked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.redaction.leaks import Clean

_TEXTS: Final = frozenset(
    [
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "UNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
        "SHORT_BINBYTES",
        "BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
    ]
)


class Checked:
    """A file to write a pickle to. What is written to it goes on without known values."""

    def __init__(self, file: Any, clean: Clean, where: str) -> None:
        self._file, self._clean, self._where = file, clean, where

    def write(self, data: Any) -> Any:
        """A whole number of opcodes, as picklers write them."""
        plain = bytes(data)
        masked = checked(plain, self._clean, self._where)
        return self._file.write(data if masked is plain else masked)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def checked(data: bytes, clean: Clean, where: str) -> bytes:
    """The pickle, or a part of one, without known values. Raises `Leaked` in mode fail, and where it cannot be rewritten."""
    names = clean.names_in(data)
    if not names:
        return data
    clean.found(names, where, changes=True)
    masked = _rewritten(data, clean)
    if left := clean.names_in(masked):
        raise Leaked(
            f"{where} holds the value of {', '.join(sorted(left))} in a form that cannot be masked",
            hint="let it hold live(name) instead, which pickles as its name",
        )
    return masked


def _rewritten(data: bytes, clean: Clean) -> bytes:
    out: list[bytes] = []
    for name, argument, start, end in _opcodes(data):
        if name == "FRAME":  # says how long what follows is; no pickle needs it
            continue
        masked = _masked(argument, clean) if name in _TEXTS else argument
        if masked is argument:
            out.append(data[start:end])
            continue
        content = masked.encode("utf-8", "surrogatepass") if isinstance(masked, str) else bytes(masked)
        code, width = (
            (b"X", 4) if isinstance(masked, str) else (b"\x96", 8) if name == "BYTEARRAY8" else (b"B", 4)
        )
        out.append(code + len(content).to_bytes(width, "little") + content)
    return b"".join(out)


def _masked(argument: Any, clean: Clean) -> Any:
    """A text or bytes; what is a pickle itself is rewritten. Old protocols write bytes as text of Latin letters."""
    masked = clean.swept(argument)[0]
    if masked is argument or argument[:1] not in ("\x80", b"\x80") or argument[-1:] not in (".", b"."):
        return masked
    if isinstance(argument, str):
        return _rewritten(argument.encode("latin-1", "replace"), clean).decode("latin-1")
    return _rewritten(bytes(argument), clean)


def _opcodes(data: bytes) -> Iterator[tuple[str, Any, int, int]]:
    """Name, argument, and where it stands. A part of a pickle ends before its end; what is none comes as one piece of nothing."""
    found: list[tuple[str, Any, int]] = []
    try:
        found.extend((opcode.name, argument, at or 0) for opcode, argument, at in pickletools.genops(data))
    except Exception:  # noqa: BLE001 - whatever it is, it is looked through again
        found = found or [("", None, 0)]
    ends = [*(at for _, _, at in found[1:]), len(data)]
    return ((name, argument, at, end) for (name, argument, at), end in zip(found, ends, strict=True))
