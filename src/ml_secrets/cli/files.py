"""Files that only their owner reads: made anew with mode 0600, never through a link, whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ml_secrets.cli.failures import LocalError, system_hint

if TYPE_CHECKING:
    from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Write a new file with mode 0600. What is there already is not touched."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise LocalError(f"cannot write {path}: {error.strerror}", hint=system_hint(error)) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(fresh, path)  # unlike a rename it fails when the name is taken
    except FileExistsError:
        raise LocalError(f"{path} is there already", hint="choose another name, or remove it first") from None
    finally:
        fresh.unlink(missing_ok=True)
