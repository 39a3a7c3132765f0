"""Secrets by name: from the cache, by a conditional read, by a read, by one batch.

A name is the path inside a KV mount. Which version of KV the mount speaks is asked once (sys/internal/ui/mounts) and
remembered; nobody writes `data/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_secrets.client.cache import Key
from ml_secrets.client.encoding import Unreadable, decode, members, part
from ml_secrets.client.flows import ask, call, check_path, make
from ml_secrets.client.messages import Lost, Once
from ml_secrets.client.secret import Secret
from ml_secrets.errors import (
    Denied,
    Fault,
    Invalid,
    Limited,
    NotFound,
    Refusal,
    Sealed,
)

if TYPE_CHECKING:
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.session import Session
    from ml_secrets.sensitive import Sensitive


def mount_version(session: Session, mount: str) -> Flow[int]:
    """1 or 2: the version of the KV mount. Raises what the server says when the token has no business there."""
    known = session.versions.get(mount)
    if known is None:
        known = yield Once(("mount", session.scope, mount), lambda: _detect(session, mount))
    return known


def _detect(session: Session, mount: str) -> Flow[int]:
    try:
        answer = yield from ask(session, make("GET", f"sys/internal/ui/mounts/{mount}"))
    except Denied as error:
        failure = Denied(error.message, hint=_no_mount(mount))
    except NotFound:
        failure = NotFound(f"no mount at {mount}/", hint=_no_mount(mount))
    else:
        kind = answer.data.get("type")
        if kind not in ("kv", "generic"):
            raise Invalid(
                f"{mount}/ is a {kind} mount, not kv", hint="use client.read and client.write there"
            )
        version = 2 if (answer.data.get("options") or {}).get("version") == "2" else 1
        session.versions[mount] = version
        return version
    raise failure


def _no_mount(mount: str) -> str:
    return f"either nothing is mounted at {mount}/, or no policy of the token reaches it; the mount is an argument (mount=...) or ML_SECRETS_MOUNT"


def data_path(version: int, mount: str, name: str) -> str:
    """Where a secret's data is."""
    return f"{mount}/data/{name}" if version == 2 else f"{mount}/{name}"


def key_of(session: Session, name: str, version: int | None, mount: str | None) -> Key:
    """What a secret is cached under. Raises `Invalid` for a name that is no path."""
    return Key(session.scope, check_path(mount or session.settings.mount), check_path(name), version)


def read_anew(session: Session, key: Key) -> Flow[Secret]:
    """One secret, from the server now."""
    session.cache.drop(key)
    return (yield from _fetch(session, key))


def get_secret(session: Session, key: Key, field: str | None) -> Flow[Secret]:
    """One secret. Threads and tasks that ask for the same at the same time share one read."""
    secret = session.cache.fresh(key, session.clock())
    if secret is None:
        secret = yield Once((key, session.cache.generation), lambda: _fetch(session, key))
    return secret if field is None else secret.only(field)


def _fetch(session: Session, key: Key) -> Flow[Secret]:
    """Ask the server, conditionally when there is something to fall back on."""
    secret = session.cache.fresh(key, session.clock())
    if secret is not None:
        return secret  # somebody else was just done
    entry = session.cache.stale(key, session.clock())
    asked, generation = session.clock(), session.cache.generation
    try:
        version = yield from mount_version(session, key.mount)
        headers = {"If-None-Match": entry.etag} if entry is not None and entry.etag else {}
        params = {"version": key.version} if key.version is not None else None
        request = make("GET", data_path(version, key.mount, key.name), params=params, headers=headers)
        response = yield from call(session, request)
    except (Fault, Limited, Sealed):
        if entry is None:
            raise
        session.cache.postpone(key, entry, now=session.clock())
        return entry.secret
    except Refusal:
        session.cache.drop(key)
        raise
    if response.status == 304 and entry is not None:
        session.cache.confirm(key, entry, now=asked, generation=generation)
        return entry.secret
    secret = read_secret(key, version, response.body)
    session.cache.keep(key, secret, response.headers.get("etag", ""), now=asked, generation=generation)
    return secret


def read_secret(key: Key, version: int, body: Sensitive, *inside: str) -> Secret:
    """The secret in the body of a KV read. Raises `Lost` when it is none."""
    data = part(body, *inside, "data")
    described: Any = {}
    if version == 2 and data is not None:
        metadata = part(data, "metadata")
        described = {} if metadata is None else decode(metadata)
        data = part(data, "data")
    if data is None or not isinstance(described, dict):
        raise Lost(
            f"the server's answer holds no secret {key.name!r}",
            hint="is the address that of a Vault-compatible server?",
        )
    try:
        fields = members(data)
    except Unreadable:
        fields = None
    if fields is None:
        raise Lost(f"the secret {key.name!r} is no JSON object")
    return Secret(
        key.name,
        data,
        fields,
        mount=key.mount,
        version=int(described.get("version") or 0),
        created_time=str(described.get("created_time") or ""),
        metadata=described.get("custom_metadata") or {},
    )
