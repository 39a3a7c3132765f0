"""The anchor: a small file outside the store that remembers how far the store had come.

Whoever can put an old copy of the whole store back (storage attacker, careless restore) brings revoked tokens and
deleted policies back to life, and nothing inside the store can tell. The anchor can: it lies elsewhere, it is
authenticated under a key of the barrier, and at unseal

    the store is behind the anchor               -> rolled back: it stays sealed
    the store is where the anchor is, but differs -> another history: it stays sealed
    the store is ahead                           -> fine: the anchor is written now and then, after commits, so a
                                                    killed server leaves a store that is ahead, never behind
    there is no anchor, though there was one     -> it stays sealed
    an audit log lacks what the anchor knows     -> it stays sealed

`accept_rollback` opens it all the same, and says so in the log. The anchor never holds a secret.
"""

from __future__ import annotations

import hmac
import logging
import threading
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from ml_secrets.barrier.files import replacing
from ml_secrets.barrier.integrity import mac_of
from ml_secrets.errors import StoreFault, TamperFault
from ml_secrets.storage.folders import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FORMAT: Final = 1
_PURPOSE: Final = "anchor"
_MOST: Final = 64 * 1024
_HINT: Final = "put the newest copy of the store back; only if an old copy was restored on purpose, start once with --accept-rollback"
_ALIVE: Final = "Revoked tokens and deleted secrets may be alive again."
_LOG_HINT: Final = "put the log back as it was, or look at who cut it; then start once with --accept-rollback"
_LOST: Final = "What was recorded there is lost."
_log = logging.getLogger(__name__)


class Position(NamedTuple):
    """How far a store has come: its commits, a digest of its state after the last, the audit log's newest hash."""

    commit_seq: int
    state_digest: str
    audit_head: str = ""


class Anchored(Protocol):
    """What the anchor needs of an open barrier."""

    @property
    def cluster_id(self) -> str: ...
    def subkey(self, purpose: str) -> bytes: ...


class _Content(msgspec.Struct, frozen=True):
    format: int
    cluster_id: str
    commit_seq: int
    state_digest: str
    audit_head: str
    mac: str = ""


class Anchor:
    """The anchor in `path`, written at most every `interval` seconds."""

    def __init__(self, path: Path, *, interval: float = 10.0, accept_rollback: bool = False) -> None:
        self._path = path
        self._interval = interval
        self._accept_rollback = accept_rollback
        self._lock = threading.Lock()
        self._written: Position | None = None
        self._due = 0.0

    @property
    def exists(self) -> bool:
        """There is an anchor file."""
        return self._path.exists()

    def check(
        self,
        barrier: Anchored,
        found: Position,
        *,
        expected: bool,
        lacking: Callable[[str], str] | None = None,
    ) -> None:
        """Compare an opened store with the anchor. `expected`: the store knows that it has one.

        `lacking` tells what is wrong with audit logs that had come as far as the anchor says ("" if nothing is); None: there are none.
        Raises `TamperFault` unless the store may be served.
        """
        anchor = self._read()
        problem, hint, loss = self._problem(barrier, anchor, found, expected=expected), _HINT, _ALIVE
        if not problem and anchor is not None and lacking is not None:
            problem, hint, loss = lacking(anchor.audit_head), _LOG_HINT, _LOST
        if not problem:
            return
        if not self._accept_rollback:
            raise TamperFault(problem, hint=hint)
        _log.critical("ROLLBACK ACCEPTED by --accept-rollback: %s. %s", problem, loss)

    def write(self, barrier: Anchored, position: Position) -> None:
        """Write the anchor now, if the store has moved."""
        with self._lock:
            if position == self._written:
                return
            content = _Content(_FORMAT, barrier.cluster_id, *position)
            content = msgspec.structs.replace(content, mac=mac_of(barrier.subkey(_PURPOSE), content))
            make_folder(self._path.parent)
            with replacing(self._path) as file:
                file.write(msgspec.json.encode(content) + b"\n")
            self._written = position

    def due(self, now: float) -> bool:
        """True at most once in every interval. `now` in seconds, of any clock."""
        with self._lock:
            if self._due <= now:
                self._due = now + self._interval
                return True
            return False

    def _problem(self, barrier: Anchored, anchor: _Content | None, found: Position, *, expected: bool) -> str:
        if anchor is None:
            return f"the anchor {self._path} is missing, and this store had one" if expected else ""
        mac = mac_of(barrier.subkey(_PURPOSE), anchor)
        if not hmac.compare_digest(mac.encode(), anchor.mac.encode()):
            return f"the anchor {self._path} is of another store, or was edited"
        if found.commit_seq < anchor.commit_seq:
            return f"the store was rolled back: it is at commit {found.commit_seq}, and was at {anchor.commit_seq} before"
        if found.commit_seq == anchor.commit_seq and found.state_digest != anchor.state_digest:
            return f"the store is not the one that was here: at commit {found.commit_seq} its state differs"
        return ""

    def _read(self) -> _Content | None:
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(_MOST), type=_Content)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreFault(f"cannot read the anchor {self._path}: {error.strerror}") from None
        except (ValueError, RecursionError):
            return _Content(0, "", 0, "", "")  # no MAC fits it
