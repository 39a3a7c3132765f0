"""Ways to log in: each is the path to write to and the body to write. Kept by the session, so that it can log in again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from ml_secrets.client.encoding import conceal_texts
from ml_secrets.client.given import text
from ml_secrets.client.settings import check_text

if TYPE_CHECKING:
    from ml_secrets.sensitive import Sensitive


class Login(msgspec.Struct, frozen=True):
    """A login that can be repeated. `repeatable`: sending it twice uses nothing up.

    `inline`: it goes inside each request, and no token is made (inline.py).
    """

    path: str
    body: Sensitive
    repeatable: bool = False
    inline: bool = False

    def __post_init__(self) -> None:
        if self.inline:
            check_text(self.path, "login's path")

    def identity(self) -> str:
        """A digest of who logs in."""
        return hashlib.sha256(f"{self.path}\n".encode() + self.body.reveal_bytes()).hexdigest()


def userpass(
    username: str, password: str | Sensitive, *, mount: str = "userpass", inline: bool = False
) -> Login:
    """By user name and password. `inline`: inside each request, which makes no token; each hashes the password anew."""
    body = conceal_texts({"password": password})
    del password
    path = f"auth/{mount.strip('/')}/login/{text(username, 'user name')}"
    return Login(path, body, repeatable=True, inline=inline)


def approle(
    role_id: str | Sensitive,
    secret_id: str | Sensitive | None = None,
    *,
    mount: str = "approle",
    inline: bool = False,
) -> Login:
    """By role id and, where the role wants one, secret id. A secret id may be good for a limited number of uses.

    `inline`: inside each request, which makes no token; each is a use of the secret id.
    """
    body = conceal_texts({"role_id": role_id} | ({} if secret_id is None else {"secret_id": secret_id}))
    del role_id, secret_id
    return Login(f"auth/{mount.strip('/')}/login", body, inline=inline)
