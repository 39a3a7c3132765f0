"""Logged in, for as long as the agent lives.

- A token is renewed when between a half and two thirds of its life have gone by: at a random moment, so that a thousand agents
  that started together do not come together. Where it cannot be renewed any more there is another login.
- What fails is tried again after random pauses that grow up to `patience`. While the old token lives, it goes on being used.
- Whoever finds the token refused logs in anew by itself (client/tokens.py); the sinks hear of that here, within a second.
"""

from __future__ import annotations

import random
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.telling import told_of
from ml_secrets.client.login import Login
from ml_secrets.client.tokens import log_in, look_up, tend
from ml_secrets.errors import MlSecretsError
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.agent.resident.config import Method
    from ml_secrets.agent.resident.logins import Way
    from ml_secrets.client import Client

_TICK: Final = 1.0
_EARLIEST: Final = 0.25
"""How much of the time until a renewal may be left out at most: a half of the life instead of two thirds."""


class Identity(Thread):
    """Keeps a client logged in. `renewed()` is called, in this thread, whenever there is another token."""

    def __init__(
        self,
        client: Client,
        way: Way,
        method: Method,
        *,
        renewed: Callable[[], None],
        told: Callable[[str], None],
    ) -> None:
        super().__init__(name="ml-secrets identity", daemon=True)
        self._client = client
        self._way = way
        self._method = method
        self.renewed = renewed
        self._told = told
        self._over = Event()
        self._known: Sensitive | None = None
        self._due = 0.0
        self._draw = random.SystemRandom().random
        self.trouble = ""

    def stop(self) -> None:
        """Renew nothing any more."""
        self._over.set()

    def log_in(self) -> bool:
        """Log in for the first time, as often as it takes. False where it was stopped. Raises where one try was to do."""
        failures = 0
        while not self._over.is_set():
            try:
                self._enter()
            except (MlSecretsError, OSError) as error:
                if self._method.once:
                    raise
                failures += 1
                self._say(error)
                self._over.wait(self._pause(failures))
            else:
                return True
        return False

    def run(self) -> None:
        """Renew in time, until stopped."""
        failures = 0
        while not self._over.wait(self._pause(failures) if failures else _TICK):
            try:
                self._tend()
                failures = 0
            except Exception as error:  # noqa: BLE001 - nobody else would go on
                failures += 1
                self._say(error)

    def _enter(self) -> None:
        """Log in by what the files hold now, or take the token that they hold."""
        session = self._client.session
        found = self._way(self._client)
        if isinstance(found, Sensitive):
            self._take_on(found)
        elif session.login is None:
            session.become(None, login=found)
            self._client.run(log_in(session))
        else:
            session.login = found  # the same role or user
            self._client.run(log_in(session))
        self._took()

    def _take_on(self, token: Sensitive) -> None:
        session = self._client.session
        if session.token is None or session.token != token:
            session.become(token, reread=self._reread)
        self._client.run(look_up(session))

    def _reread(self) -> Sensitive | None:
        found = self._found()
        return found if isinstance(found, Sensitive) else None

    def _tend(self) -> None:
        session = self._client.session
        if session.token is None or session.expired(session.clock()):
            self._enter()
        elif session.due(session.clock()):
            self._prolong()
        if session.token is not self._known or session.renew_at != self._due:
            self._took()

    def _prolong(self) -> None:
        """Renew, or log in; a token out of a file may be another one by now."""
        session, found = self._client.session, self._found()
        if isinstance(found, Sensitive) and found != session.token:
            self._take_on(found)
            return
        if isinstance(found, Login):
            session.login = found
        self._client.run(tend(session))

    def _found(self) -> Login | Sensitive | None:
        """What the files hold now; None where they cannot be read just now: the token lives on."""
        try:
            return self._way(self._client)
        except (MlSecretsError, OSError):
            return None

    def _took(self) -> None:
        """There is a token, another one or one that was renewed: it is due a little earlier than anybody else's."""
        session = self._client.session
        self.trouble = ""
        if session.renew_at:
            left = session.renew_at - session.clock()
            session.renew_at -= left * _EARLIEST * self._draw()
        self._due = session.renew_at
        if session.token is not self._known:
            self._known = session.token
            self.renewed()

    def _pause(self, failures: int) -> float:
        return 0.1 + self._draw() * min(self._method.patience, 0.5 * 2.0 ** min(failures, 12))

    def _say(self, error: Exception) -> None:
        """Tell of it once, until it is another."""
        text = told_of(error)
        if text != self.trouble:
            self.trouble = text
            self._told(f"not logged in: {text}")
