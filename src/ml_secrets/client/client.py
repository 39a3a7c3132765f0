"""`Client`: the SDK for threads. Every rule is in the flows; this file only drives them."""

from __future__ import annotations

import copy
import os
import random
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, SupportsIndex, TypeVar

from ml_secrets.client import flows, kv, lookup, settings
from ml_secrets.client import login as logins
from ml_secrets.client.encoding import conceal
from ml_secrets.client.messages import Once, Pause, Request
from ml_secrets.client.session import Session
from ml_secrets.client.transport import HttpTransport
from ml_secrets.errors import MlSecretsError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Hashable, Mapping

    from ml_secrets.client.answer import Answer
    from ml_secrets.client.login import Login
    from ml_secrets.client.messages import Flow, Step, Together
    from ml_secrets.client.secret import Secret
    from ml_secrets.client.transport import Transport
    from ml_secrets.sensitive import Sensitive

T = TypeVar("T")
_monotonic: Final = time.monotonic


class Driver:
    """Runs flows with blocking calls. Threads may share it; a forked child starts with a fresh one."""

    def __init__(self, connect: Callable[[], Transport]) -> None:
        self._connect = connect
        self._transport: Transport | None = None
        self._lock = Lock()
        self._under_way: dict[Hashable, Future[Any]] = {}
        self._abandoned: list[Any] = []

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end."""
        result: Any = None
        failure: MlSecretsError | None = None
        while True:
            try:
                step = flow.send(result) if failure is None else flow.throw(failure)
            except StopIteration as stop:
                return stop.value
            result, failure = None, None
            try:
                result = self._carry_out(step)
            except MlSecretsError as error:
                failure = error

    def _carry_out(self, step: Step) -> Any:
        if isinstance(step, Request):
            return self.transport().send(step)
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        return self._once(step) if isinstance(step, Once) else self._together(step)

    def transport(self) -> Transport:
        """The connection, made on first use."""
        if self._transport is None:
            with self._lock:
                if self._transport is None:
                    self._transport = self._connect()
        return self._transport

    def _once(self, step: Once) -> Any:
        with self._lock:
            waiting = self._under_way.get(step.key)
            if waiting is None:
                mine = self._under_way[step.key] = Future()
        if waiting is not None:
            return self._wait(step, waiting)
        try:
            result = self.run(step.flow())
        except BaseException as error:
            self._finish(step.key)
            mine.set_exception(error.with_traceback(None) if isinstance(error, MlSecretsError) else _GaveUp())
            raise
        self._finish(step.key)
        mine.set_result(result)
        return result

    def _finish(self, key: Hashable) -> None:
        with self._lock:
            self._under_way.pop(key, None)

    def _wait(self, step: Once, waiting: Future[Any]) -> Any:
        error = waiting.exception()
        if error is None:
            return waiting.result()
        if isinstance(error, _GaveUp):
            return self._once(step)
        raise copy.copy(error)

    def _together(self, step: Together) -> list[Any]:
        with ThreadPoolExecutor(max_workers=max(1, min(step.width, len(step.flows)))) as pool:
            return list(pool.map(lambda flow: self._caught(flow()), step.flows))

    def _caught(self, flow: Flow[Any]) -> Any:
        try:
            return self.run(flow)
        except MlSecretsError as error:
            return error

    def renew(self) -> None:
        """In a child process after a fork: connections, and locks that a thread of the parent may have held, are left behind."""
        self._abandoned.append(self._transport)  # closing it here could wait for such a lock
        self._transport = None
        self._lock = Lock()
        self._under_way = {}

    def close(self) -> None:
        """Close the connection. The next call opens another."""
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()


class _GaveUp(Exception):  # noqa: N818 - a message between threads, not an error
    """The thread that did it for others was interrupted: one of them takes over."""


class Kv:
    """Key-value secrets by name. Which version a mount speaks is found out once; no path has data/ in it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, name: str, *, version: int | None = None, mount: str | None = None) -> Secret:
        """A secret, read from the server now and kept for `get_secret`."""
        session = self._client._session
        return self._client.run(lookup.read_anew(session, lookup.key_of(session, name, version, mount)))

    def put(
        self, name: str, data: Mapping[str, Any], *, cas: int | None = None, mount: str | None = None
    ) -> Answer:
        """Write all fields of a secret."""
        body = conceal(data)
        del data
        session = self._client._session
        return self._client.run(
            kv.put(session, (mount or session.settings.mount).strip("/"), name, body, cas)
        )


