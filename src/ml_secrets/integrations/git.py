"""git's credential helper: attributes come as `name=value` lines, and the answer is such lines too.

- Passwords are given for https, and for http to this machine alone: git would send them in the clear.
- What is not there is no error: git goes on to the next helper, or asks.
- A value with a line break or a NUL would be read as another attribute, so it is not sent.
- `store` and `erase` change nothing unless asked for (`--write`): git erases after each failed login, and what is here is not
  only this machine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ml_secrets.errors import Invalid
from ml_secrets.integrations import stored
from ml_secrets.integrations.source import PASSWORD, USER, part
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.client.client import Client

KIND: Final = "git"
VERBS: Final = ("get", "store", "erase")
_LOCAL: Final = ("localhost", "127.0.0.1", "[::1]")


def answer(client: Client, verb: str, asked: Sensitive, *, write: bool = False) -> Sensitive | None:
    """What to print; None is nothing. A verb that is not known is ignored, as git wants it."""
    given = attributes(asked)
    if verb not in VERBS or not _safe(given) or "host" not in given:
        return None
    host, path = stored.checked(given["host"].reveal().lower(), _path(given))
    if verb == "get":
        return _found(client, given, host, path)
    if write and verb == "store":
        _store(client, given, host, path)
    if write and verb == "erase":
        _erase(client, given, host, path)
    return None


def attributes(asked: Sensitive) -> dict[str, Sensitive]:
    """The attributes that were sent; the last of a name counts. Raises `Invalid` for what is none."""
    found: dict[str, Sensitive] = {}
    for line in asked.reveal().split("\n"):
        if not line:
            break
        name, sign, value = line.partition("=")
        if not sign:
            del line, name, value
            raise Invalid("git sent a line that is no attribute")
        found[name] = Sensitive(value)
    return found


def _safe(given: dict[str, Sensitive]) -> bool:
    """May a password go there?"""
    protocol = given["protocol"].reveal() if "protocol" in given else ""
    host = given["host"].reveal() if "host" in given else ""
    here = host in _LOCAL or host.rpartition(":")[0] in _LOCAL
    return protocol == "https" or (protocol == "http" and here)


def _path(given: dict[str, Sensitive]) -> str:
    """Of a repository, where git sends it (`credential.useHttpPath`)."""
    return given["path"].reveal().strip("/") if "path" in given else ""


def _found(client: Client, given: dict[str, Sensitive], host: str, path: str) -> Sensitive | None:
    secret = stored.find(client, KIND, host, path)
    if secret is None:
        return None
    answer = {"username": part(secret, *USER), "password": part(secret, *PASSWORD)}
    if "username" in given and given["username"] != Sensitive(answer["username"]):
        return None
    if secret.ends_at is not None:
        answer["password_expiry_utc"] = str(int(secret.ends_at.timestamp()))
    if any(control in value for value in answer.values() for control in "\n\r\0"):
        del answer
        raise Invalid(f"{secret.name!r} has a line break in it, which git cannot be sent")
    return Sensitive("".join(f"{name}={value}\n" for name, value in answer.items()))


def _store(client: Client, given: dict[str, Sensitive], host: str, path: str) -> None:
    if "username" in given and "password" in given:
        fields = {"username": given["username"], "password": given["password"]}
        if stored.find(client, KIND, host, path) is None:
            stored.keep(client, KIND, host, path, fields)


def _erase(client: Client, given: dict[str, Sensitive], host: str, path: str) -> None:
    """Only what git says did not serve: another password, that has come since, stays."""
    secret = stored.find(client, KIND, host, path)
    if secret is not None and given.get("password") == secret["password"]:
        stored.forget(client, KIND, *_own(secret.name))


def _own(name: str) -> tuple[str, str]:
    host, _, path = name.removeprefix(f"{stored.folder(KIND)}/").partition("/")
    return host, path
