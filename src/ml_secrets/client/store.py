"""Live secrets: a handle instead of a copy. Each `reveal` gives the value of now, out of the cache while that is fresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.sensitive import MASK, Masked

if TYPE_CHECKING:
    from ml_secrets.client.aio import AsyncClient
    from ml_secrets.client.client import Client
    from ml_secrets.client.secret import Secret


class _Handle(Masked):
    __slots__ = ("field", "mount", "name")

    def __init__(self, name: str, field: str | None, mount: str | None) -> None:
        self.name = name
        self.field = field
        self.mount = mount

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {MASK}>"


class LiveSecret(_Handle):
    """A secret by name, at whatever version it has when it is looked at.

    password = client.live("db", field="password")
    connect(password=password.reveal())         # today's
    connect(password=password.reveal())         # and, after a rotation, the new one
    """

    __slots__ = ("_client",)

    def __init__(self, client: Client, name: str, field: str | None, mount: str | None) -> None:
        super().__init__(name, field, mount)
        self._client = client

    def get(self) -> Secret:
        """The secret as it is now: a snapshot."""
        return self._client.get_secret(self.name, field=self.field, mount=self.mount)

    def reveal(self) -> str:
        """The value as it is now (see `Secret.reveal` for which one)."""
        return self.get().reveal()


class AsyncLiveSecret(_Handle):
    """The same for tasks: `await password.reveal()`."""

    __slots__ = ("_client",)

    def __init__(self, client: AsyncClient, name: str, field: str | None, mount: str | None) -> None:
        super().__init__(name, field, mount)
        self._client = client

    async def get(self) -> Secret:
        """The secret as it is now: a snapshot."""
        return await self._client.get_secret(self.name, field=self.field, mount=self.mount)

    async def reveal(self) -> str:
        """The value as it is now (see `Secret.reveal` for which one)."""
        return (await self.get()).reveal()
