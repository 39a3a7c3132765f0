"""`get_secret`, `get_secrets` and `live`: one client for the whole process, made on first use from what the surroundings say.

The client itself is imported then, too, so that a program that names them at its top starts as fast as without.
"""

from __future__ import annotations

import os
from threading import Lock

TYPE_CHECKING = False  # as in ml_secrets/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml_secrets.client.client import Client
    from ml_secrets.client.live import LiveSecret, NeededFor
    from ml_secrets.client.secret import Secret

_lock = Lock()
_client: Client | None = None


def _renew() -> None:
    """In a forked child: a thread that held the lock is not there to let it go."""
    global _lock  # noqa: PLW0603 - one for the process is what this module is for
    _lock = Lock()


os.register_at_fork(after_in_child=_renew)


def default_client() -> Client:
    """The client behind `get_secret`."""
    global _client  # noqa: PLW0603 - one for the process is what this module is for
    if _client is None:
        from ml_secrets.client.client import Client  # noqa: PLC0415 - see above

        with _lock:
            if _client is None:
                _client = Client()
    return _client


def get_secret(
    name: str, *, field: str | None = None, version: int | None = None, mount: str | None = None
) -> Secret:
    """A secret by its name, such as "openai/api-key".

    The values come out by `reveal` only: `get_secret("openai/api-key").reveal()`, or, of a secret with several fields,
    `get_secret("db")["password"].reveal()`. A value is kept for 300 s (ML_SECRETS_CACHE_TTL) and, where the server
    answers conditional reads, checked every 5 s (ML_SECRETS_REVALIDATE). Where the server is looked for: client/settings.py.

    Raises `NotFound`, `Denied`, `Unauthenticated`, `Unreachable` ...: each says what to do next.
    """
    return (_client or default_client()).get_secret(name, field=field, version=version, mount=mount)


def get_secrets(
    names: Iterable[str], *, mount: str | None = None, partial: bool = False
) -> dict[str, Secret]:
    """Several secrets by their names, in one call to the server where it knows batches.

    Raises `Incomplete`, which has an error for each that failed. `partial` leaves out those that are refused (not there,
    not allowed) instead.
    """
    return (_client or default_client()).get_secrets(names, mount=mount, partial=partial)


def live(
    name: str, *, field: str | None = None, mount: str | None = None, needed_for: NeededFor = None
) -> LiveSecret:
    """A handle that is always current.

    `password = live("db", field="password")`, then `password.reveal()` at each use. Nothing is asked until it is looked at. `needed_for` ("6h", a timedelta, a datetime; else ML_SECRETS_JOB_END) is until when
    the job needs it: the first look warns (`EndsEarly`) if the secret, or the token that reads it, is known to end before that.
    """
    from ml_secrets.client.live import LiveSecret  # noqa: PLC0415 - see above

    return LiveSecret(None, name, field, mount, needed_for)


def forget() -> None:
    """Close the client. The next call makes another, from what the surroundings say then."""
    global _client
    with _lock:
        client, _client = _client, None
    if client is not None:
        client.close()
