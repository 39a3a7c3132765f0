"""Backups that the server makes by itself. Implements `BackupControl`.

A round, once one is due:

    1  leftovers   of a round that was killed go
    2  write       to a temporary name in the folder, beside the writers; room is left on the disk
    3  verify      it is read back and opened, row by row, as a restore would
    4  name        only then it gets its name, and counts
    5  surplus     older ones go

A round that fails changes nothing, is logged and shown, and is tried again in some minutes. The folder is never made: where it
is missing, a disk may not be mounted.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.barrier import backup
from ml_secrets.barrier.files import remove_leftovers
from ml_secrets.barrier.opened import sealed
from ml_secrets.domain.backup_plan import Made, Plan, made_of, name_of, next_time, store_of, surplus
from ml_secrets.domain.instant import rfc3339
from ml_secrets.errors import Conflict, Fault, Invalid, MlSecretsError, StoreFault, StoreFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ml_secrets.barrier.barrier import Barrier
    from ml_secrets.storage.interface import Freezable

RETRY: Final = 300.0
"""Seconds until a round that failed is tried again."""
ROOM: Final = 64 * 1024 * 1024
"""So many bytes are left on the disk: the store may lie there too."""
_LOOK_EVERY: Final = 32 * 1024
_REST: Final = 0.0002
_log: Final = logging.getLogger(__name__)


class Backups:
    """The backups of one store in one folder. `storage` is the one below the barrier; `clock` gives seconds since 1970."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        *,
        storage: Freezable,
        barrier: Barrier,
        clock: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._folder = folder
        self._plan = plan
        self._storage = storage
        self._barrier = barrier
        self._clock = clock
        self._random = random
        self._turn = threading.Lock()
        self._failed_at: float | None = None
        self._problem = ""
        self._newest: float | None = None

    # ── making them ─────────────────────────────────────────────────────────────────────────────────────────────────

    def run_if_due(self) -> bool:
        """One round, if it is time. For upkeep, off the way of requests; nothing is left to do after it."""
        now = self._clock()
        if self._failed_at is not None and now < self._failed_at + RETRY:
            return False
        try:
            self._newest = _newest(self._made(), now)
        except OSError as error:
            self._note(error)
            return False
        if now >= next_time(self._plan, self._newest):
            with suppress(Fault, Conflict):  # noted, or somebody asked for one just now
                self.make()
        return False

    def make(self) -> dict[str, Any]:
        """One round now. Raises `Conflict` while there is another; a `Fault` tells what failed, which is noted too."""
        if not self._turn.acquire(blocking=False):
            raise Conflict("a backup is being made", hint="wait for it: ml-secrets operator backups status")
        try:
            return self._make(self._clock())
        except (OSError, Fault, Invalid) as error:
            raise self._note(error) from None
        finally:
            self._turn.release()

    def _make(self, now: float) -> dict[str, Any]:
        cluster_id = self._barrier.cluster_id
        path = self._folder / name_of(cluster_id, now)
        remove_leftovers(self._folder, f"ml-secrets-{store_of(cluster_id)}-*")
        pieces = backup.snapshot(self._storage, self._barrier, now=now)
        manifest = backup.save(path, self._watched(pieces), backup.opens(self._barrier, self._random))
        self._newest, self._failed_at, self._problem = now, None, ""
        _log.info("backed up to %s: %d rows, verified", path, manifest.rows)
        self._remove_surplus(now)
        return {**_shown(path), "rows": manifest.rows, "commits": manifest.commit_seq}

    def _watched(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces, until the store seals or the disk is all but full. Now and then others have a turn."""
        passed = _LOOK_EVERY
        for piece in pieces:
            passed += len(piece)
            if passed >= _LOOK_EVERY:
                passed = 0
                if self._barrier.sealed:
                    raise sealed()
                self._check_room()
                time.sleep(_REST)
            yield piece

    def _check_room(self) -> None:
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < ROOM:
            raise StoreFull(
                f"the disk of {self._folder} has less than {ROOM // 2**20} MiB left",
                hint="free some space there",
            )

    def _remove_surplus(self, now: float) -> None:
        for one in surplus(self._plan, self._made(), now):
            try:
                (self._folder / one.name).unlink(missing_ok=True)
            except OSError as error:
                _log.error("the old backup %s could not be removed: %s", one.name, error.strerror)

    def _note(self, error: Exception) -> MlSecretsError:
        """Log a failure, and remember it for those who ask. Returns what to tell whoever asked for the backup."""
        told = _told(error)
        self._failed_at, self._problem = self._clock(), str(told)
        _log.error("no backup was made: %s", told)
        return told

    # ── telling of them ─────────────────────────────────────────────────────────────────────────────────────────────

    def made(self) -> list[dict[str, Any]]:
        """Those that there are, the newest last. Each was verified before it got its name."""
        try:
            return [_shown(self._folder / one.name) for one in self._made()]
        except OSError as error:
            raise _told(error) from None

    def status(self) -> dict[str, Any]:
        """The plan, the newest backup, the newest failure, and when it goes on."""
        now, problem, found = self._clock(), self._problem, list[Made]()
        try:
            found = self._made()
        except OSError as error:
            problem = problem or str(_told(error))
        newest = _newest(found, now)
        due = max(next_time(self._plan, newest), now if self._failed_at is None else self._failed_at + RETRY)
        return {
            "enabled": True,
            "folder": str(self._folder),
            "every": self._plan.every,
            "at": "" if self._plan.every else f"{self._plan.at // 3600:02}:{self._plan.at // 60 % 60:02}",
            "keep": self._plan.keep,
            "keep_for": self._plan.keep_for,
            "running": self._turn.locked(),
            "count": len(found),
            "newest_time": "" if newest is None else rfc3339(newest),
            "next_time": rfc3339(due),
            "failing": bool(problem),
            "problem": problem,
            "failed_time": "" if self._failed_at is None else rfc3339(self._failed_at),
        }

    def gauges(self) -> dict[str, int]:
        """Numbers for the metrics, as of the last look at the folder: nobody who asks for them waits for a disk."""
        newest = self._newest
        age = {} if newest is None else {"backup_age_seconds": round(self._clock() - newest)}
        return {"backup_failing": int(bool(self._problem)), **age}

    def _made(self) -> list[Made]:
        store = store_of(self._barrier.cluster_id)
        found = (made_of(path.name) for path in self._folder.iterdir())
        return sorted((one for one in found if one and one.store == store), key=lambda one: one.created)


class NoBackups:
    """A server that was not told to make any."""

    def run_if_due(self) -> bool:
        """Nothing is."""
        return False

    def make(self) -> dict[str, Any]:
        """Not here."""
        raise _not_set_up()

    def made(self) -> list[dict[str, Any]]:
        """Not here."""
        raise _not_set_up()

    def status(self) -> dict[str, Any]:
        """Off."""
        return {"enabled": False}

    def gauges(self) -> dict[str, int]:
        """None."""
        return {}


def _not_set_up() -> Invalid:
    return Invalid(
        "this server makes no backups by itself",
        hint="set up [backup] in its configuration file; `ml-secrets operator backup FILE` makes one now",
    )


def _newest(found: Iterable[Made], now: float) -> float | None:
    return max((one.created for one in found if one.created <= now), default=None)


def _shown(path: Path) -> dict[str, Any]:
    made = made_of(path.name)
    assert made is not None
    return {"name": path.name, "created_time": rfc3339(made.created), "size": path.stat().st_size}


def _told(error: Exception) -> MlSecretsError:
    """A failure, as a fault that stops nothing: the store itself is fine, unless it says otherwise."""
    if isinstance(error, OSError):
        return Fault(
            f"the folder of the backups: {error.strerror}",
            hint="is it there, may the server write to it, and is there room?",
        )
    assert isinstance(error, MlSecretsError)
    if isinstance(error, StoreFault | StoreFull):
        return error
    return Fault(
        f"the backup was not what it should be, and was removed: {error.message}",
        hint="check the store: ml-secrets operator verify",
    )