class Client:
    """A client of one server, as one identity. Threads may share it, and it survives a fork.

        with Client() as client:
            client.get_secret("openai/api-key").reveal()

    Each argument that is left out is looked for in the environment, the configuration file and on this machine
    (client/settings.py says in which order). `verify`: False, or the path of a certificate authority. `timeout`: seconds
    for one call with all its retries. `cache_ttl`: seconds a secret is served without asking; 0 is never. `revalidate`:
    seconds after which the server is asked whether the secret still holds, where it answers that cheaply. `login`: how
    to log in, on first use and again whenever the token is not known any more.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | Sensitive | None = None,
        *,
        namespace: str | None = None,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext | None = None,
        mount: str | None = None,
        timeout: float | None = None,
        cache_ttl: float | None = None,
        revalidate: float | None = None,
        login: Login | None = None,
    ) -> None:
        held = None if token is None else settings.check_token(token)
        del token
        self.settings = settings.resolve(
            address=url,
            token=held,
            namespace=namespace,
            verify=verify,
            mount=mount,
            timeout=timeout,
            cache_ttl=cache_ttl,
            revalidate=revalidate,
        )
        self._session = Session(
            self.settings, clock=_monotonic, draw=random.SystemRandom().random, login=login
        )
        self._driver = Driver(self._connect)
        self.kv = Kv(self)
        _clients.add(self)

    def _connect(self) -> Transport:
        return HttpTransport(self.settings)

    def run(self, flow: Flow[T]) -> T:
        """Run a flow of the client's own making."""
        return self._driver.run(flow)

    # ── secrets by name ─────────────────────────────────────────────────────────────────────────────────────────────

    def get_secret(
        self, name: str, *, field: str | None = None, version: int | None = None, mount: str | None = None
    ) -> Secret:
        """A secret, from the cache while it is fresh. `field` narrows it to one of its fields.

        Raises `NotFound`, `Denied`, `Unauthenticated`, `Unreachable` ...: the errors of ml_secrets.errors.
        """
        session = self._session
        entry = session.cache.entries.get((session.scope, mount or session.settings.mount, name, version))  # type: ignore[call-overload]  # a Key is this tuple
        if entry is not None and _monotonic() < entry.check_at:
            return entry.secret if field is None else entry.secret.only(field)
        return self.run(lookup.get_secret(session, lookup.key_of(session, name, version, mount), field))

    # ── any path ────────────────────────────────────────────────────────────────────────────────────────────────────

    def read(
        self, path: str, *, params: Mapping[str, Any] | None = None, wrap_ttl: str | int | None = None
    ) -> Answer:
        """GET a path of the API, such as "sys/mounts"."""
        return self.run(flows.read(self._session, path, params, wrap_ttl))

    def list(self, path: str, *, params: Mapping[str, Any] | None = None) -> Answer:
        """LIST a folder: the names are in `.data["keys"]`. Raises `NotFound` when it is empty."""
        return self.run(flows.listing(self._session, path, params))

    def scan(self, path: str, *, params: Mapping[str, Any] | None = None) -> Answer:
        """SCAN a folder and all below it, where the server can (OpenBao and ml-secrets)."""
        return self.run(flows.listing(self._session, path, params, "scan"))

    def write(
        self, path: str, data: Mapping[str, Any] | None = None, *, wrap_ttl: str | int | None = None
    ) -> Answer:
        """POST `data` to a path."""
        body = conceal(data or {})
        del data
        return self.run(flows.write(self._session, "POST", path, body, wrap_ttl=wrap_ttl))

    def patch(self, path: str, data: Mapping[str, Any], *, wrap_ttl: str | int | None = None) -> Answer:
        """PATCH a path: members of `data` replace those there, None removes them."""
        body = conceal(data)
        del data
        return self.run(flows.write(self._session, "PATCH", path, body, wrap_ttl=wrap_ttl))

    def delete(self, path: str, *, params: Mapping[str, Any] | None = None) -> Answer:
        """DELETE a path."""
        return self.run(flows.write(self._session, "DELETE", path, None, params=params))

    # ── who we are ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def token(self) -> Sensitive | None:
        """The token in use; None before a login."""
        return self._session.token

    @token.setter
    def token(self, token: str | Sensitive | None) -> None:
        self._session.become(None if token is None else settings.check_token(token))

    def login_userpass(self, username: str, password: str | Sensitive, *, mount: str = "userpass") -> Answer:
        """Log in by user name and password; again by itself when the token is not known any more."""
        way = logins.userpass(username, password, mount=mount)
        del password
        return self._log_in(way)

    def login_approle(
        self, role_id: str | Sensitive, secret_id: str | Sensitive | None = None, *, mount: str = "approle"
    ) -> Answer:
        """Log in by role id and secret id; again by itself when the token is not known any more."""
        way = logins.approle(role_id, secret_id, mount=mount)
        del role_id, secret_id
        return self._log_in(way)

    def login_token(self, token: str | Sensitive) -> Answer:
        """Use this token from now on, look it up, and renew it in time when it can be renewed."""
        self.token = settings.check_token(token)
        del token
        return self.run(flows.look_up(self._session))

    def _log_in(self, way: Login) -> Answer:
        self._session.become(None, login=way)
        return self.run(flows.log_in(self._session))

    # ── its life ────────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Close connections and forget what is cached."""
        self._driver.close()
        self._session.cache.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client {self.settings.address}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Client does not pickle: make one in the other process")

    def renew_after_fork(self) -> None:
        """Runs in every forked child."""
        self._session.renew()
        self._driver.renew()


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _renew_all() -> None:
    for client in list(_clients):
        client.renew_after_fork()


os.register_at_fork(after_in_child=_renew_all)
