"""Live secrets: a handle instead of a copy. It gives what the secret is now, in every process that holds it.

- A look costs a look into the cache. The first one has the secret followed (following.py): the server tells of a change, the
  cache has the new state within a moment, and callbacks hear of it.
- `get` gives a snapshot: fields that belong together, a user and a password, come out of one.
- It pickles as its name and nothing else, so a checkpoint or a payload for another process holds no value; there, it is looked
  up by the client of that process.
- A forked child looks anew, over connections of its own. Callbacks run in it from its first look on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

from ml_secrets.client import default, ending
from ml_secrets.errors import NotFound
from ml_secrets.sensitive import MASK, Masked, Sensitive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, KeysView
    from datetime import datetime, timedelta

    from ml_secrets.client.aio import AsyncClient
    from ml_secrets.client.client import Client
    from ml_secrets.client.secret import Secret

    NeededFor = str | int | timedelta | datetime | None
    Callback = Callable[[Secret | None], object]


class _Handle(Masked):
    __slots__ = ("_end", "_warned", "field", "mount", "name")

    def __init__(self, name: str, field: str | None, mount: str | None, needed_for: NeededFor) -> None:
        self.name = name
        self.field = field
        self.mount = mount
        self._end = ending.job_end(needed_for, time.time())
        self._warned = self._end is None

    def narrowed(self, secret: Secret) -> Secret:
        """That secret, or the field of it that this handle is about. Raises `NotFound`."""
        return secret if self.field is None else secret.only(self.field)

    def state(self, secret: Secret | None) -> Secret | None:
        """The same of a state; None where there is no such field."""
        try:
            return None if secret is None else self.narrowed(secret)
        except NotFound:
            return None

    def _needed(self, needed_for: NeededFor) -> float | None:
        return self._end if needed_for is None else ending.job_end(needed_for, time.time())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {MASK}>"

    def __bool__(self) -> bool:
        return True


class LiveSecret(_Handle):
    """A secret by name, at whatever version it has when it is looked at. It prints as dots, and pickles as its name.

    password = live("db", field="password")
    connect(password=password.reveal())         # today's
    connect(password=password.reveal())         # and, after a rotation, the new one
    """

    __slots__ = ("__weakref__", "_client", "_shown", "callbacks", "told")

    def __init__(
        self,
        client: Client | None,
        name: str,
        field: str | None = None,
        mount: str | None = None,
        needed_for: NeededFor = None,
    ) -> None:
        super().__init__(name, field, mount, needed_for)
        self._client = client
        self._shown: tuple[Secret | None, Secret | None] = (None, None)
        self.callbacks: list[Callback] = []
        self.told: Secret | ending.Unknown | None = ending.UNKNOWN

    @property
    def client(self) -> Client:
        """Who looks it up: the client it came from, else the one of the process."""
        return self._client or default.default_client()

    # ── what it is now ──────────────────────────────────────────────────────────────────────────────────────────────

    def get(self) -> Secret:
        """The secret as it is now: a snapshot. Raises `NotFound`, `Denied`, … as `get_secret` does."""
        client = self._client or default.default_client()
        found = client._at_hand(self.name, None, None, self.mount) or self._look(client)  # noqa: SLF001 - the quick way in
        whole, shown = self._shown
        return shown if found is whole and shown is not None else self._seen(client, found)

    def refresh(self) -> Secret:
        """The secret, from the server now: for who was told that what they had is no good any more."""
        client = self.client
        return self._seen(client, client.kv.get(self.name, mount=self.mount))

    def reveal(self) -> str:
        """The value as it is now (see `Secret.reveal` for which one)."""
        return self.get().reveal()

    @property
    def value(self) -> Sensitive:
        """The same, still out of sight."""
        return Sensitive(self.get().reveal())

    def reveal_fields(self) -> dict[str, Any]:
        """All fields as they are now, of one version, as plain values."""
        return self.get().reveal_fields()

    def __getitem__(self, field: str) -> Sensitive:
        return self.get()[field]

    def keys(self) -> KeysView[str]:
        """The names of the fields."""
        return self.get().keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.get())

    def _look(self, client: Client) -> Secret:
        secret = client.get_secret(self.name, mount=self.mount)
        if not self._warned:
            self._warned = True
            self.lasts()
        return secret

    def _seen(self, client: Client, secret: Secret) -> Secret:
        """Another version than the last time, or the first."""
        shown = self.narrowed(secret)
        self._shown = (secret, shown)
        client.following.add(self)
        return shown

    def known(self) -> Secret | ending.Unknown | None:
        """The state that this handle's user knows: what callbacks were told of last, else what was looked at."""
        if not isinstance(self.told, ending.Unknown):
            return self.told
        shown = self._shown[1]
        return ending.UNKNOWN if shown is None else shown

    # ── what happens to it ──────────────────────────────────────────────────────────────────────────────────────────

    def on_change(self, callback: Callback) -> Callback:
        """Have `callback(secret)` called at each change of the values, with a snapshot; None when there is no such secret any more.

        It runs in a thread of its own, one change after another; two changes in short order may come as one. What it raises
        is logged by its kind alone, and stops nothing. Gives the callback back, so it may stand as a decorator.
        """
        self.callbacks.append(callback)
        self.client.following.add(self)
        return callback

    def remove_callback(self, callback: Callback) -> None:
        """Have it called no more."""
        self.callbacks.remove(callback)

    # ── until when ──────────────────────────────────────────────────────────────────────────────────────────────────

    def ends_at(self) -> datetime | None:
        """When the value, or the token's right to read it, ends as far as that is known; None where no end is known.

        Asks the server: of the token, of a lease, and of the secret's own `expires_at` where the metadata may be read.
        """
        client = self.client
        end = client.run(ending.earliest(client.session, self))
        return None if end is None else ending.moment(end.at)

    def lasts(self, needed_for: NeededFor = None) -> bool:
        """Does it last as long as it is needed? False, with an `EndsEarly` warning that says what ends, where it is known not to.

        `needed_for`: until when; else what the handle was made with, else ML_SECRETS_JOB_END. True where no need was stated.
        """
        client, needed = self.client, self._needed(needed_for)
        return needed is None or client.run(ending.in_time(client.session, self, needed))

    # ── elsewhere ───────────────────────────────────────────────────────────────────────────────────────────────────

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return (restored, (self.name, self.field, self.mount))

    def __getstate__(self) -> NoReturn:
        raise TypeError("a live secret has no state but its name")


