"""Where the credentials of hosts are: a secret for each, FOLDER/KIND/HOST or FOLDER/KIND/HOST/PATH, with the fields `username` and `password`.

FOLDER is `credentials`, or what ML_SECRETS_CREDENTIALS says; KIND is docker, git or keyring. The credential helpers of the
command line and the keyring back end look there. Nothing is kept beside it, and nothing is cached.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from ml_secrets.errors import Invalid, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml_secrets.client.client import Client
    from ml_secrets.client.secret import Secret

_VARIABLE: Final = "ML_SECRETS_CREDENTIALS"
_HOST: Final = re.compile(
    r"[a-z0-9]([a-z0-9._-]{0,252})(:[0-9]{1,5})?|\[[0-9a-f:.]{2,45}\](:[0-9]{1,5})?", re.ASCII
)
_PIECE: Final = re.compile(r"[A-Za-z0-9_~@+=,-][A-Za-z0-9._~@+=,-]{0,200}", re.ASCII)


def host_of(address: str) -> tuple[str, str]:
    """Host (with its port) and path of a URL, or of what is one without its scheme. A user in it is left out. Raises `Invalid`."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, path = parts.netloc.rpartition("@")[2].lower(), unquote(parts.path).strip("/")
    except ValueError:
        host = path = ""
    return checked(host, path)


def checked(host: str, path: str) -> tuple[str, str]:
    """The same when they may stand in a secret's name. Raises `Invalid`, which does not show them: others chose them."""
    if not _HOST.fullmatch(host) or ".." in host:
        raise Invalid("the address has no host that could be looked up")
    if path and not all(_PIECE.fullmatch(piece) for piece in path.split("/")):
        raise Invalid("the address has a path that could not be looked up")
    return host, path


def folder(kind: str) -> str:
    """Where those of this kind are."""
    return f"{os.environ.get(_VARIABLE, '').strip('/') or 'credentials'}/{kind}"


def name_of(kind: str, host: str, path: str = "") -> str:
    """What a secret with credentials is called."""
    return f"{folder(kind)}/{host}/{path}".rstrip("/")


def find(client: Client, kind: str, host: str, path: str = "") -> Secret | None:
    """The credentials of a path, else of its host; None where there are none. Raises `Denied`, `Unreachable`, …"""
    for name in dict.fromkeys((name_of(kind, host, path), name_of(kind, host))):
        try:
            return client.get_secret(name)
        except NotFound:
            continue
    return None


def keep(client: Client, kind: str, host: str, path: str, fields: Mapping[str, Any]) -> None:
    """Store credentials: a new version, if there are some."""
    client.kv.put(name_of(kind, host, path), fields)


def forget(client: Client, kind: str, host: str, path: str = "") -> None:
    """Delete the credentials of just this host or path; `ml-secrets kv undelete` brings them back."""
    client.kv.delete(name_of(kind, host, path))


def all_of(client: Client, kind: str) -> Iterator[tuple[str, Secret]]:
    """Each (host and path, credentials) that there are."""
    top = folder(kind)
    try:
        found = sorted(client.kv.scan(top))
    except NotFound:
        return
    for rest in found:
        name = rest.strip("/")
        try:
            yield name, client.get_secret(f"{top}/{name}")
        except NotFound:
            continue
