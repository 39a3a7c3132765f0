"""Webhooks, and what waits to be told to them.

    webhook/<name>                      Webhook   (names are people's, so they are sealed too)
    open/webhook/<uid>/state            State
    open/webhook/<uid>/queue/<number>   Notification, in the order of the changes
    open/webhook/<uid>/test             Notification of the last test that was asked for

A notification is queued in the unit that makes the change, and leaves the queue once it was delivered: a server that is
killed in between delivers it again, so each is delivered at least once. At most `MOST_WAITING` wait for one webhook;
what comes then is counted as missed, and the next one that is delivered says how many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from ml_secrets.domain import notification
from ml_secrets.domain.notification import Notification
from ml_secrets.errors import Invalid
from ml_secrets.registry.cache import Cache
from ml_secrets.registry.changes import Change, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.registry.unit import Unit

MOST: Final = 64
MOST_WAITING: Final = 4096
_ROW: Final = "webhook/"
_OPEN: Final = "open/webhook/"


class Webhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where to tell what. uid: random, new with each one that is made. key: what notifications are signed with."""

    name: str
    uid: str
    url: str
    key: str
    created: float
    wanted: Wanted = Wanted()
    description: str = ""


class Tested(msgspec.Struct, frozen=True):
    """How the last test went. at: seconds since 1970."""

    id: str
    delivered: bool
    error: str
    at: float


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How it goes. first, end: numbers of the oldest that waits, and of the next to come.

    failures: in a row. try_at: not before. disabled: why nothing is tried any more; "" where it is. Times are in seconds since 1970.
    """

    first: int = 0
    end: int = 0
    delivered: int = 0
    missed: int = 0
    failures: int = 0
    try_at: float = 0.0
    disabled: str = ""
    last_delivery: float = 0.0
    last_failure: float = 0.0
    last_error: str = ""
    test: Tested | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self.end - self.first


_encode = msgspec.msgpack.Encoder().encode
_webhook = msgspec.msgpack.Decoder(Webhook).decode
_state = msgspec.msgpack.Decoder(State).decode
_notification = msgspec.msgpack.Decoder(Notification).decode


class Webhooks:
    """The registry of webhooks. `random(n)` gives n random bytes."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._cache: Cache[str, tuple[Webhook, ...]] = Cache(1, self._read)

    def forget_all(self) -> None:
        """Drop cached rows."""
        self._cache.forget()

    def all(self, unit: Unit) -> tuple[Webhook, ...]:
        """Every webhook, by name."""
        return self._cache.load(unit, "all") or ()

    def find(self, unit: Unit, name: str) -> Webhook | None:
        """One webhook."""
        row = unit.tx.get(_ROW + name)
        return None if row is None else _webhook(row)

    def write(
        self, unit: Unit, name: str, *, url: str, wanted: Wanted, description: str, new_key: bool
    ) -> Webhook:
        """Make or change one. It is tried again from now on, whatever came of it before; what waits for it stays."""
        found = self.find(unit, name)
        if found is None and len(self.all(unit)) >= MOST:
            raise Invalid(f"there are {MOST} webhooks already", hint="remove one that nobody needs")
        made = found or Webhook(name=name, uid=self._random(16).hex(), url=url, key="", created=unit.now)
        key = self._new_key() if new_key or not made.key else made.key
        hook = replace(made, url=url, wanted=wanted, description=description, key=key)
        unit.tx.put(_ROW + name, _encode(hook))
        unit.changes(self._cache)
        self.keep(unit, hook, replace(self.state(unit, hook), failures=0, try_at=0.0, disabled=""))
        return hook

    def delete(self, unit: Unit, name: str) -> None:
        """Remove one, with all that waits for it."""
        hook = self.find(unit, name)
        if hook is None:
            return
        below = f"{_OPEN}{hook.uid}/"
        for folder in (f"{below}queue/", below):
            for row in unit.tx.list(folder):
                unit.tx.delete(folder + row)
        unit.tx.delete(_ROW + name)
        unit.changes(self._cache)

    # ── what waits ──────────────────────────────────────────────────────────────────────────────────────────────────

    def state(self, unit: Unit, hook: Webhook) -> State:
        """How it goes with that one."""
        row = unit.tx.get(f"{_OPEN}{hook.uid}/state")
        return State() if row is None else _state(row)

    def keep(self, unit: Unit, hook: Webhook, state: State) -> None:
        """Store how it goes."""
        unit.tx.put(f"{_OPEN}{hook.uid}/state", _encode(state))

    def note(self, unit: Unit, change: Change) -> None:
        """Queue a change for whoever wants to hear of it, in the unit that makes it."""
        for hook in self.all(unit):
            if hook.wanted.fits(change.kind, change.mount, change.path):
                self._queue(unit, hook, change)

    def _queue(self, unit: Unit, hook: Webhook, change: Change) -> None:
        state = self.state(unit, hook)
        if state.waiting >= MOST_WAITING:
            self.keep(unit, hook, replace(state, missed=state.missed + 1))
            return
        one = Notification(
            id=self._new_id(),
            kind=change.kind,
            now=change.now,
            mount=change.mount,
            path=change.path,
            version=change.version,
            etag=change.etag,
        )
        unit.tx.put(_place(hook, state.end), _encode(one))
        self.keep(unit, hook, replace(state, end=state.end + 1))

    def oldest(self, unit: Unit, hook: Webhook, state: State) -> Notification | None:
        """What is to be told next."""
        row = unit.tx.get(_place(hook, state.first)) if state.waiting else None
        return None if row is None else _notification(row)

    def drop_oldest(self, unit: Unit, hook: Webhook, state: State) -> State:
        """It was told."""
        unit.tx.delete(_place(hook, state.first))
        return replace(state, first=state.first + 1)

    # ── tests ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def ask_test(self, unit: Unit, hook: Webhook) -> str:
        """Have a test sent, ahead of all that waits; its id. One that was not sent yet is forgotten."""
        one = Notification(id=self._new_id(), kind=notification.TEST, now=unit.now)
        unit.tx.put(f"{_OPEN}{hook.uid}/test", _encode(one))
        return one.id

    def asked_test(self, unit: Unit, hook: Webhook) -> Notification | None:
        """The test that is to be sent."""
        row = unit.tx.get(f"{_OPEN}{hook.uid}/test")
        return None if row is None else _notification(row)

    def drop_test(self, unit: Unit, hook: Webhook) -> None:
        """It was sent, however it went."""
        unit.tx.delete(f"{_OPEN}{hook.uid}/test")

    def _read(self, unit: Unit, _: str) -> tuple[Webhook, ...]:
        found = (self.find(unit, name) for name in unit.tx.list(_ROW))
        return tuple(hook for hook in found if hook is not None)

    def _new_id(self) -> str:
        return f"msg_{self._random(16).hex()}"

    def _new_key(self) -> str:
        return notification.new_key(self._random(notification.KEY_SIZE))


def _place(hook: Webhook, number: int) -> str:
    return f"{_OPEN}{hook.uid}/queue/{number:015d}"
