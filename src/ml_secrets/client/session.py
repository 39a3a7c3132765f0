"""What a client knows while it lives: settings, token, caches. Flows act on it; it does no I/O and reads no clock itself."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from ml_secrets.client.cache import Cache
from ml_secrets.client.login import Login
from ml_secrets.client.settings import check_token
from ml_secrets.errors import Invalid
from ml_secrets.redaction.known import hand_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ml_secrets.client.cache import Key
    from ml_secrets.client.settings import Settings
    from ml_secrets.sensitive import Sensitive


class Session:
    """One identity at one server.

    token: None is "not logged in". renew_at, expires_at: 0 is never. versions: the KV version of each mount seen.
    batches: does the server answer sys/batch? None is "not tried yet". reread: reads the file that the token came from;
    None when it came otherwise. increment: seconds that a renewal asks for; 0 is what the token was given at first. warned: secrets
    whose warnings were passed on.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float],
        draw: Callable[[], float],
        reread: Callable[[], Sensitive | None] | None = None,
        login: Login | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.draw = draw
        self.cache = Cache(settings.cache_ttl, settings.revalidate)
        self.versions: dict[str, int]
        self.batches: bool | None
        self.warned: set[Key] = set()
        self.login: Login | None = None
        self.reread: Callable[[], Sensitive | None] | None = None
        self.token: Sensitive | None = None
        self.ttl = 0.0
        self.renew_at = 0.0
        self.expires_at = 0.0
        self.renewable = False
        self.increment = 0
        self.scope = ""
        self.become(settings.token, login=login, reread=reread)

    def become(
        self,
        token: Sensitive | None,
        *,
        login: Login | None = None,
        reread: Callable[[], Sensitive | None] | None = None,
    ) -> None:
        """Take on another identity: nothing that the one before was given is served any more.

        A token that came from no file (no `reread`) is never replaced by one out of a file. What cannot be sent is
        `Invalid`, and changes nothing.
        """
        token = None if token is None else check_token(token)
        if login is not None and not isinstance(login, Login):
            raise Invalid(
                f"{type(login).__name__} is no way to log in",
                hint="ml_secrets.client has them: approle(role_id, secret_id), userpass(name, password)",
            )
        scope = _digest(self.settings.address, self.settings.namespace, _identity(token, login))
        self.token = token
        hand_out(self)
        self.login = login
        self.reread = reread
        self.ttl = self.renew_at = self.expires_at = 0.0
        self.renewable = False
        self.increment = 0
        self.scope = scope
        self.cache.clear()
        self.versions = {}
        self.batches = None  # it may have been a right that was missing

    @property
    def inside(self) -> Login | None:
        """The login that goes inside each request; None where there is a token, or is to be one."""
        return self.login if self.login is not None and self.login.inline else None

    def took(self, token: Sensitive, *, ttl: float, life: float, renewable: bool, now: float) -> None:
        """A login or a renewal gave this token `life` seconds; `ttl` is what it had at first. The identity stays."""
        self.token = check_token(token)
        hand_out(self)
        self.ttl, self.renewable = ttl, renewable
        self.expires_at = now + life if life else 0.0
        self.renew_at = now + max(life * 2 / 3, 1.0) if life else 0.0

    def handed(self) -> Iterable[tuple[str, Sensitive]]:
        """The token, for guards to know."""
        return [] if self.token is None else [("the client's token", self.token)]

    def due(self, now: float) -> bool:
        """Has two thirds of the token's life gone by?"""
        return bool(self.renew_at) and now >= self.renew_at

    def expired(self, now: float) -> bool:
        """Is its life over, as far as we know?"""
        return bool(self.expires_at) and now >= self.expires_at

    def renew_later(self, now: float) -> None:
        """The renewal failed: try again when a third of the rest has gone by."""
        self.renew_at = now + max((self.expires_at - now) / 3, 1.0)

    def renew(self) -> None:
        """In a child process after a fork."""
        self.cache.renew()


def _identity(token: Sensitive | None, login: Login | None) -> str:
    if login is not None:
        return login.identity()
    return _digest("token", "" if token is None else token.reveal())


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