def restored(name: str, field: str | None, mount: str | None) -> LiveSecret:
    """What a handle's pickle calls."""
    return LiveSecret(None, name, field, mount)


class AsyncLiveSecret(_Handle):
    """The same for tasks: `await password.reveal()`. As fresh as the cache; while `changes` goes on, current at once."""

    __slots__ = ("_client",)

    def __init__(
        self,
        client: AsyncClient,
        name: str,
        field: str | None = None,
        mount: str | None = None,
        needed_for: NeededFor = None,
    ) -> None:
        super().__init__(name, field, mount, needed_for)
        self._client = client

    async def get(self) -> Secret:
        """The secret as it is now: a snapshot."""
        secret = await self._client.get_secret(self.name, field=self.field, mount=self.mount)
        if not self._warned:
            self._warned = True
            await self.lasts()
        return secret

    async def reveal(self) -> str:
        """The value as it is now (see `Secret.reveal` for which one)."""
        return (await self.get()).reveal()

    async def value(self) -> Sensitive:
        """The same, still out of sight."""
        return Sensitive(await self.reveal())

    async def changes(self) -> AsyncIterator[Secret | None]:
        """Each new state as it comes, without the present one; None when there is no such secret any more."""
        states = self._client.watch(self.name, mount=self.mount)
        await anext(states)
        async for secret in states:
            yield self.state(secret)

    async def ends_at(self) -> datetime | None:
        """When it ends, as far as that is known: see `LiveSecret.ends_at`."""
        end = await self._client.run(ending.earliest(self._client.session, self))
        return None if end is None else ending.moment(end.at)

    async def lasts(self, needed_for: NeededFor = None) -> bool:
        """Does it last as long as it is needed? See `LiveSecret.lasts`."""
        needed = self._needed(needed_for)
        return needed is None or await self._client.run(ending.in_time(self._client.session, self, needed))
