"""The embedded store: one SQLite file, owned by one process.

Settings and why: WAL with synchronous=FULL loses no acknowledged commit to a crash or a power cut; an exclusive lock
shuts out a second server and the races of shared WAL files; trusted_schema off, cell_size_check and secure_delete on.
- A SQLite build with the WAL-reset bug is refused.
- After any I/O error or sign of corruption the store refuses everything: SQLite would carry on with an unknown file.
- A ballast file of 16 MiB lies beside the store; on a full disk it is given up, so that the store opens again.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import apsw

from ml_secrets.errors import StoreFault, StoreFull
from ml_secrets.storage.staged import StagedStorage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT: Final = 1
FILE_NAME: Final = "store.sqlite"
_BALLAST: Final = "ballast"
_BALLAST_SIZE: Final = 16 * 1024 * 1024
_CACHE_BYTES: Final = 64 * 1024 * 1024
_FIXED: Final = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
_WITHDRAWN: Final = (3, 52, 0)
_PRAGMAS: Final = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA secure_delete = ON",
)
_FATAL: Final = (apsw.IOError, apsw.CorruptError, apsw.NotADBError)


def safe_build(version: str) -> bool:
    """True for a SQLite without the WAL-reset bug (fixed in 3.51.3, and in 3.50.7 and 3.44.6 of their lines)."""
    parts = tuple(int(part) for part in version.split("."))[:3]
    if parts == _WITHDRAWN:
        return False
    same_line = [fixed for fixed in _FIXED if fixed[:2] == parts[:2]]
    return parts >= (same_line[0] if same_line else _FIXED[0])


class SqliteStorage(StagedStorage):
    """The store in a folder. Raises `StoreFault` when it cannot be opened, or another process has it."""

    def __init__(self, folder: Path) -> None:
        if not safe_build(apsw.sqlite_lib_version()):
            raise StoreFault(f"SQLite {apsw.sqlite_lib_version()} can corrupt a store", hint="install apsw 3.53 or newer")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._rows = _Rows(folder)
        super().__init__(self._rows)

    def close(self) -> None:
        """Close the file and give up its lock."""
        self._rows.close()


class _Rows:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._broken = ""
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0
        self._db = self._open()
        self._keep_ballast()

    def _open(self) -> apsw.Connection:
        path = self._folder / FILE_NAME
        try:
            os.close(os.open(path, os.O_CREAT | os.O_NOFOLLOW | os.O_RDWR, 0o600))
            return _connect(str(path))
        except apsw.BusyError:
            raise StoreFault(f"another process has the store in {self._folder}", hint="one server owns a store: stop the other one, or choose another folder") from None
        except (apsw.FullError, apsw.CantOpenError):
            if not self._give_up_ballast():
                raise StoreFault(f"cannot open the store in {self._folder}", hint="is the disk full?") from None
            return _connect(str(path))
        except (OSError, apsw.Error) as error:
            raise StoreFault(f"cannot open the store in {self._folder}: {type(error).__name__}") from None

    def _keep_ballast(self) -> None:
        path = self._folder / _BALLAST
        if path.exists() and path.stat().st_size == _BALLAST_SIZE:
            return
        try:
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, _BALLAST_SIZE)
        except OSError:
            path.unlink(missing_ok=True)

    def _give_up_ballast(self) -> bool:
        path = self._folder / _BALLAST
        found = path.exists()
        path.unlink(missing_ok=True)
        return found

    def get(self, key: str) -> bytes | None:
        value = self._cache.get(key)
        if value is not None:
            return value
        with self._lock:
            value = self._one("SELECT value FROM row WHERE key = ?", key)
            if value is not None:
                self._remember(key, value)
            return value

    def next_after(self, key: str, below: str, *, inclusive: bool) -> str | None:
        compare = ">=" if inclusive else ">"
        with self._lock:
            found = self._one(f"SELECT key FROM row WHERE key {compare} ? ORDER BY key LIMIT 1", key)  # noqa: S608 - one of two operators
        return found.decode() if found is not None and found.startswith(below.encode()) else None

    def _one(self, sql: str, key: str) -> bytes | None:
        try:
            self._check()
            for (value,) in self._db.execute(sql, (key.encode(),)):
                return bytes(value)
        except _FATAL as error:
            raise self._fail(error) from None
        return None

    def apply(self, changes: Mapping[str, bytes | None]) -> None:
        with self._lock:
            self._check()
            try:
                with self._db:
                    self._db.executemany("DELETE FROM row WHERE key = ?", [(k.encode(),) for k, v in changes.items() if v is None])
                    self._db.executemany(
                        "INSERT INTO row (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                        [(k.encode(), v) for k, v in changes.items() if v is not None],
                    )
            except apsw.FullError:
                raise StoreFull("the disk is full: nothing was written", hint="free some space; reads go on") from None
            except _FATAL as error:
                raise self._fail(error) from None
            for key, value in changes.items():
                self._forget(key)
                if value is not None:
                    self._remember(key, value)

    def _check(self) -> None:
        if self._broken:
            raise StoreFault(f"the store has failed ({self._broken})", hint="check the disk, then start the server again")

    def _fail(self, error: apsw.Error) -> StoreFault:
        self._broken = type(error).__name__
        self._cache.clear()
        return StoreFault(f"the store has failed ({self._broken})", hint="check the disk, then start the server again")

    def _remember(self, key: str, value: bytes) -> None:
        self._cache[key] = value
        self._cached += len(value) + 200
        while self._cached > _CACHE_BYTES:
            _, gone = self._cache.popitem(last=False)
            self._cached -= len(gone) + 200

    def _forget(self, key: str) -> None:
        gone = self._cache.pop(key, None)
        if gone is not None:
            self._cached -= len(gone) + 200

    def close(self) -> None:
        with self._lock:
            self._broken = self._broken or "closed"
            self._db.close()


def _connect(path: str) -> apsw.Connection:
    db = apsw.Connection(path)
    db.set_busy_timeout(200)
    for pragma in _PRAGMAS:
        for _ in db.execute(pragma):
            pass
    with db:
        db.execute("CREATE TABLE IF NOT EXISTS row (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        found = db.execute("PRAGMA user_version").fetchall()[0][0]
        if found > FORMAT:
            raise StoreFault(f"the store has format {found}, newer than this program's {FORMAT}", hint="upgrade ml-secrets")
        db.execute(f"PRAGMA user_version = {FORMAT}")
    return db
