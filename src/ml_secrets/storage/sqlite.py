"""The embedded store: one SQLite file, owned by one process.

Settings and why: WAL with synchronous=FULL loses no acknowledged commit to a crash or a power cut; an exclusive lock
shuts out a second server and the races of shared WAL files; trusted_schema off, cell_size_check and secure_delete on.
- A SQLite build with the WAL-reset bug is refused, and so is a store of a newer format.
- After any I/O error or sign of corruption, and where a commit was interrupted, the store refuses everything: SQLite would
  carry on with an unknown file, and those above with rows that are no longer so.
- A full disk is no such error: nothing of the transaction was written, reads go on, and writes do once there is space.
- Changed pages go from the log to their places once there are 4,000: of a page that changes often only the last goes. They
  fit into the ballast. It is told ahead which commit has to do that (`overdue`); one that cannot leaves it to the next.
- A ballast file of 16 MiB lies beside the store; on a full disk it is given up, so that the store opens again.
- Rows read or written lately are kept in memory (still sealed): reading one takes neither a lock nor the file.
- A forked child has no part in it. Were the file closed there, even by the child's end, SQLite would take the log of the
  newest commits away from under the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import weakref
from typing import TYPE_CHECKING, Final

import apsw

from ml_secrets.errors import StoreFault, StoreFull
from ml_secrets.storage.folders import make_folder, sync_folder
from ml_secrets.storage.frozen import Frozen
from ml_secrets.storage.staged import StagedStorage, not_new

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path
    from threading import Lock

    from ml_secrets.storage.interface import Moment

FORMAT: Final = 1
FILE_NAME: Final = "store.sqlite"
_BALLAST: Final = "ballast"
_BALLAST_SIZE: Final = 16 * 1024 * 1024
_CACHE_BYTES: Final = 64 * 1024 * 1024
_ROW_BYTES: Final = 250  # about what a remembered row takes beside its value
_FIXED: Final = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
_WITHDRAWN: Final = (3, 52, 0)
_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA secure_delete = ON",
)
_MOST_LOGGED: Final = 4000
"""Pages in the log."""
_FLAGS: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOFOLLOW
_TABLE: Final = "CREATE TABLE IF NOT EXISTS row (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
_GET: Final = "SELECT value FROM row WHERE key = ?"
_FROM: Final = "SELECT key FROM row WHERE key >= ? ORDER BY key LIMIT 1"
_AFTER: Final = "SELECT key FROM row WHERE key > ? ORDER BY key LIMIT 1"
_MANY_AFTER: Final = "SELECT key, value FROM row WHERE key > ? ORDER BY key LIMIT ?"
_DELETE: Final = "DELETE FROM row WHERE key = ?"
_ADD: Final = "INSERT INTO row (key, value) VALUES (?, ?)"
_PUT: Final = f"{_ADD} ON CONFLICT (key) DO UPDATE SET value = excluded.value"


def safe_build(version: str) -> bool:
    """True for a SQLite without the WAL-reset bug (fixed in 3.51.3, and in 3.50.7 and 3.44.6 of their lines)."""
    parts = tuple(int(part) for part in version.split("."))[:3]
    if parts == _WITHDRAWN:
        return False
    same_line = [fixed for fixed in _FIXED if fixed[:2] == parts[:2]]
    return parts >= (same_line[0] if same_line else _FIXED[0])


class SqliteStorage(StagedStorage):
    """The store in a folder. Raises `StoreFault` when it cannot be opened, or another process has it.

    `vfs` names another file layer of SQLite's; tests use one that fails on purpose.
    """

    def __init__(self, folder: Path, *, vfs: str | None = None) -> None:
        if not safe_build(apsw.sqlite_lib_version()):
            raise StoreFault(
                f"SQLite {apsw.sqlite_lib_version()} can corrupt a store", hint="install apsw 3.53 or newer"
            )
        self._file = _File(folder, vfs)
        super().__init__(self._file)

    def freeze(self, *, lookups: bool = False) -> Moment:
        """The rows as they are now; writers go on meanwhile."""
        with self._rows.lock:
            return self._file.freeze(self._rows.lock, lookups=lookups)

    def close(self) -> None:
        """Close the file and give up its lock."""
        with self._rows.lock:
            self._file.close()


class _File:
    """The rows in the file, with those at hand in memory. Called under the lock of `StagedStorage`, but for `peek`."""

    def __init__(self, folder: Path, vfs: str | None) -> None:
        self._folder = folder
        self._vfs = vfs
        self._broken = ""
        self._cache: dict[str, bytes] = {}
        self.peek = self._cache.get
        self._cached = 0
        self._log = _Log()
        self._frozen: weakref.WeakSet[Frozen] = weakref.WeakSet()
        self._db = self._open()
        self._keep_ballast()
        _files.add(self)

    # ── opening and closing ─────────────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> apsw.Connection:
        try:
            self._create()
            try:
                return self._connect()
            except (apsw.FullError, apsw.CantOpenError):
                if not self._give_up_ballast():
                    raise
                return self._connect()
        except (apsw.FullError, apsw.CantOpenError):
            raise StoreFault(f"cannot open the store in {self._folder}", hint="is the disk full?") from None
        except PermissionError:
            raise StoreFault(
                f"cannot open the store in {self._folder}: Permission denied",
                hint="does this user own the folder?",
            ) from None
        except OSError as error:
            raise StoreFault(
                f"cannot open the store in {self._folder}: {error.strerror}",
                hint="name a folder, or a place where one can be made",
            ) from None
        except apsw.Error as error:
            raise StoreFault(
                f"cannot open the store in {self._folder}: {type(error).__name__}",
                hint="may this user write to the folder and every file in it? is the disk sound?",
            ) from None

    def _create(self) -> None:
        """Make folder and file where they are missing: for us alone, and durable with their names."""
        make_folder(self._folder)
        self._folder = self._folder.resolve()
        path = self._folder / FILE_NAME
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_NOFOLLOW | os.O_RDWR, 0o600))
            sync_folder(self._folder)

    def _connect(self) -> apsw.Connection:
        db = apsw.Connection(str(self._folder / FILE_NAME), flags=_FLAGS, vfs=self._vfs)
        try:
            _prepare(db)
            db.set_wal_hook(self._log)
        except apsw.BusyError:
            db.close()
            raise StoreFault(
                f"another process has the store in {self._folder}",
                hint="one server owns a store: stop the other one, or choose another folder; `ml-secrets server` serves many",
            ) from None
        except BaseException:
            db.close()
            raise
        return db

    def _keep_ballast(self) -> None:
        path = self._folder / _BALLAST
        if path.exists() and path.stat().st_size == _BALLAST_SIZE:
            return
        try:
            file = os.open(path, os.O_CREAT | os.O_NOFOLLOW | os.O_WRONLY | os.O_TRUNC, 0o600)
            try:
                os.posix_fallocate(file, 0, _BALLAST_SIZE)
            finally:
                os.close(file)
        except OSError:
            path.unlink(missing_ok=True)

    def _give_up_ballast(self) -> bool:
        path = self._folder / _BALLAST
        found = path.exists()
        path.unlink(missing_ok=True)
        return found

    def close(self) -> None:
        self._broken = self._broken or "closed"
        self._forget_all()
        with contextlib.suppress(apsw.Error):  # what cannot be moved out of the log now is durable there
            self._db.close()

    def leave(self) -> None:
        """In a forked child: the file is the parent's. One reference too many, so that nothing ever closes it here."""
        self._broken = "it belongs to the process that forked this one"
        self._forget_all()
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._db))

    # ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def overdue(self) -> bool:
        """The next commit moves pages out of the log."""
        return self._log.pages >= _MOST_LOGGED

    def _tidy(self) -> None:
        """Move the pages. The commit before is durable without that: a full disk puts it off, and what else fails is told to whoever comes next."""
        try:
            self._db.wal_checkpoint(None, apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._log.pages = 0
        except (apsw.FullError, apsw.BusyError):
            return
        except apsw.Error as error:
            self._fail(error)

    # ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, key: str) -> bytes | None:
        value = self._first(_GET, key)
        if value is not None:
            self._remember(key, value)
        return value

    def next_after(self, key: str, below: str, *, inclusive: bool) -> str | None:
        found = self._first(_FROM if inclusive else _AFTER, key)
        return found.decode() if found is not None and found.startswith(below.encode()) else None

    def freeze(self, lock: Lock, *, lookups: bool) -> Frozen:
        frozen = Frozen(lock, self._many_after, lambda key: self._first(_GET, key), lookups=lookups)
        self._frozen.add(frozen)
        return frozen

    def store(self, changes: Mapping[str, bytes | None], new: AbstractSet[str]) -> None:
        self._check()
        overdue = self.overdue
        for frozen in self._frozen:
            frozen.keep(changes)
        try:
            self._write(changes, new)
            if overdue:
                self._tidy()
        except apsw.ConstraintError:
            raise not_new() from None
        except apsw.FullError:
            raise StoreFull(
                "the disk is full: nothing was written", hint="free some space; reads go on"
            ) from None
        except apsw.Error as error:
            raise self._fail(error) from None
        except BaseException as error:  # interrupted, perhaps right after it was kept
            self._fail(error)
            raise

    def show(self, changes: Mapping[str, bytes | None]) -> None:
        if self._broken:  # moving pages failed: nothing may be at hand
            return
        cache, cached = self._cache, self._cached
        for key, value in changes.items():
            gone = cache.pop(key, None)
            if gone is not None:
                cached -= len(gone) + _ROW_BYTES
            if value is not None:
                cache[key] = value
                cached += len(value) + _ROW_BYTES
        self._cached = cached
        self._let_go()

    def _many_after(self, key: str, most: int) -> list[tuple[str, bytes]]:
        self._check()
        try:
            return [
                (bytes(found).decode(), value)
                for found, value in self._db.execute(_MANY_AFTER, (key.encode(), most))
            ]
        except apsw.Error as error:
            raise self._fail(error) from None

    def _first(self, sql: str, key: str) -> bytes | None:
        self._check()
        try:
            for (value,) in self._db.execute(sql, (key.encode(),)):
                return bytes(value)
        except apsw.Error as error:
            raise self._fail(error) from None
        return None

    def _write(self, changes: Mapping[str, bytes | None], new: AbstractSet[str]) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            gone = [(key.encode(),) for key, value in changes.items() if value is None]
            if gone:
                db.executemany(_DELETE, gone)
            for sql, added in ((_PUT, False), (_ADD, True)):
                rows = [
                    (key.encode(), value)
                    for key, value in changes.items()
                    if value is not None and (key in new) is added
                ]
                if rows:
                    db.executemany(sql, rows)
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    # ── failing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _check(self) -> None:
        if self._broken:
            raise self._failed()

    def _fail(self, error: BaseException) -> StoreFault:
        self._broken = type(error).__name__
        self._forget_all()
        return self._failed()

    def _failed(self) -> StoreFault:
        return StoreFault(
            f"the store has failed ({self._broken})", hint="check the disk, then start the server again"
        )

    # ── rows at hand ────────────────────────────────────────────────────────────────────────────────────────────────

    def _remember(self, key: str, value: bytes) -> None:
        gone = self._cache.pop(key, None)  # two readers may have missed it
        if gone is not None:
            self._cached -= len(gone) + _ROW_BYTES
        self._cache[key] = value
        self._cached += len(value) + _ROW_BYTES
        self._let_go()

    def _let_go(self) -> None:
        """Of too many, those that were read or written longest ago."""
        while self._cached > _CACHE_BYTES:
            self._cached -= len(self._cache.pop(next(iter(self._cache)))) + _ROW_BYTES

    def _forget_all(self) -> None:
        self._cache.clear()
        self._cached = 0


class _Log:
    """What SQLite tells after each commit; in the place of its own rule, which would move pages unannounced.

    Apart from the file, which would else never let go of a connection that holds it.
    """

    pages = 0

    def __call__(self, _: apsw.Connection, __: str, pages: int) -> int:
        self.pages = pages
        return apsw.SQLITE_OK


def _prepare(db: apsw.Connection) -> None:
    """Lock the file, check whose format it has, choose the settings, make the table."""
    db.set_busy_timeout(200)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    found = int(str(db.execute("PRAGMA user_version").fetchall()[0][0]))
    if found > FORMAT:
        raise StoreFault(
            f"the store has format {found}, newer than this program's {FORMAT}", hint="upgrade ml-secrets"
        )
    for pragma in _PRAGMAS:
        db.execute(pragma).fetchall()
    if found < FORMAT:
        with db:
            db.execute(_TABLE)
            db.execute(f"PRAGMA user_version = {FORMAT}")


_files: Final[weakref.WeakSet[_File]] = weakref.WeakSet()


def _leave_all() -> None:
    for file in list(_files):
        file.leave()


os.register_at_fork(after_in_child=_leave_all)
