"""Key-value secrets by name, for both clients: what `client.kv` can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ml_secrets.client import kv, lookup
from ml_secrets.client.action import Awaited, Blocking, action
from ml_secrets.client.encoding import conceal_fields

if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping, Sequence

    from ml_secrets.client.aio import AsyncClient
    from ml_secrets.client.answer import Answer
    from ml_secrets.client.client import Client
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.opened import Opened
    from ml_secrets.client.secret import Secret

T = TypeVar("T")


class _Secrets:
    """Key-value secrets by name. Which version a mount speaks is found out once; no name has data/ in it."""

    _client: Opened

    @action
    def get(self, name: str, *, version: int | None = None, mount: str | None = None) -> Flow[Secret]:
        """A secret, read from the server now."""
        session = self._client.session
        return lookup.read_anew(session, lookup.key_of(session, name, version, mount))

    @action
    def put(
        self, name: str, data: Mapping[str, Any], *, cas: int | None = None, mount: str | None = None
    ) -> Flow[Answer]:
        """Write all fields of a secret. `cas`: only if that is the current version; 0 only if there is none.

        Raises `Conflict` when somebody else was first.
        """
        body = conceal_fields(data)
        del data
        return kv.put(self._client.session, self._client.mount_of(mount), name, body, cas)

    @action
    def patch(
        self, name: str, data: Mapping[str, Any], *, cas: int | None = None, mount: str | None = None
    ) -> Flow[Answer]:
        """Change some fields, remove those that are None, leave the others."""
        body = conceal_fields(data)
        del data
        return kv.patch(self._client.session, self._client.mount_of(mount), name, body, cas)

    @action
    def delete(
        self, name: str, *, versions: Sequence[int] | None = None, mount: str | None = None
    ) -> Flow[Answer]:
        """Delete the current version, or those named; `undelete` brings them back (not on a KV version 1 mount)."""
        return kv.delete(self._client.session, self._client.mount_of(mount), name, versions)

    @action
    def undelete(self, name: str, versions: Sequence[int], *, mount: str | None = None) -> Flow[Answer]:
        """Bring deleted versions back."""
        return kv.on_versions(self._client.session, "undelete", self._client.mount_of(mount), name, versions)

    @action
    def destroy(self, name: str, versions: Sequence[int], *, mount: str | None = None) -> Flow[Answer]:
        """Remove the content of versions for good."""
        return kv.on_versions(self._client.session, "destroy", self._client.mount_of(mount), name, versions)

    @action
    def list(self, folder: str = "", *, mount: str | None = None) -> Flow[builtins.list[str]]:
        """The names in a folder; folders end in a slash. A folder that is not there holds none."""
        return kv.names(self._client.session, self._client.mount_of(mount), folder, "list")

    @action
    def scan(
        self,
        folder: str = "",
        *,
        only: str | None = None,
        depth: int | None = None,
        mount: str | None = None,
    ) -> Flow[builtins.list[str]]:
        """All names in a folder and below, where the server can (OpenBao and ml-secrets).

        only: names that fit, * being any run of characters. depth: so many levels, deeper folders as such. Both by ml-secrets.
        """
        return kv.names(
            self._client.session, self._client.mount_of(mount), folder, "scan", only=only, depth=depth
        )

    @action
    def metadata(self, name: str, *, mount: str | None = None) -> Flow[Answer]:
        """What is known of a secret and its versions, without any value."""
        return kv.metadata(self._client.session, self._client.mount_of(mount), name)

    @action
    def put_metadata(
        self, name: str, settings: Mapping[str, Any], *, mount: str | None = None
    ) -> Flow[Answer]:
        """Set what is kept beside the versions: max_versions, cas_required, delete_version_after, custom_metadata.

        With ml-secrets also expires_at, rotate_every and rotate_at: see `due`. A datetime needs its time zone.
        """
        return kv.put_metadata(self._client.session, "POST", self._client.mount_of(mount), name, settings)

    @action
    def patch_metadata(
        self, name: str, settings: Mapping[str, Any], *, mount: str | None = None
    ) -> Flow[Answer]:
        """Change some of it, and leave the rest."""
        return kv.put_metadata(self._client.session, "PATCH", self._client.mount_of(mount), name, settings)

    @action
    def delete_all(self, name: str, *, mount: str | None = None) -> Flow[Answer]:
        """Remove a secret with all its versions: for good, or into the trash of a mount that has one (`restore`)."""
        return kv.delete_all(self._client.session, self._client.mount_of(mount), name)

    @action
    def move(
        self,
        name: str,
        to: str,
        *,
        mount: str | None = None,
        to_mount: str | None = None,
        recursive: bool = False,
    ) -> Flow[int]:
        """Move a secret, with all versions and metadata, to another name or mount; how many secrets moved.

        `recursive`: all that is below the folder `name`, in pages. Raises `Conflict` rather than overwrite. Needs no right to
        read. Raises `Unsupported` where the server is not ml-secrets.
        """
        return self._transfer("move", name, to, mount, to_mount, recursive=recursive)

    @action
    def copy(
        self,
        name: str,
        to: str,
        *,
        mount: str | None = None,
        to_mount: str | None = None,
        recursive: bool = False,
    ) -> Flow[int]:
        """Copy a secret in the same way: all versions and metadata."""
        return self._transfer("copy", name, to, mount, to_mount, recursive=recursive)

    @action
    def trash(self, folder: str = "", *, mount: str | None = None) -> Flow[builtins.list[dict[str, Any]]]:
        """The removed secrets at a path and below it that can be restored: path, id, removed_time, purge_time, ..."""
        return kv.trash(self._client.session, self._client.mount_of(mount), folder)

    @action
    def restore(self, name: str, *, id: str | None = None, mount: str | None = None) -> Flow[Answer]:  # noqa: A002 - the field's name
        """Bring a removed secret back with all versions: the one removed last, or that of the trash's `id`.

        Raises `Conflict` where its name is taken, `NotFound` where there is none (any more).
        """
        return kv.restore(self._client.session, self._client.mount_of(mount), name, id)

    @action
    def purge(self, name: str, *, id: str | None = None, mount: str | None = None) -> Flow[int]:  # noqa: A002 - as above
        """Remove what the trash holds of a name, or one of it, for good; how many secrets that were."""
        return kv.purge(self._client.session, self._client.mount_of(mount), name, id)

    @action
    def due(
        self, within: str | int = "30d", *, mount: str | None = None
    ) -> Flow[builtins.list[dict[str, Any]]]:
        """Secrets that expire or are to be rotated within a time, and those that are overdue, the most urgent first.

        Each has its path, overdue, current_version and those of expires_at, rotate_at, rotate_every, owner and contact that
        are set. Only those whose metadata this token may read. 0 gives the overdue ones.
        """
        return kv.due(self._client.session, self._client.mount_of(mount), within)

    @action
    def search(
        self,
        query: str,
        folder: str = "",
        *,
        where: Sequence[str] = ("name", "keys", "metadata"),
        mount: str | None = None,
    ) -> Flow[dict[str, builtins.list[str]]]:
        """Secrets with a name, a field name or custom metadata like this, and where each matched.

        A query with * (any run of characters) is compared with the whole text, another with every part of it, in any case.
        Values are never looked at; only what this token may list or read is found.
        """
        return kv.search(self._client.session, self._client.mount_of(mount), folder, query, where)

    def _transfer(
        self, verb: str, name: str, to: str, mount: str | None, to_mount: str | None, *, recursive: bool
    ) -> Flow[int]:
        old = self._client.mount_of(mount)
        new = old if to_mount is None else self._client.mount_of(to_mount)
        return kv.transfer(self._client.session, verb, (old, name), (new, to), recursive=recursive)


class Kv(_Secrets, Blocking):
    """Key-value secrets by name. Which version a mount speaks is found out once; no name has data/ in it."""

    _client: Client

    def __init__(self, client: Client) -> None:
        self._client = client

    def run(self, flow: Flow[T]) -> T:
        """Run a flow on the client's connection."""
        return self._client.run(flow)


class AsyncKv(_Secrets, Awaited):
    """The same, awaited."""

    _client: AsyncClient

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow on the client's connection."""
        return await self._client.run(flow)
