"""Reads that were answered before, and the short way to answer them again.

A read has no effect, and its answer depends on the store and the time alone. So all that was worked out for one (where
its path leads, who asks, whether they may, what the audit log says of it) holds for the next of the same token and path,
for as long as nothing at all was written (`Units.stamp`) and nothing it rests on has expired (`until`).

- The second read of one state is remembered, the third is the first to go the short way: where writes come in between
  all the time, nothing is remembered, and reads cost what they did.
- What is secret is not kept: the value is opened anew for each answer, and a request is known by a keyed hash alone.
- Not remembered: whatever changes with each request (tokens with limited uses, quotas), with where it comes from
  (tokens bound to addresses), or with other headers (those that the audit log records).
- Each answer is recorded like the first one, by the same devices, just before it leaves. Where that, or anything else,
  fails, the request goes the whole way, which says what is wrong.
"""

from __future__ import annotations

import hashlib
import sys
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from ml_secrets.barrier.view import View
from ml_secrets.errors import Fault
from ml_secrets.registry.counters import READ
from ml_secrets.storage.interface import Moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ml_secrets.audit.script import Script
    from ml_secrets.pipeline.devices import Cast
    from ml_secrets.pipeline.house import House
    from ml_secrets.pipeline.outcome import Outcome
    from ml_secrets.pipeline.visit import Visit
    from ml_secrets.registry.unit import Unit
    from ml_secrets.storage.interface import Transaction

_MOST_ASKED: Final = 16_384
_MOST_BYTES: Final = 40 * 1024 * 1024
_BYTES: Final = 2_700  # about what a remembered read takes beside its records
_NAME_SIZE: Final = 16


class Recalled(msgspec.Struct):
    """An answered read. `cast` are the devices that `scripts` were written for, `outcome` is the answer but for its data.

    `again` makes the data from what lies below `prefix` in the store. `frame` is the dialect's: what it puts around them.
    """

    stamp: int
    until: float
    cast: Cast
    scripts: tuple[Script, ...]
    prefix: str
    again: Callable[[Transaction, str], bytes]
    outcome: Outcome
    frame: Any = None

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return _BYTES + sum(script.size for script in self.scripts)


class PlainRead(msgspec.Struct, gc=False):
    """A read whose answer depends on its token and its target alone, which `name` stands for, and where it comes from.

    `recalled` and `data` (JSON) are the answer, where it was answered again; `data` is None where it has to go the whole way.
    """

    name: bytes
    token: str
    request_id: bytes
    address: str
    port: int
    recalled: Recalled | None = None
    data: bytes | None = None


class Recalls:
    """The reads that are remembered; of too many, the oldest is let go. `random(n)` gives n random bytes."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._keyed = _keyed(random)
        self._known: dict[bytes, Recalled] = {}
        self.find: Final = self._known.get
        """What was remembered under a name, whether it still holds or not."""
        self._taken = 0
        self._turn = Lock()
        self._asked: dict[bytes, int] = {}

    def name(self, token: bytes, target: bytes) -> bytes:
        """What a plain read is known by. Nobody without the key, which never leaves this process, can tell the token from it."""
        found = self._keyed.copy()
        found.update(b"%d:%b%b" % (len(token), token, target))
        return found.digest()

    def asked_before(self, name: bytes, stamp: int) -> bool:
        """The same read was asked before of the same state. Until then remembering it would cost, and might never pay."""
        if self._asked.get(name) == stamp:
            return True
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[name] = stamp
        return False

    def remember(self, name: bytes, recalled: Recalled) -> None:
        """Keep an answered read."""
        with self._turn:
            self._let_go(name)
            self._known[name] = recalled
            self._taken += recalled.size
            while self._taken > _MOST_BYTES:
                self._let_go(next(iter(self._known)))

    def _let_go(self, name: bytes) -> None:
        gone = self._known.pop(name, None)
        if gone is not None:
            self._taken -= gone.size

    def forget_all(self) -> None:
        """The server seals: nothing that was known before counts."""
        with self._turn:
            self._known.clear()
            self._asked, self._taken = {}, 0
        self._keyed = _keyed(self._random)


def _keyed(random: Callable[[int], bytes]) -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=_NAME_SIZE, key=random(32))


def again(house: House, reads: Iterable[PlainRead]) -> None:
    """Answer those that were answered before. They are recorded together, just ahead of their answers, or none is answered."""
    found: list[PlainRead] = []
    now, devices = house.clock(), house.devices
    cast = devices.cast
    try:
        _look_up(house, reads, found, cast, now)
        if not found:
            return
        devices.again(cast, found, now)
        recorded = devices.cast is cast  # else they may have been closed by then, and recorded nothing
    except Exception:  # noqa: BLE001 - the whole way tells what is wrong, for each by itself
        recorded = False
    if recorded:
        house.counters.requests[READ] += len(found)
        return
    for read in found:
        read.data = None


def _look_up(
    house: House, reads: Iterable[PlainRead], found: list[PlainRead], cast: Cast, now: float
) -> None:
    """Open the values of those that still hold, in one state of the store, and note them in `found`."""
    units, find = house.units, house.recalls.find
    stamp = units.stamp
    try:
        with units.look() as tx:
            for read in reads:
                recalled = find(read.name)
                if (
                    recalled is None
                    or recalled.stamp != stamp
                    or recalled.cast is not cast
                    or now >= recalled.until
                ):
                    continue
                try:
                    read.data = recalled.again(View(tx, recalled.prefix), read.token)
                except Fault:
                    continue
                read.recalled = recalled
                found.append(read)
    except Moved:  # those that a writer overtook go the whole way; the others were answered before it came
        return


def remember(house: House, visit: Visit, outcome: Outcome) -> None:
    """Keep what was worked out for a read that was answered just now, if it may be answered again."""
    request, response, mount = visit.request, outcome.response, visit.route.mount
    if not request.name or response is None or response.again is None or mount is None:
        return
    if not house.recalls.asked_before(request.name, visit.stamp):
        return
    until = house.units.read(lambda unit: _lasts(house, unit, visit))
    cast, scripts = house.devices.cast, house.devices.scripts(visit)
    if until is None or scripts is None:
        return
    bare = replace(response, data=None, again=None, state=None)
    recalled = Recalled(
        stamp=visit.stamp,
        until=min(until, response.until),
        cast=cast,
        scripts=scripts,
        prefix=sys.intern(house.opaque_prefix(mount)),
        again=response.again,
        outcome=replace(outcome, request_id="", response=bare),
    )
    house.recalls.remember(request.name, recalled)


def _lasts(house: House, unit: Unit, visit: Visit) -> float | None:
    """How long who asked may ask again, if nobody writes; None where that has to be looked at each time."""
    caller, request = visit.caller, visit.request
    if caller is None or caller.entry.uses_left or caller.entry.bound_cidrs:
        return None
    return None if house.quotas.holds(unit, request.path) else house.tokens.until(unit, caller.entry)
