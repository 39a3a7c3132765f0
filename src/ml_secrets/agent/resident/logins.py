"""The ways to log in. To add one, write a function here that makes a `Way` out of its options, and name it in `METHODS`.

A `Way` is called for each login, so that what stands in files is read then: it gives a login to carry out, or a token.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.descriptors import folder_descriptor, mounted_descriptor
from ml_secrets.client.login import Login, approle, userpass
from ml_secrets.client.settings import check_token
from ml_secrets.errors import Denied, Invalid, Unauthenticated
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.agent.resident.config import Method
    from ml_secrets.client import Client

Options = Mapping[str, str | bool]
Way = Callable[["Client"], Login | Sensitive]


def way_of(method: Method) -> Way:
    """The way that a method is. Raises `Invalid` where there is none of that name, or it is told what it does not know."""
    known = METHODS.get(method.name)
    if known is None:
        raise Invalid(
            f"there is no login method {method.name!r} here", hint=f"known are {', '.join(METHODS)}"
        )
    make, names = known
    odd = next((name for name in method.options if name not in names), None)
    if odd is not None:
        raise Invalid(
            f"the login method {method.name} has no setting {odd!r}", hint=f"it has {', '.join(names)}"
        )
    return make(method.options, method.mount or method.name)


# ── the methods ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _token(options: Options, _: str) -> Way:
    """A token from a file; without one, that of the surroundings: a variable, or what `ml-secrets login` left."""
    named = options.get("token-file")
    if named is None:
        return _own_token
    path = Path(str(named))
    return lambda _: check_token(read_secret(path))


def _approle(options: Options, mount: str) -> Way:
    return _AppRole(options, mount)


def _userpass(options: Options, mount: str) -> Way:
    name, file = _needed(options, "username", "userpass"), Path(_needed(options, "password-file", "userpass"))
    return lambda _: userpass(name, read_secret(file), mount=mount)


METHODS: Final[dict[str, tuple[Callable[[Options, str], Way], tuple[str, ...]]]] = {
    "token": (_token, ("token-file",)),
    "approle": (
        _approle,
        ("role-id", "role-id-file", "secret-id-file", "remove-secret-id-file", "secret-id-wrapped-at"),
    ),
    "userpass": (_userpass, ("username", "password-file")),
}


class _AppRole:
    """A secret id that was read and removed is kept, and used until there is a file with another one."""

    def __init__(self, options: Options, mount: str) -> None:
        self._mount = mount
        self._role_id = options.get("role-id")
        self._role_file = options.get("role-id-file")
        self._secret_file = options.get("secret-id-file")
        self._remove = bool(options.get("remove-secret-id-file", False))
        self._wrapped_at = options.get("secret-id-wrapped-at")
        self._seen: Sensitive | None = None
        self._kept: Sensitive | None = None
        if (self._role_id is None) == (self._role_file is None):
            raise Invalid(
                "approle takes one of role-id and role-id-file",
                hint="the file holds the role id and nothing else",
            )
        if self._wrapped_at is not None and self._secret_file is None:
            raise Invalid(
                "secret-id-wrapped-at goes with secret-id-file", hint="that file holds the wrapping token"
            )

    def __call__(self, client: Client) -> Login:
        role = str(self._role_id) if self._role_file is None else read_secret(Path(str(self._role_file)))
        return approle(role, self._secret_id(client), mount=self._mount)

    def _secret_id(self, client: Client) -> Sensitive | None:
        if self._secret_file is None:
            return None
        path = Path(str(self._secret_file))
        try:
            found = read_secret(path)
        except FileNotFoundError:
            if self._kept is None:
                raise
            return self._kept
        if self._kept is None or found != self._seen:
            at = self._wrapped_at
            self._kept = found if at is None else _unwrapped(client, found, str(at))
            self._seen = found
        if self._remove:
            path.unlink()
        return self._kept


# ── what they read ──────────────────────────────────────────────────────────────────────────────────────────────────


def read_secret(path: Path, owner: tuple[int, int] | None = None) -> Sensitive:
    """A file's only line. No link is followed but those of a mounted Secret. Raises `Denied` where others can write to it, or one wrote it who is not us, root or `owner`."""
    folder = folder_descriptor(path.absolute().parent, create=False)
    try:
        opened = mounted_descriptor(path.name, folder)
    finally:
        os.close(folder)
    if opened is None:
        raise FileNotFoundError(2, "there is no such file that can be read", str(path))
    with os.fdopen(opened, "rb") as file:
        about = os.fstat(file.fileno())
        if about.st_mode & stat.S_IWOTH:
            raise Denied(
                f"anybody may have written {path}", hint=f"chmod o-w {path}, and put what is right into it"
            )
        if about.st_uid not in {os.geteuid(), 0, *(owner or ())[:1]}:
            raise Denied(
                f"another user wrote {path}",
                hint="see that it holds what is right, then chown it to this user",
            )
        return Sensitive(file.read(1 << 16).strip())


def _own_token(client: Client) -> Sensitive:
    token = client.session.token
    if token is None:
        raise Unauthenticated(
            "there is no token", hint="say how to log in: [login] method = ...; or set ML_SECRETS_TOKEN_FILE"
        )
    return token


def _needed(options: Options, name: str, method: str) -> str:
    found = options.get(name)
    if not isinstance(found, str) or not found:
        raise Invalid(f"the login method {method} needs {name}", hint="add it under [login]")
    return found


def _unwrapped(client: Client, token: Sensitive, path: str) -> Sensitive:
    """The secret id that a wrapping token holds, if it was wrapped where it should have been: else somebody exchanged it."""
    made_at = client.write("sys/wrapping/lookup", {"token": token}).data.get("creation_path")
    if made_at != path:
        raise Denied(
            "the secret id was not wrapped where it should have been",
            hint="somebody may have exchanged it: make another, and look at the audit log",
        )
    return Sensitive(str(client.write("sys/wrapping/unwrap", {"token": token}).data["secret_id"]))
