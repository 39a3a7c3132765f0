"""File layers of SQLite that fail on purpose, and one whose power can be cut."""

import contextlib
import random
from pathlib import Path

import apsw

SECTOR = 512


class FailingFiles(apsw.VFS):
    """Works until `full`, `broken` or `unreadable` is set: then writes find no space, or syncs or reads fail.

    With `..._but_log`, only outside of the log of commits.
    """

    def __init__(self, name):
        self.name = name
        self.full = self.broken = self.unreadable = False
        self.full_but_log = self.broken_but_log = False
        super().__init__(name, "")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unregister()

    def xOpen(self, name, flags):
        return _FailingFile(self, name, flags)


class _FailingFile(apsw.VFSFile):
    def __init__(self, files, name, flags):
        self._files = files
        self._is_log = str(name.filename() if isinstance(name, apsw.URIFilename) else name).endswith("-wal")
        super().__init__("", name, flags)

    def xWrite(self, data, offset):
        if self._files.full or (self._files.full_but_log and not self._is_log):
            raise apsw.FullError
        super().xWrite(data, offset)

    def xRead(self, size, offset):
        if self._files.unreadable:
            raise apsw.IOError
        return super().xRead(size, offset)

    def xSync(self, flags):
        if self._files.broken or (self._files.broken_but_log and not self._is_log):
            raise apsw.IOError
        super().xSync(flags)


class PowerFiles(apsw.VFS):
    """Remembers what every sector held at the last sync. `cut` takes an unlucky choice of the later writes back.

    `before_write` is called ahead of every write to a file.
    """

    def __init__(self, name, seed):
        self.name, self.random, self.files = name, random.Random(seed), []
        self.before_write = lambda: None
        super().__init__(name, "")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unregister()

    def xOpen(self, name, flags):
        file = _PowerFile(self, name, flags)
        self.files.append(file)
        return file

    def cut(self, folder, target):
        """Copy `folder` to `target` as it would be after the power came back."""
        target.mkdir()
        for path in folder.iterdir():
            content = bytearray(path.read_bytes())
            for file in self.files:
                if file.path == path:
                    for sector, before in file.unsynced.items():
                        if self.random.random() < 0.5:
                            content[sector * SECTOR : sector * SECTOR + len(before)] = before
            (target / path.name).write_bytes(content)


class _PowerFile(apsw.VFSFile):
    def __init__(self, layer, name, flags):
        self._layer = layer
        self.path = Path(name if isinstance(name, str) else name.filename())
        self.unsynced = {}
        super().__init__("", name, flags)

    def xWrite(self, data, offset):
        self._layer.before_write()
        for sector in range(offset // SECTOR, (offset + len(data) - 1) // SECTOR + 1):
            if sector not in self.unsynced:
                self.unsynced[sector] = self._now(sector)
        super().xWrite(data, offset)

    def xSync(self, flags):
        super().xSync(flags)
        self.unsynced.clear()

    def _now(self, sector):
        with contextlib.suppress(OSError), self.path.open("rb") as file:
            file.seek(sector * SECTOR)
            return file.read(SECTOR).ljust(SECTOR, b"\0")
        return bytes(SECTOR)
