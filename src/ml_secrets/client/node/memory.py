"""What the server answered, for how long that is good, and what is under way: one question for all who ask the same.

- An answer is known by who asked (token, login, namespace) and for what. It is given as long as it is as fresh as the
  asker wants it, with its age. Then the server is asked whether it still holds.
- While the server is away, or fails, it is given up to the age that the asker still takes; the server is tried again after
  a while. Older ones are not given, and soon not there.
- A refusal is given to those who wait for it, and not kept; nor is the answer that it is about.
- Each answer counts as a little older than it is, by chance, so that machines that started together do not go on together.
- Whoever changed something says so: what was read before is forgotten, also what is being read just now.
- A login is good for two thirds of its token's life, which grows when the token is renewed, and until the token is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from ml_secrets.client.encoding import Unreadable, decode, part
from ml_secrets.client.faults import error_of
from ml_secrets.client.messages import ANSWER, BATCH, LOGIN, READ, RENEW, WAIT, Request, Response
from ml_secrets.client.node.batch import fewer, is_part, parts_of, reads_of, together
from ml_secrets.client.node.words import FORGET, LOST, Ask, Told, digest_of
from ml_secrets.errors import Unauthenticated
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

MOST: Final = 10_000
MOST_WAITING: Final = 64
"""Of connections to the server that wait for news; who comes then is told what a read is told, and comes again."""
LARGEST_KEPT: Final = 4 << 20
EARLY: Final = 0.1
"""By which part of its time an answer may count as older than it is."""
_IDENTITY: Final = ("x-vault-token", "x-vault-namespace", "x-vault-inline-auth-")

Key = tuple[str, str, str]
"""What kind of answer, given to whom, and to what."""
Flight: TypeAlias = "asyncio.Task[Told | None]"


@dataclass(slots=True)
class Kept:
    """An answer. born: when the server was asked, or a little before. retry_at: the server failed; not to be asked before that.

    good_for: how long it may be kept at all. life: of a login's token, 0 is for ever. token: its digest.
    """

    told: Told
    born: float
    good_for: float
    kind: str
    etag: str = ""
    retry_at: float = 0.0
    life: float = 0.0
    token: str = ""


class Memory:
    """All that is known. Its methods run on one event loop. `send` carries a request to the server, and never raises."""

    def __init__(
        self,
        send: Callable[[Ask], Awaitable[Told]],
        *,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self._send = send
        self._clock = clock
        self._draw = draw
        self._kept: dict[Key, Kept] = {}
        self._under_way: dict[Key, Flight] = {}
        self._generation = 0

    async def ask(self, ask: Ask) -> Told:
        """The answer, from the server or from here."""
        if ask.kind == FORGET:
            return self._forget(ask)
        key = key_of(ask)
        if ask.kind == WAIT:
            return await self._wait(key, ask)
        if ask.kind == BATCH:
            return await self._batch(ask)
        return self._at_hand(key, ask) or await self._asked(key, ask)

    async def _asked(self, key: Key, ask: Ask) -> Told:
        joined = key in self._under_way
        told = await asyncio.shield(self._going(key, ask))
        if told is None:  # it went with a batch, and there are none
            told = await asyncio.shield(self._going(key, ask)) or Told(
                fault=LOST, text="it went with a batch"
            )
        for_one = joined and ask.kind == LOGIN and told.status == 200 and key not in self._kept
        return await self._send(ask) if for_one else self._seen(key, ask, told)

    async def _batch(self, ask: Ask) -> Told:
        """What is known or under way of each secret, and all the others in one request."""
        reads = reads_of(ask)
        keys = [key_of(read) for read in reads]
        at_hand = {
            key: told for key, read in zip(keys, reads, strict=True) if (told := self._at_hand(key, read))
        }
        missing = {
            key: read
            for key, read in zip(keys, reads, strict=True)
            if key not in at_hand and key not in self._under_way
        }
        sent = asyncio.ensure_future(self._send(fewer(ask, list(missing.values())))) if missing else None
        for number, (key, read) in enumerate(missing.items()):
            self._start(key, self._part(key, read, cast("asyncio.Task[Told]", sent), (number, len(missing))))
        waiting = {key: self._under_way[key] for key in keys if key not in at_hand}
        for key, task in waiting.items():
            told = await asyncio.shield(task)
            if told is None:
                return await (sent or self._send(ask))
            at_hand[key] = self._seen(key, ask, told)
        failed = next((told for told in at_hand.values() if _failed(told) and not is_part(told)), None)
        return failed or together(reads, [at_hand[key] for key in keys])

    async def _part(
        self, key: Key, read: Ask, sent: asyncio.Task[Told], which: tuple[int, int]
    ) -> Told | None:
        """What a batch says of one secret; None where it was refused as a whole."""
        kept, generation, began = self._kept.get(key), self._generation, self._clock()
        whole = await sent
        parts = parts_of(whole, which[1])
        told = whole if _failed(whole) else None if parts is None else parts[which[0]]
        if told is not None and not _failed(told) and generation == self._generation:
            self._learn(key, kept, read, told, began)
        return told

    # ── what is at hand ─────────────────────────────────────────────────────────────────────────────────────────────

    def _at_hand(self, key: Key, ask: Ask) -> Told | None:
        kept = self._kept.get(key)
        return self._given(kept, ask) if kept is not None and self._will_do(kept, ask) else None

    def _seen(self, key: Key, ask: Ask, told: Told) -> Told:
        """What an asker is told, once the server has been asked."""
        kept = self._kept.get(key)
        if _failed(told):
            return self._instead(kept, ask, told)
        return told if kept is None else self._given(kept, ask)

    def _will_do(self, kept: Kept, ask: Ask) -> bool:
        now = self._clock()
        age = now - kept.born
        if kept.kind == LOGIN:
            return kept.token != ask.refused and (not kept.life or age < kept.life * 2 / 3)
        checks = kept.etag or ask.kind == ANSWER
        if age < (ask.fresh if checks else max(ask.fresh, ask.stale)):
            return True
        return now < kept.retry_at and age <= ask.stale

    def _given(self, kept: Kept, ask: Ask) -> Told:
        age = max(self._clock() - kept.born, 0.0)
        if kept.etag and _header(ask, "if-none-match") == kept.etag:
            return Told(304, {"etag": kept.etag}, age=age)
        return Told(kept.told.status, kept.told.headers, kept.told.body, age)

    def _instead(self, kept: Kept | None, ask: Ask, told: Told) -> Told:
        """The server failed: what there is, up to the age that is still taken."""
        now = self._clock()
        if kept is None or now - kept.born > _still_taken(kept, ask):
            return told
        kept.retry_at = now + max(ask.fresh, 1.0) * (1 - EARLY * self._draw())
        return self._given(kept, ask)

    # ── what is under way ───────────────────────────────────────────────────────────────────────────────────────────

    def _going(self, key: Key, ask: Ask) -> Flight:
        return self._under_way.get(key) or self._start(key, self._fetch(key, ask))

    def _start(self, key: Key, work: Coroutine[Any, Any, Told | None]) -> Flight:
        task = self._under_way[key] = asyncio.ensure_future(work)
        task.add_done_callback(lambda done: self._landed(key, done))
        return task

    def _landed(self, key: Key, done: Flight) -> None:
        if self._under_way.get(key) is done:
            del self._under_way[key]

    async def _fetch(self, key: Key, ask: Ask) -> Told:
        place = key_of(_read_of(ask)) if ask.kind == WAIT else key
        kept, generation, began = self._kept.get(place), self._generation, self._clock()
        told = await self._send(_conditional(ask, kept))
        if generation == self._generation and not _failed(told):
            self._learn(place, kept, ask, told, began)
        return kept.told if told.status == 304 and kept is not None and ask.kind == READ else told

    def _learn(self, place: Key, kept: Kept | None, ask: Ask, told: Told, began: float) -> None:
        """What the answer says of what is kept, or is to be kept."""
        if told.status == 304:
            if kept is not None and kept.etag == (told.headers.get("etag") or kept.etag):
                self._kept[place] = kept
                kept.born, kept.retry_at = self._born(began, ask.fresh), 0.0
            return
        self._kept.pop(place, None)
        if told.status == 200:
            self._keep(place, ask, told, began)
        elif _is_of_token(ask, told):
            self._kept = {key: kept for key, kept in self._kept.items() if key[1] != place[1]}

    async def _wait(self, key: Key, ask: Ask) -> Told:
        """News of a secret, for all who know the same state of it; no longer than this asker would wait."""
        ends = self._clock() + _wished(ask)
        if key not in self._under_way and sum(kind == WAIT for kind, _, _ in self._under_way) >= MOST_WAITING:
            return await self.ask(_read_of(ask))
        while True:
            task = self._under_way.get(key)
            joined = task is not None
            left = ends - self._clock()
            done, _ = await asyncio.wait([self._going(key, ask)], timeout=max(left, 0.0) if joined else None)
            if not done:
                return Told(304, {})
            told = done.pop().result() or Told(304, {})
            if not joined or told.status != 304 or ends - self._clock() <= 1.0:
                return told

    # ── what is kept ────────────────────────────────────────────────────────────────────────────────────────────────

    def _keep(self, key: Key, ask: Ask, told: Told, began: float) -> None:
        if len(told.body) > LARGEST_KEPT:
            return
        if ask.kind in (LOGIN, RENEW):
            self._keep_token(key, ask, told, began)
            return
        born = self._born(began, ask.fresh)
        self._put(key, Kept(told, born, max(ask.fresh, ask.stale), ask.kind, told.headers.get("etag", "")))

    def _keep_token(self, key: Key, ask: Ask, told: Told, began: float) -> None:
        life, token = _token_in(told)
        if life is None:
            return
        kept = Kept(told, self._born(began, life), life or float("inf"), ask.kind, life=life, token=token)
        if ask.kind == RENEW:
            self._grow(token, kept)
        self._put(key, kept)

    def _grow(self, token: str, renewed: Kept) -> None:
        """The login that gave this token is good for longer."""
        for kept in self._kept.values():
            if kept.kind == LOGIN and kept.token == token and kept.life:
                kept.born = max(kept.born, renewed.born - max(kept.life - renewed.life, 0.0))

    def _put(self, key: Key, kept: Kept) -> None:
        if len(self._kept) >= MOST and key not in self._kept:
            self.sweep()
            while len(self._kept) >= MOST:
                del self._kept[next(iter(self._kept))]
        self._kept[key] = kept

    def _born(self, began: float, time: float) -> float:
        return began - self._draw() * EARLY * time if time < float("inf") else began

    def _forget(self, ask: Ask) -> Told:
        """Something was written."""
        self._generation += 1
        self._under_way = {}
        auth = ask.path.startswith("auth/")
        self._kept = (
            {} if auth else {key: kept for key, kept in self._kept.items() if kept.kind in (LOGIN, RENEW)}
        )
        return Told(204)

    def sweep(self) -> None:
        """What is too old for anybody goes."""
        now = self._clock()
        self._kept = {key: kept for key, kept in self._kept.items() if now - kept.born <= kept.good_for}


# ── requests and answers ────────────────────────────────────────────────────────────────────────────────────────────


def key_of(ask: Ask) -> Key:
    """By what an answer is known. Digests, so that tokens and passwords are nowhere but in answers."""
    who = sorted(pair for pair in ask.headers.items() if pair[0].lower().startswith(_IDENTITY))
    mark = _header(ask, "if-none-match") if ask.kind == WAIT else ""
    query = sorted(pair for pair in ask.query.items() if pair[0] != "wait")
    what = (ask.method, ask.path, query, mark, hashlib.sha256(ask.body).hexdigest())
    return ask.kind, hashlib.sha256(repr(who).encode()).hexdigest(), repr(what)


def _read_of(ask: Ask) -> Ask:
    """What a wait is about, as a read."""
    query = {name: value for name, value in ask.query.items() if name != "wait"}
    return Ask(READ, ask.method, ask.path, query, ask.headers, b"", ask.timeout, ask.fresh, ask.stale)


def _wished(ask: Ask) -> float:
    """For how long a request would wait."""
    return float(ask.query.get("wait", "").removesuffix("s") or 0)


def _header(ask: Ask, name: str) -> str:
    return next((value for own, value in ask.headers.items() if own.lower() == name), "")


def _conditional(ask: Ask, kept: Kept | None) -> Ask:
    """The request, asking whether what is kept still holds: not what the asker has, for others have not."""
    if ask.kind != READ:
        return ask
    headers = {name: value for name, value in ask.headers.items() if name.lower() != "if-none-match"}
    if kept is not None and kept.etag:
        headers["If-None-Match"] = kept.etag
    return Ask(ask.kind, ask.method, ask.path, ask.query, headers, ask.body, ask.timeout)


def _still_taken(kept: Kept, ask: Ask) -> float:
    """Up to which age it will do when the server fails; a token that was not refused as long as it lives."""
    if kept.kind == LOGIN:
        return kept.good_for if kept.token != ask.refused else 0.0
    return ask.stale if kept.kind != RENEW else 0.0


def _is_of_token(ask: Ask, told: Told) -> bool:
    """Does it say that the token is none, or none any more?"""
    asked = Request(ask.method, ask.path, token=Sensitive("-"))
    said = error_of(asked, Response(told.status, told.headers, Sensitive(told.body)))
    return ask.kind not in (LOGIN, RENEW) and isinstance(said, Unauthenticated)


def _failed(told: Told) -> bool:
    """May it go better another time?"""
    return bool(told.fault) or told.status == 429 or told.status >= 500


def _token_in(told: Told) -> tuple[float | None, str]:
    """The life of an answer's token, None where it is not for several, and the token's digest."""
    auth = part(Sensitive(told.body), "auth")
    try:
        found: Any = {} if auth is None else decode(auth)
    except Unreadable:
        found = {}
    token = found.get("client_token") if isinstance(found, dict) else None
    if not isinstance(token, str) or not token or found.get("num_uses"):
        return None, ""
    return float(found.get("lease_duration") or 0), digest_of(token)
