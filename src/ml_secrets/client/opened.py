"""What `Client` and `AsyncClient` have in common: settings, the session, who they are."""

from __future__ import annotations

import os
import random
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, SupportsIndex

from ml_secrets.client import settings as found
from ml_secrets.client.encoding import hide
from ml_secrets.client.session import Session

if TYPE_CHECKING:
    import ssl

    from ml_secrets.client.aio_driver import AsyncDriver
    from ml_secrets.client.cache import Entry
    from ml_secrets.client.driver import Driver
    from ml_secrets.client.login import Login
    from ml_secrets.client.settings import Settings
    from ml_secrets.sensitive import Sensitive


class Opened:
    """A client of one server, as one identity."""

    settings: Settings
    _driver: Driver | AsyncDriver
    _entries: dict[Any, Entry]

    def __init__(
        self,
        url: str | None = None,
        token: str | Sensitive | None = None,
        *,
        namespace: str | None = None,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext | None = None,
        mount: str | None = None,
        timeout: float | None = None,
        patience: float | None = None,
        cache_ttl: float | None = None,
        revalidate: float | None = None,
        login: Login | None = None,
    ) -> None:
        """Each argument that is left out is looked for in the environment, in files and on this machine (settings.py).

        url: http(s)://host:port, or unix:///path.
        verify: False for no check of certificates, or the path of an authority's.
        mount: the KV mount that names are looked up in ("secret").
        timeout: seconds for one call with all its retries.
        patience: seconds to go on trying while the server is away or busy (a restart, say); 0 is about one second.
        cache_ttl: seconds a secret is served without asking; 0 is never.
        revalidate: seconds after which the server is asked whether a cached secret still holds, where it can tell cheaply.
        login: how to log in, on first use and again whenever the token is not known any more. Tokens in the environment and
        in files are then somebody else's, and not used.
        """
        held = None if token is None else hide(token)
        del token
        self.settings = found.resolve(
            address=url,
            token=held,
            namespace=namespace,
            verify=verify,
            mount=mount,
            timeout=timeout,
            patience=patience,
            cache_ttl=cache_ttl,
            revalidate=revalidate,
        )
        if login is not None and held is None:
            self.settings.token = self.settings.token_path = None
        self.session = self._begin(login)
        self._entries = self.session.cache.entries
        self._open()
        _clients.add(self)

    def _begin(self, login: Login | None) -> Session:
        path, reread = self.settings.token_path, None
        if path is not None:
            reread = partial(found.read_token, path, named=bool(os.environ.get("ML_SECRETS_TOKEN_FILE")))
        return Session(
            self.settings,
            clock=time.monotonic,
            draw=random.SystemRandom().random,
            reread=reread,
            login=login,
        )

    def _open(self) -> None:
        """Set up what drives the flows."""
        raise NotImplementedError

    @property
    def token(self) -> Sensitive | None:
        """The token in use; None before a login."""
        return self.session.token

    @token.setter
    def token(self, token: str | Sensitive | None) -> None:
        held = None if token is None else hide(token)
        del token
        self.session.become(held)

    def mount_of(self, mount: str | None) -> str:
        """The mount that was asked for, or the one of the settings."""
        return (mount or self.settings.mount).strip("/")

    def renew_after_fork(self) -> None:
        """Runs in every forked child: nothing cached and no connection is inherited."""
        self.session.renew()
        self._driver.renew()
        self._entries = self.session.cache.entries

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.settings.address if hasattr(self, 'settings') else ''}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a client does not pickle: make one in the other process")


_clients: Final[weakref.WeakSet[Opened]] = weakref.WeakSet()


def _renew_all() -> None:
    for client in list(_clients):
        client.renew_after_fork()


os.register_at_fork(after_in_child=_renew_all)
