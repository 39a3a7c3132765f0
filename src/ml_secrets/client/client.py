"""`Client`: the SDK for threads. Every rule is in the flows; this file only names them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from ml_secrets.client import flows, kv, lookup, tokens
from ml_secrets.client import login as logins
from ml_secrets.client.driver import Driver
from ml_secrets.client.embedded import EmbeddedTransport
from ml_secrets.client.encoding import conceal_fields, hide
from ml_secrets.client.opened import Opened
from ml_secrets.client.store import LiveSecret
from ml_secrets.client.watching import Watched, following

if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ml_secrets.client.answer import Answer
    from ml_secrets.client.login import Login
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.secret import Secret
    from ml_secrets.client.wire import Transport
    from ml_secrets.sensitive import Sensitive

T = TypeVar("T")
_monotonic: Final = time.monotonic
_NEVER: Final = object()


class Client(Opened):
    """A client of one server, as one identity. Threads may share it, and it survives a fork.

    with Client() as client:
        client.get_secret("openai/api-key").reveal()
    """

    _driver: Driver

    def _open(self) -> None:
        self._driver = Driver(self._connect)
        self.kv = Kv(self)

    def _connect(self) -> Transport:
        if self.settings.embedded:
            return EmbeddedTransport(self.settings)
        from ml_secrets.client.transport import HttpTransport  # noqa: PLC0415 - httpx takes long to import

        return HttpTransport(self.settings)

    def run(self, flow: Flow[T]) -> T:
        """Run a flow on this client's connection."""
        return self._driver.run(flow)

    # ── secrets by name ─────────────────────────────────────────────────────────────────────────────────────────────

    def get_secret(
        self, name: str, *, field: str | None = None, version: int | None = None, mount: str | None = None
    ) -> Secret:
        """A secret, from the cache while it is fresh. `field` narrows it to one of its fields.

        Raises `NotFound`, `Denied`, `Unauthenticated`, `Unreachable` ...: the errors of ml_secrets.errors.
        """
        session = self.session
        try:
            entry = self._entries.get((session.scope, mount or session.settings.mount, name, version))
        except TypeError:  # a list of names, say
            entry = None
        if entry is not None and _monotonic() < entry.check_at:
            return entry.secret if field is None else entry.secret.only(field)
        return self.run(lookup.get_secret(session, lookup.key_of(session, name, version, mount), field))

    def get_secrets(
        self, names: Iterable[str], *, mount: str | None = None, partial: bool = False
    ) -> dict[str, Secret]:
        """Several secrets by their names, in one call where the server knows batches, else side by side.

        Raises `Incomplete`, which has an error for each that failed. `partial` leaves out those that are refused (not
        there, not allowed) instead.
        """
        keys = lookup.keys_of(self.session, names, mount)
        return self.run(lookup.get_secrets(self.session, keys, partly=partial))

    def live(self, name: str, *, field: str | None = None, mount: str | None = None) -> LiveSecret:
        """A handle whose `reveal()` follows rotation."""
        return LiveSecret(self, name, field, mount)

    def watch(self, name: str, *, mount: str | None = None) -> Iterator[Secret | None]:
        """Each state of a secret as it comes, the present one first; None when there is no such secret (any more).

        Never ends by itself: it outlasts a server that is away. A refusal (`Denied`, `Unauthenticated`) is raised.
        """
        watched = Watched(lookup.key_of(self.session, name, None, mount))
        return iter(lambda: self.run(following(self.session, watched)), _NEVER)

    # ── any path ────────────────────────────────────────────────────────────────────────────────────────────────────

    def read(
        self, path: str, *, params: Mapping[str, Any] | None = None, wrap_ttl: str | int | None = None
    ) -> Answer:
        """GET a path of the API, such as "sys/mounts"."""
        return self.run(flows.read(self.session, path, params, wrap_ttl))

    def list(self, path: str, *, params: Mapping[str, Any] | None = None) -> Answer:
        """LIST a folder: the names are in `.data["keys"]`. Raises `NotFound` when there is nothing in it."""
        return self.run(flows.listing(self.session, path, params, "list"))

    def scan(self, path: str, *, params: Mapping[str, Any] | None = None) -> Answer:
        """SCAN a folder and all below it, where the server can (OpenBao and ml-secrets)."""
        return self.run(flows.listing(self.session, path, params, "scan"))

    def write(
        self, path: str, data: Mapping[str, Any] | None = None, *, wrap_ttl: str | int | None = None
    ) -> Answer:
        """POST `data` to a path."""
        body = conceal_fields({} if data is None else data)
        del data
        return self.run(flows.write(self.session, "POST", path, body, wrap_ttl=wrap_ttl))

    def patch(self, path: str, data: Mapping[str, Any], *, wrap_ttl: str | int | None = None) -> Answer:
        """PATCH a path: members of `data` replace those there, None removes them."""
        body = conceal_fields(data)
        del data
        return self.run(flows.write(self.session, "PATCH", path, body, wrap_ttl=wrap_ttl))

    def delete(self, path: str, *, params: Mapping[str, Any] | None = None) -> Answer:
        """DELETE a path."""
        return self.run(flows.write(self.session, "DELETE", path, None, params=params))

    # ── who we are ──────────────────────────────────────────────────────────────────────────────────────────────────

    def login(self, way: Login) -> Answer:
        """Log in (see client/login.py for the ways); again by itself when the token is not known any more.

        Raises `Unauthenticated` when the login is refused; the client has no token then.
        """
        return self.run(tokens.log_in_as(self.session, way))

    def login_userpass(self, username: str, password: str | Sensitive, *, mount: str = "userpass") -> Answer:
        """Log in by user name and password."""
        way = logins.userpass(username, password, mount=mount)
        del password
        return self.login(way)

    def login_approle(
        self, role_id: str | Sensitive, secret_id: str | Sensitive | None = None, *, mount: str = "approle"
    ) -> Answer:
        """Log in by role id and secret id."""
        way = logins.approle(role_id, secret_id, mount=mount)
        del role_id, secret_id
        return self.login(way)

    def login_token(self, token: str | Sensitive) -> Answer:
        """Use this token from now on, look it up, and renew it in time where that is possible."""
        held = hide(token)
        del token
        self.token = held
        return self.run(tokens.look_up(self.session))

    # ── its life ────────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Close connections and forget what is cached."""
        self._driver.close()
        self.session.cache.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Kv:
    """Key-value secrets by name. Which version a mount speaks is found out once; no name has data/ in it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, name: str, *, version: int | None = None, mount: str | None = None) -> Secret:
        """A secret, read from the server now."""
        session = self._client.session
        return self._client.run(lookup.read_anew(session, lookup.key_of(session, name, version, mount)))

    def put(
        self, name: str, data: Mapping[str, Any], *, cas: int | None = None, mount: str | None = None
    ) -> Answer:
        """Write all fields of a secret. `cas`: only if that is the current version; 0 only if there is none.

        Raises `Conflict` when somebody else was first.
        """
        body = conceal_fields(data)
        del data
        return self._client.run(kv.put(self._client.session, self._client.mount_of(mount), name, body, cas))

    def patch(
        self, name: str, data: Mapping[str, Any], *, cas: int | None = None, mount: str | None = None
    ) -> Answer:
        """Change some fields, remove those that are None, leave the others."""
        body = conceal_fields(data)
        del data
        return self._client.run(kv.patch(self._client.session, self._client.mount_of(mount), name, body, cas))

    def delete(self, name: str, *, versions: Sequence[int] | None = None, mount: str | None = None) -> Answer:
        """Delete the current version, or those named; `undelete` brings them back (not on a KV version 1 mount)."""
        return self._client.run(kv.delete(self._client.session, self._client.mount_of(mount), name, versions))

    def undelete(self, name: str, versions: Sequence[int], *, mount: str | None = None) -> Answer:
        """Bring deleted versions back."""
        return self._client.run(
            kv.on_versions(self._client.session, "undelete", self._client.mount_of(mount), name, versions)
        )

    def destroy(self, name: str, versions: Sequence[int], *, mount: str | None = None) -> Answer:
        """Remove the content of versions for good."""
        return self._client.run(
            kv.on_versions(self._client.session, "destroy", self._client.mount_of(mount), name, versions)
        )

    def list(self, folder: str = "", *, mount: str | None = None) -> builtins.list[str]:
        """The names in a folder; folders end in a slash. A folder that is not there holds none."""
        return self._client.run(kv.names(self._client.session, self._client.mount_of(mount), folder, "list"))

    def scan(
        self,
        folder: str = "",
        *,
        only: str | None = None,
        depth: int | None = None,
        mount: str | None = None,
    ) -> builtins.list[str]:
        """All names in a folder and below, where the server can (OpenBao and ml-secrets).

        only: names that fit, * being any run of characters. depth: so many levels, deeper folders as such. Both by ml-secrets.
        """
        return self._client.run(
            kv.names(
                self._client.session, self._client.mount_of(mount), folder, "scan", only=only, depth=depth
            )
        )

    def metadata(self, name: str, *, mount: str | None = None) -> Answer:
        """What is known of a secret and its versions, without any value."""
        return self._client.run(kv.metadata(self._client.session, self._client.mount_of(mount), name))

    def put_metadata(self, name: str, settings: Mapping[str, Any], *, mount: str | None = None) -> Answer:
        """Set what is kept beside the versions: max_versions, cas_required, delete_version_after, custom_metadata."""
        return self._client.run(
            kv.put_metadata(self._client.session, "POST", self._client.mount_of(mount), name, settings)
        )

    def patch_metadata(self, name: str, settings: Mapping[str, Any], *, mount: str | None = None) -> Answer:
        """Change some of it, and leave the rest."""
        return self._client.run(
            kv.put_metadata(self._client.session, "PATCH", self._client.mount_of(mount), name, settings)
        )

    def delete_all(self, name: str, *, mount: str | None = None) -> Answer:
        """Remove a secret with all its versions: for good, or into the trash of a mount that has one (`restore`)."""
        return self._client.run(kv.delete_all(self._client.session, self._client.mount_of(mount), name))

    def move(
        self,
        name: str,
        to: str,
        *,
        mount: str | None = None,
        to_mount: str | None = None,
        recursive: bool = False,
    ) -> int:
        """Move a secret, with all versions and metadata, to another name or mount; how many secrets moved.

        `recursive`: all that is below the folder `name`, in pages. Raises `Conflict` rather than overwrite. Needs no right to
        read. Raises `Unsupported` where the server is not ml-secrets.
        """
        return self._client.run(self._transfer("move", name, to, mount, to_mount, recursive=recursive))

    def copy(
        self,
        name: str,
        to: str,
        *,
        mount: str | None = None,
        to_mount: str | None = None,
        recursive: bool = False,
    ) -> int:
        """Copy a secret in the same way: all versions and metadata."""
        return self._client.run(self._transfer("copy", name, to, mount, to_mount, recursive=recursive))

    def trash(self, folder: str = "", *, mount: str | None = None) -> builtins.list[dict[str, Any]]:
        """The removed secrets at a path and below it that can be restored: path, id, removed_time, purge_time, ..."""
        flow = kv.details(self._client.session, self._client.mount_of(mount), f"trash/{folder}", {}, "scan")
        return list((self._client.run(flow)).values())

    def restore(self, name: str, *, id: str | None = None, mount: str | None = None) -> Answer:  # noqa: A002 - the field's name
        """Bring a removed secret back with all versions: the one removed last, or that of the trash's `id`.

        Raises `Conflict` where its name is taken, `NotFound` where there is none (any more).
        """
        return self._client.run(kv.restore(self._client.session, self._client.mount_of(mount), name, id))

    def purge(self, name: str, *, id: str | None = None, mount: str | None = None) -> int:  # noqa: A002 - as above
        """Remove what the trash holds of a name, or one of it, for good; how many secrets that were."""
        return self._client.run(kv.purge(self._client.session, self._client.mount_of(mount), name, id))

    def search(
        self,
        query: str,
        folder: str = "",
        *,
        where: Sequence[str] = ("name", "keys", "metadata"),
        mount: str | None = None,
    ) -> dict[str, builtins.list[str]]:
        """Secrets with a name, a field name or custom metadata like this, and where each matched.

        A query with * (any run of characters) is compared with the whole text, another with every part of it, in any case.
        Values are never looked at; only what this token may list or read is found.
        """
        fields = {"query": query, "in": ",".join(where), "limit": 1000}
        flow = kv.details(
            self._client.session, self._client.mount_of(mount), f"search/{folder}", fields, "read"
        )
        return {name: about["matched"] for name, about in (self._client.run(flow)).items()}

    def _transfer(
        self, verb: str, name: str, to: str, mount: str | None, to_mount: str | None, *, recursive: bool
    ) -> Flow[int]:
        old = self._client.mount_of(mount)
        new = old if to_mount is None else self._client.mount_of(to_mount)
        return kv.transfer(self._client.session, verb, (old, name), (new, to), recursive=recursive)
