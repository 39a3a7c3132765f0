"""What both clients can do beside `kv`: several secrets at once, any path of the API, logging in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.client import flows, lookup, tokens
from ml_secrets.client import login as logins
from ml_secrets.client.action import action
from ml_secrets.client.encoding import conceal_fields, hide
from ml_secrets.client.opened import Opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ml_secrets.client.answer import Answer
    from ml_secrets.client.login import Login
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.secret import Secret
    from ml_secrets.sensitive import Sensitive

_monotonic: Final = time.monotonic


class Calls(Opened):
    """The calls of a client."""

    def _at_hand(self, name: str, field: str | None, version: int | None, mount: str | None) -> Secret | None:
        """The secret, while the cache's is fresh: found by one look, for loops that ask each time round."""
        session = self.session
        try:
            entry = self._entries.get((session.scope, mount or session.settings.mount, name, version))
        except TypeError:  # a list of names, say
            return None
        if entry is None or _monotonic() >= entry.check_at:
            return None
        return entry.secret if field is None else entry.secret.only(field)

    def _asked_for(
        self, name: str, field: str | None, version: int | None, mount: str | None
    ) -> Flow[Secret]:
        session = self.session
        return lookup.get_secret(session, lookup.key_of(session, name, version, mount), field)

    @action
    def get_secrets(
        self, names: Iterable[str], *, mount: str | None = None, partial: bool = False
    ) -> Flow[dict[str, Secret]]:
        """Several secrets by their names, in one call where the server knows batches, else side by side.

        Raises `Incomplete`, which has an error for each that failed. `partial` leaves out those that are refused (not
        there, not allowed) instead.
        """
        keys = lookup.keys_of(self.session, names, mount)
        return lookup.get_secrets(self.session, keys, partly=partial)

    # ── any path ────────────────────────────────────────────────────────────────────────────────────────────────────

    @action
    def read(
        self, path: str, *, params: Mapping[str, Any] | None = None, wrap_ttl: str | int | None = None
    ) -> Flow[Answer]:
        """GET a path of the API, such as "sys/mounts"."""
        return flows.read(self.session, path, params, wrap_ttl)

    @action
    def list(self, path: str, *, params: Mapping[str, Any] | None = None) -> Flow[Answer]:
        """LIST a folder: the names are in `.data["keys"]`. Raises `NotFound` when there is nothing in it."""
        return flows.listing(self.session, path, params, "list")

    @action
    def scan(self, path: str, *, params: Mapping[str, Any] | None = None) -> Flow[Answer]:
        """SCAN a folder and all below it, where the server can (OpenBao and ml-secrets)."""
        return flows.listing(self.session, path, params, "scan")

    @action
    def write(
        self, path: str, data: Mapping[str, Any] | None = None, *, wrap_ttl: str | int | None = None
    ) -> Flow[Answer]:
        """POST `data` to a path."""
        body = conceal_fields({} if data is None else data)
        del data
        return flows.write(self.session, "POST", path, body, wrap_ttl=wrap_ttl)

    @action
    def patch(self, path: str, data: Mapping[str, Any], *, wrap_ttl: str | int | None = None) -> Flow[Answer]:
        """PATCH a path: members of `data` replace those there, None removes them."""
        body = conceal_fields(data)
        del data
        return flows.write(self.session, "PATCH", path, body, wrap_ttl=wrap_ttl)

    @action
    def delete(self, path: str, *, params: Mapping[str, Any] | None = None) -> Flow[Answer]:
        """DELETE a path."""
        return flows.write(self.session, "DELETE", path, None, params=params)

    # ── who we are ──────────────────────────────────────────────────────────────────────────────────────────────────

    @action
    def login(self, way: Login) -> Flow[Answer]:
        """Log in (see client/login.py for the ways); again by itself when the token is not known any more.

        Raises `Unauthenticated` when the login is refused; the client has no token then.
        """
        return tokens.log_in_as(self.session, way)

    @action
    def login_userpass(
        self, username: str, password: str | Sensitive, *, mount: str = "userpass"
    ) -> Flow[Answer]:
        """Log in by user name and password."""
        way = logins.userpass(username, password, mount=mount)
        del password
        return tokens.log_in_as(self.session, way)

    @action
    def login_approle(
        self, role_id: str | Sensitive, secret_id: str | Sensitive | None = None, *, mount: str = "approle"
    ) -> Flow[Answer]:
        """Log in by role id and secret id."""
        way = logins.approle(role_id, secret_id, mount=mount)
        del role_id, secret_id
        return tokens.log_in_as(self.session, way)

    @action
    def login_token(self, token: str | Sensitive) -> Flow[Answer]:
        """Use this token from now on, look it up, and renew it in time where that is possible."""
        held = hide(token)
        del token
        self.token = held
        return tokens.look_up(self.session)
