"""redis-py: each new connection logs in with the user and password of now.

The fields of the secret: `username` (or `user`), if the server has users, and `password`. A secret of one value is a password.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

from ml_secrets.integrations.source import PASSWORD, USER, Source, library, optional, source

if TYPE_CHECKING:
    from ml_secrets.client.secret import Secret


def provider(what: str | Source) -> Any:
    """`redis.Redis(host="cache.example", credential_provider=provider("redis/train"))`; for `redis.asyncio`, too.

    Connections that exist go on: Redis does not end them when a password changes.
    """
    return _kind()(source(what))


def login(secret: Secret) -> tuple[str] | tuple[str, str]:
    """What AUTH takes."""
    user, password = optional(secret, *USER), optional(secret, *PASSWORD)
    password = secret.reveal() if password is None else password
    return (user, password) if user else (password,)


@cache
def _kind() -> Any:
    class LiveProvider(library("redis").CredentialProvider):  # type: ignore[misc]
        """Asks the source at each login."""

        def __init__(self, kept: Source) -> None:
            self._source = kept

        def get_credentials(self) -> tuple[str] | tuple[str, str]:
            """For a connection that is being made."""
            return login(self._source.get())

        async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
            """The same for tasks."""
            return login(await asyncio.to_thread(self._source.get))

    return LiveProvider
