"""Docker's credential helper: what `docker`, `buildx`, `podman`, `skopeo` and others ask registries' passwords of.

`get`, `store`, `erase` and `list` come as one word; what they are about comes on standard input; answers and errors go to
standard output, as docker-credential-helpers has it. A token instead of a password has the user name `<token>`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.errors import Invalid
from ml_secrets.integrations import stored
from ml_secrets.integrations.source import PASSWORD, USER, part
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.client.client import Client

KIND: Final = "docker"
NOT_FOUND: Final = "credentials not found in native keychain"
"""What programs compare with: it is no error to them, but a registry without credentials."""


class NotThere(Exception):  # noqa: N818 - said in the protocol's own words
    """There are no credentials."""


class _Given(msgspec.Struct):
    ServerURL: str = ""
    Username: str = ""
    Secret: str = ""


def answer(client: Client, verb: str, asked: Sensitive) -> Any:
    """What to print, as JSON; None is nothing. Raises `NotThere`, and what the server says."""
    if verb == "list":
        return _listing(client)
    if verb == "store":
        return _store(client, asked)
    server = asked.reveal().strip()
    if not server:
        raise Invalid("no credentials server URL")
    host, path = _place(server)
    if verb == "erase":
        return stored.forget(client, KIND, host, path)
    secret = stored.find(client, KIND, host, path)
    if secret is None:
        raise NotThere
    return {"ServerURL": server, "Username": part(secret, *USER), "Secret": part(secret, *PASSWORD)}


def _store(client: Client, asked: Sensitive) -> None:
    given = _read(asked)
    if given is None:
        raise Invalid("the credentials are no JSON")
    if not given.ServerURL:
        raise Invalid("no credentials server URL")
    if not given.Username:
        raise Invalid("no credentials username")
    fields = {"username": given.Username, "password": Sensitive(given.Secret), "server": given.ServerURL}
    stored.keep(client, KIND, *_place(given.ServerURL), fields)


def _read(asked: Sensitive) -> _Given | None:
    try:
        return msgspec.json.decode(asked.reveal_bytes(), type=_Given)
    except (msgspec.DecodeError, ValueError):
        return None


def _listing(client: Client) -> dict[str, str]:
    found = {}
    for name, secret in stored.all_of(client, KIND):
        server = secret["server"].reveal() if "server" in secret else name
        found[server] = part(secret, *USER)
    return found


def _place(server: str) -> tuple[str, str]:
    """Where a registry's are. Docker Hub has a path in its address, which is no part of its name."""
    host, path = stored.host_of(server)
    return host, "" if path in {"v1", "v2"} else path
