"""Credentials that were made for a job: one lease for all who ask the same, with one renewal, and ended once.

- Who asks for a path with the same token has the same lease, as long as it holds. Who was refused with it has another made, once
  for all; the one before is left to end by itself.
- Who has it holds it by a connection that stays open. What nobody has held for `linger` seconds is ended; who says that they have
  done with it ends it, if they are the last.
- A process that takes over from one that was killed knows nothing of what was made. Those who hold it tell; whoever asks for
  new credentials, or has done with some, waits for `SETTLE` seconds until they have.
- Ending is tried for `PATIENCE` seconds, or until the lease has ended by itself.
- Each lease counts as a little older than it is, by chance, so that machines which started together do not renew together.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.client.encoding import Unreadable, decode, part
from ml_secrets.client.messages import EXTEND, HOLD, LEASE, LEAVE
from ml_secrets.client.node.words import Ask, Told, digest_of
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

SETTLE: Final = 1.0
PATIENCE: Final = 300.0
EARLY: Final = 0.1
_TIMEOUT: Final = 10.0
_LONGEST_PAUSE: Final = 10.0
KINDS: Final = frozenset({LEASE, HOLD, EXTEND, LEAVE})


@dataclass(slots=True, eq=False)
class Held:
    """A lease. told: what was answered when it was made. seconds: for how long that was. headers: of who last spoke of it.

    since: when somebody last began or ceased to hold it. replaced: others were made in its place. again: when to try to end it.
    older: by which part of its time it counts as older than it is.
    """

    id: str
    told: Told
    seconds: float
    until: float
    headers: dict[str, str]
    since: float
    older: float
    holders: set[Hashable] = field(default_factory=set)
    replaced: bool = False
    extended: Told | None = None
    extended_at: float = 0.0
    again: float = 0.0
    pause: float = 0.5


class Leases:
    """All leases of a job on this machine. Its methods run on one event loop. `send` carries a request to the server, and never raises.

    `heir`: was there one before, that was killed?
    """

    def __init__(
        self,
        send: Callable[[Ask], Awaitable[Told]],
        key_of: Callable[[Ask], tuple[str, str, str]],
        *,
        clock: Callable[[], float],
        draw: Callable[[], float],
        linger: float,
        heir: bool,
    ) -> None:
        self._send = send
        self._whole_key_of = key_of
        self._clock = clock
        self._draw = draw
        self._linger = linger
        self._settled_at = clock() + SETTLE if heir else 0.0
        self._current: dict[Hashable, Held] = {}
        self._known: dict[str, Held] = {}
        self._under_way: dict[Hashable, asyncio.Task[Told]] = {}
        self._ending: set[asyncio.Task[Told]] = set()

    async def ask(self, ask: Ask, holder: Hashable) -> Told:
        """What `holder` says or asks of a lease. KINDS are those of it."""
        if ask.kind == HOLD:
            self._announced(ask).holders.add(holder)
            return Told(204)
        if ask.kind == EXTEND:
            return await self._extend(ask)
        await asyncio.sleep(max(self._settled_at - self._clock(), 0.0))
        return await (self._lease(ask, holder) if ask.kind == LEASE else self._leave(ask, holder))

    @property
    def wanted(self) -> bool:
        """Is there anything to end?"""
        return bool(self._known)

    def gone(self, holder: Hashable) -> None:
        """A connection ended."""
        for held in self._known.values():
            self._let_go(held, holder)

    def tidy(self) -> None:
        """Have ended what nobody holds, and forget what has ended by itself."""
        now = self._clock()
        for held in [held for held in self._known.values() if not held.holders]:
            if now >= held.until or held.replaced or now > held.since + self._linger + PATIENCE:
                self._forget(held)
            elif now >= max(held.since + self._linger, held.again):
                held.again, held.pause = now + held.pause, min(held.pause * 2, _LONGEST_PAUSE)
                task = asyncio.ensure_future(self._end(held, _revocation(held)))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

    # ── what is said ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _lease(self, ask: Ask, holder: Hashable) -> Told:
        key = self._key_of(ask)
        joined = key in self._under_way
        if not joined and (found := self._at_hand(key, ask)) is not None:
            return self._given(found, ask, holder)
        told = await self._once(key, ask, self._make)
        found = self._at_hand(key, ask)
        if found is not None:
            return self._given(found, ask, holder)
        return (
            await self._send(ask) if joined and told.status == 200 else told
        )  # it is none that can be shared

    async def _extend(self, ask: Ask) -> Told:
        held = self._known.get(ask.lease)
        if held is not None and held.extended is not None:
            age = self._clock() - held.extended_at
            if age < ask.fresh:
                return _aged(held.extended, age + held.older * (held.until - held.extended_at))
        told = await self._once((EXTEND, self._key_of(ask)), ask, self._renew)
        return _aged(told, 0.0 if held is None else held.older * (held.until - held.extended_at))

    async def _leave(self, ask: Ask, holder: Hashable) -> Told:
        held = self._announced(ask)
        self._let_go(held, holder)
        return Told(204) if held.holders or held.replaced else await self._end(held, ask)

    # ── at the server ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _once(self, key: Hashable, ask: Ask, work: Callable[[Ask], Awaitable[Told]]) -> Told:
        """Do it once for all who come meanwhile; whoever began it may go."""
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.ensure_future(work(ask))
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(task)

    async def _make(self, ask: Ask) -> Told:
        began = self._clock()
        told = await self._send(ask)
        lease_id, seconds = _lease_in(told)
        if lease_id:
            key = self._key_of(ask)
            if key in self._current:
                self._current[key].replaced = True
            self._current[key] = self._know(lease_id, told, seconds, began + seconds, ask)
        return told

    async def _renew(self, ask: Ask) -> Told:
        began = self._clock()
        told = await self._send(ask)
        held = self._known.get(ask.lease)
        if held is not None and told.status == 200:
            held.extended, held.extended_at, held.headers = told, began, ask.headers
            held.until = began + _lease_in(told)[1]
        return told

    async def _end(self, held: Held, ask: Ask) -> Told:
        told = await self._send(ask)
        if (
            not told.fault and told.status != 429 and told.status < 500
        ):  # a refusal will not be another one later
            self._forget(held)
        return told

    # ── what is known ───────────────────────────────────────────────────────────────────────────────────────────────

    def _key_of(self, ask: Ask) -> Hashable:
        """By what a lease is known, whatever is said of it."""
        return self._whole_key_of(ask)[1:]

    def _at_hand(self, key: Hashable, ask: Ask) -> Held | None:
        found = self._current.get(key)
        good = found is not None and self._clock() < found.until and digest_of(found.id) != ask.refused
        return found if good else None

    def _given(self, held: Held, ask: Ask, holder: Hashable) -> Told:
        """The answer that made it, as old as makes it end when it does."""
        self.gone(holder)
        held.holders.add(holder)
        held.headers = ask.headers
        age = self._clock() - held.until + held.seconds * (1 + held.older)
        return _aged(held.told, max(age, 0.0))

    def _announced(self, ask: Ask) -> Held:
        """A lease that its holder speaks of; one that was made for all before our time, it may be."""
        known = self._known.get(ask.lease)
        if known is None:
            told = Told(200, {}, ask.held)
            known = self._know(ask.lease, told, _lease_in(told)[1], self._clock() + ask.left, ask)
            if ask.kind == HOLD:
                self._current.setdefault(self._key_of(ask), known)
        known.headers = ask.headers
        return known

    def _know(self, lease_id: str, told: Told, seconds: float, until: float, ask: Ask) -> Held:
        held = Held(lease_id, told, seconds, until, ask.headers, self._clock(), EARLY * self._draw())
        return self._known.setdefault(lease_id, held)

    def _let_go(self, held: Held, holder: Hashable) -> None:
        if holder in held.holders:
            held.holders.remove(holder)
            held.since = self._clock()

    def _forget(self, held: Held) -> None:
        self._known.pop(held.id, None)
        self._current = {key: one for key, one in self._current.items() if one is not held}


def _aged(told: Told, age: float) -> Told:
    return Told(told.status, told.headers, told.body, age, told.fault, told.text, told.hint)


def _lease_in(told: Told) -> tuple[str, float]:
    """An answer's lease, and for how many seconds it is; "" where it has none."""
    body = Sensitive(told.body if told.status == 200 else b"")
    lease_id, seconds = (_member(body, name) for name in ("lease_id", "lease_duration"))
    return (lease_id, float(seconds)) if isinstance(lease_id, str) and isinstance(seconds, int) else ("", 0.0)


def _member(body: Sensitive, name: str) -> object:
    try:
        found = part(body, name)
        return None if found is None else decode(found)
    except Unreadable:
        return None


def _revocation(held: Held) -> Ask:
    body = msgspec.json.encode({"lease_id": held.id})
    headers = held.headers | {"Content-Type": "application/json"}
    return Ask(LEAVE, "POST", "sys/leases/revoke", {}, headers, body, _TIMEOUT)
