"""What a caller may come to see of a secret by where it lies. Nobody gains by moving or copying it.

A sight is a right to see something, with the paths that give it. Sight at the new place, under whatever conditions, is
allowed only with the same sight at the old place, without conditions. So what holds for one step holds for a chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ml_secrets.domain.advice import refusal
from ml_secrets.domain.capability import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ml_secrets.engines.kv.rights import Rights

    Ways = Iterator[tuple[str, Capability]]


def _values(mount: str, path: str) -> Ways:
    yield f"{mount}data/{path}", Capability.READ


def _fields(mount: str, path: str) -> Ways:
    yield from _values(mount, path)
    yield f"{mount}subkeys/{path}", Capability.READ


def _deleted(mount: str, path: str) -> Ways:
    yield f"{mount}undelete/{path}", Capability.UPDATE


def _notes(mount: str, path: str) -> Ways:
    """Custom metadata is shown beside a version, by itself, and in the lists of every folder around."""
    yield from _values(mount, path)
    yield f"{mount}metadata/{path}", Capability.READ
    folder = path.rpartition("/")[0]
    yield f"{mount}detailed-metadata/{folder}".rstrip("/"), Capability.LIST
    while folder:
        yield f"{mount}detailed-metadata/{folder}", Capability.SCAN
        folder = folder.rpartition("/")[0]
    yield f"{mount}detailed-metadata", Capability.SCAN


_SIGHTS: Final[dict[str, Callable[[str, str], Ways]]] = {
    "read its values": _values,
    "read its field names": _fields,
    "bring back its deleted versions": _deleted,
    "read its metadata": _notes,
}


def check_no_gain(rights: Rights, old: tuple[str, str], new: tuple[str, str]) -> None:
    """Raise `Denied` where the caller could see more of a secret at `new` than at `old`, each (mount, path)."""
    for what, ways in _SIGHTS.items():
        if any(rights.may(*way) for way in ways(*new)) and not any(rights.holds(*way) for way in ways(*old)):
            raise refusal(
                f"you could {what} at {new[0]}{new[1]}, but not at {old[0]}{old[1]}: moving gives nobody a right to see"
            )
