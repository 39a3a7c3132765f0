"""Files on their way to a store: looked through in pieces; what holds a value is copied without it, and the copy goes instead."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ml_secrets.errors import Leaked
from ml_secrets.redaction.payload import checked

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from ml_secrets.redaction.leaks import Clean

_PIECE: Final = 1 << 20
_OVERLAP: Final = 1 << 14
"""More than the longest form of a block of a value."""


def names_in_file(path: Path, clean: Clean) -> set[str]:
    """Whose values a file holds."""
    names: set[str] = set()
    before = b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            names |= clean.names_in(before + piece)
            before = piece[-_OVERLAP:]
    return names


@contextmanager
def clean_file(path: str | os.PathLike[str], clean: Clean, where: str) -> Iterator[Path]:
    """The file, or a copy of the same name without known values, which is there for as long as the context."""
    file = Path(path)
    if not file.is_file() or not (names := names_in_file(file, clean)):
        yield file
        return
    clean.found(names, f"{where} ({file.name})")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, file.name)
        copy.write_bytes(masked(file, clean))
        yield copy


@contextmanager
def clean_folder(path: str | os.PathLike[str], clean: Clean, where: str) -> Iterator[Path]:
    """The same of all files below a folder."""
    top = Path(path)
    holding = {
        file: names for file in top.rglob("*") if file.is_file() and (names := names_in_file(file, clean))
    }
    if not holding:
        yield top
        return
    for file, names in holding.items():
        clean.found(names, f"{where} ({file.name})")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, top.name or "files")
        shutil.copytree(
            top, copy, ignore=lambda inside, found: [n for n in found if Path(inside, n) in holding]
        )
        for file in holding:
            (copy / file.relative_to(top)).write_bytes(masked(file, clean))
        yield copy


def masked(file: Path, clean: Clean) -> bytes:
    """The content without known values. Raises `Leaked` for what is neither text nor a pickle: masking would break it."""
    content = file.read_bytes()
    if content.startswith(b"\x80"):
        return checked(content, clean, file.name)
    if b"\0" in content:
        told = ", ".join(sorted(clean.names_in(content)))
        raise Leaked(
            f"{file.name} holds the value of {told}, and cannot be masked without breaking it",
            hint="write it without",
        )
    return clean.swept(content)[0]
