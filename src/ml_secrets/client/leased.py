"""Leased secrets: credentials that were made for us and end by themselves, kept alive, and replaced before they end.

    login = leased("database/creds/train")
    connect(**login.get().reveal_fields())

1. Nothing is asked before the first look. What is given then serves all looks, in forked children too.
2. When two thirds of its life have gone by it is renewed. Where that is refused, or gives so little that its last end is near,
   others are asked for, and callbacks are told. Those that were there are left to end: who uses them is not cut off at once.
3. A server that is away is asked again. After the end nothing is given that does not hold any more.
4. `revoke` ends it, and so does the end of a `with`, or of the handle. The server ends it with the token, in any case.
5. Processes that ask together (node/) have one lease for all of them: whose turn comes first renews it, and the last one ends it.
"""

from __future__ import annotations

import os
import time
import weakref
from contextlib import suppress
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any, Final, Self, SupportsIndex

from ml_secrets.client import default, ending
from ml_secrets.client.following import told
from ml_secrets.client.hold import Hold
from ml_secrets.client.lease import announced, ended, lives, obtain, renewed
from ml_secrets.errors import MlSecretsError
from ml_secrets.sensitive import MASK, Masked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.client.client import Client
    from ml_secrets.client.lease import Lease
    from ml_secrets.client.live import Callback, NeededFor
    from ml_secrets.client.secret import Secret

_SOON: Final = 1.0
_LATEST: Final = 5.0
"""Seconds after which a keeper looks whether it is still wanted."""


def leased(
    path: str,
    settings: Mapping[str, Any] | None = None,
    *,
    client: Client | None = None,
    needed_for: NeededFor = None,
) -> LeasedSecret:
    """A handle on a path that makes credentials. `settings` are written to it; without, it is read.

    It is a source for every refresher. It pickles as its path and settings: another process has its own made.
    """
    return LeasedSecret(path, settings, client, needed_for)


class LeasedSecret(Masked):
    """Credentials of a path that makes them, such as "database/creds/train": those that hold now."""

    __slots__ = (
        "__weakref__",
        "_client",
        "_end",
        "_hold",
        "_keeper",
        "_lease",
        "_settings",
        "_turn",
        "callbacks",
        "name",
    )

    def __init__(
        self, path: str, settings: Mapping[str, Any] | None, client: Client | None, needed_for: NeededFor
    ) -> None:
        self.name = path
        self.callbacks: list[Callback] = []
        self._settings = settings
        self._client = client
        self._end = ending.job_end(needed_for, time.time())
        self._lease: Lease | None = None
        self._keeper: _Keeper | None = None
        self._hold = Hold()
        self._turn = RLock()
        _handles.add(self)

    @property
    def client(self) -> Client:
        """Who asks: the client it was made with, else the one of the process."""
        return self._client or default.default_client()

    def get(self) -> Secret:
        """Those that hold now; their `ends_at` says until when at least."""
        lease = self._lease
        if lease is not None and self.client.session.clock() < lease.until:
            return lease.secret
        found = self._replace(lease)
        return self.get() if found is None else found

    def refresh(self) -> Secret:
        """Those that hold, by the server's own word: others, if it does not know these any more.

        For who was told that what they had is no good. While it knows them it gives no others: whatever they are for is away,
        or has dropped them by itself, and would get new ones at each try. `revoke` has others made in any case.
        """
        client, lease = self.client, self._lease
        if lease is not None and client.run(lives(client.session, lease)):
            return lease.secret
        found = self._replace(lease, refused=lease)
        return self.get() if found is None else found

    def _replace(self, before: Lease | None, *, refused: Lease | None = None) -> Secret | None:
        """Others in place of these; None if somebody was quicker. Callbacks are told of them, unless they are the first.

        `refused`: these will not do, even where processes beside us still have them.
        """
        client = self.client
        with self._turn:
            if self._lease is not before:
                return None
            making = obtain(client.session, self.name, self._settings, self._hold, refused)
            lease = self._lease = client.run(making)
            if lease.id and self._keeper is None:
                self._keeper = _Keeper(self, client)
                self._keeper.start()
        if before is None:
            self.lasts()
        elif before.id != lease.id or not lease.id:
            for callback in list(self.callbacks):
                told(callback, lease.secret, self.name)
        return lease.secret

    def on_change(self, callback: Callback) -> Callback:
        """Have `callback(secret)` called whenever there are others, by whoever had them made: a thread of its own, or a look. Gives it back."""
        self.callbacks.append(callback)
        return callback

    def lasts(self, needed_for: NeededFor = None) -> bool:
        """Can there be credentials for as long as they are needed? They end with the token; `EndsEarly` warns of that."""
        client = self.client
        needed = self._end if needed_for is None else ending.job_end(needed_for, time.time())
        return needed is None or client.run(ending.in_time(client.session, None, needed))

    def see_to_it(self) -> float:
        """Renew or replace them, if it is time to; how many seconds there are until the next time."""
        client, lease = self.client, self._lease
        now = client.session.clock()
        if lease is None or now < lease.due:
            return _LATEST if lease is None else lease.due - now
        try:
            if not (lease.renewable and client.run(renewed(client.session, lease))):
                self._replace(lease, refused=lease)
        except MlSecretsError:
            return max(_SOON, (lease.until - now) / 3)
        return 0.0

    def revoke(self) -> None:
        """Have the server end them. The next look has others made."""
        client = self.client
        with self._turn:
            lease, self._lease = self._lease, None
            self._keeper = None
            hold, self._hold = self._hold, Hold()
        if lease is not None:
            let_go(client, lease, hold)

    def kept_by(self, keeper: Thread | None) -> tuple[Lease, Hold] | None:
        """The lease and our share in it, if it is this one that sees to them."""
        return None if self._lease is None or self._keeper is not keeper else (self._lease, self._hold)

    def announce(self) -> None:
        """Say that we have it, where who knew that was killed."""
        client, lease, hold = self.client, self._lease, self._hold
        if lease is not None and hold.lost:
            with suppress(MlSecretsError):
                client.run(announced(client.session, self.name, self._settings, lease, hold))

    def leave_to_parent(self) -> None:
        """In a forked child: what was given may be used, and is the parent's to keep alive."""
        self._turn = RLock()
        self._keeper = None
        self._hold.leave_to_parent()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.revoke()

    def __repr__(self) -> str:
        return f"<LeasedSecret {self.name} {MASK}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return leased, (self.name, self._settings)


class _Keeper(Thread):
    """Sees to one lease as long as somebody holds its handle; then ends it."""

    def __init__(self, handle: LeasedSecret, client: Client) -> None:
        super().__init__(name=f"ml-secrets lease {handle.name}", daemon=True)
        self._handle = weakref.ref(handle)
        self._client = client

    def run(self) -> None:
        """See to it whenever it is time."""
        last: tuple[Lease, Hold] | None = None
        while (handle := self._handle()) is not None:
            last = handle.kept_by(self)
            if last is None:
                return
            handle.announce()
            wait = min(handle.see_to_it(), _LATEST)
            last = handle.kept_by(self) or last
            del handle
            last[1].wait(wait)
        if last is not None:
            with suppress(MlSecretsError):
                let_go(self._client, *last)


def let_go(client: Client, lease: Lease, hold: Hold) -> None:
    """We need it no more."""
    try:
        client.run(ended(client.session, lease, hold))
    finally:
        hold.close()


_handles: Final[weakref.WeakSet[LeasedSecret]] = weakref.WeakSet()


def _after_fork() -> None:
    for handle in list(_handles):
        handle.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
