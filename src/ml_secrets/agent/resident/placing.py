"""Where an agent's files go: folders that are opened once and checked, and opened again where somebody replaced them."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from ml_secrets.agent.files import File, Folder
from ml_secrets.errors import Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ml_secrets.agent.resident.config import Place
    from ml_secrets.sensitive import Sensitive


class Placing:
    """The folders of an agent. Threads may share it."""

    def __init__(self) -> None:
        self._folders: dict[Path, Folder] = {}
        self._lock = Lock()

    def prepare(self, places: Iterable[Place]) -> None:
        """Open and check the folders: before any secret leaves the server."""
        with self._lock:
            for place in places:
                self._folder(place)

    def write(self, wanted: Iterable[tuple[Place, Sensitive]]) -> set[Path]:
        """Write these, each whole; those of one folder all or none. Gives the paths of those that changed."""
        by_folder: dict[Path, list[tuple[Place, Sensitive]]] = {}
        for place, content in wanted:
            by_folder.setdefault(place.path.parent, []).append((place, content))
        with self._lock:
            return {path for together in by_folder.values() for path in self._write(together)}

    def shred(self, places: Iterable[Place]) -> None:
        """Take these away."""
        with self._lock:
            for place in places:
                self._folder(place).shred(place.path.name)

    def close(self) -> None:
        """Let go of the folders. What was written stays."""
        with self._lock:
            for folder in self._folders.values():
                folder.close()
            self._folders.clear()

    def _write(self, together: list[tuple[Place, Sensitive]]) -> list[Path]:
        files = [File(place.path.name, content, place.mode, place.owner) for place, content in together]
        first = together[0][0]
        try:
            written = self._folder(first).write(*files)
        except (Conflict, NotFound, FileNotFoundError):
            self._let_go(
                first.path.parent
            )  # another folder may be there by now: a tmpfs that was mounted anew, say
            written = self._folder(first).write(*files)
        return [one.path for one in written if one.changed]

    def _let_go(self, path: Path) -> None:
        folder = self._folders.pop(path, None)
        if folder is not None:
            folder.close()

    def _folder(self, place: Place) -> Folder:
        found = self._folders.get(place.path.parent)
        if found is None:
            found = self._folders[place.path.parent] = Folder(
                place.path.parent, on_disk=place.on_disk, owner=place.owner
            )
        return found
