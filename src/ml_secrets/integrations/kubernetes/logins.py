"""How an injected container proves who it is. To add a login method, name it in `METHODS`.

Today each method reads a Secret of the pod's namespace, which our containers alone have mounted. A Kubernetes identity has no Secret: it will
bring a projected token as its volume, and the same two readings of it: what an agent's [login] says, and what `fetch` is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

IDENTITY: Final = "/etc/ml-secrets/identity"
METHODS: Final[Mapping[str, Mapping[str, str]]] = {
    "approle": {"role-id": "role-id-file", "secret-id": "secret-id-file"},
    "token": {"token": "token-file"},
    "userpass": {"password": "password-file"},
}
"""The keys that a method's Secret has, and the settings of an agent's [login] that name their files."""


@dataclass(frozen=True, slots=True)
class Login:
    """A method, what an agent is told of it, and the Secret that is mounted at IDENTITY; none where `options` name other files."""

    method: str
    mount: str = ""
    options: Mapping[str, str | bool] = field(default_factory=dict)
    secret: str = ""
    once: bool = False

    def settings(self) -> dict[str, Any]:
        """An agent's [login]."""
        files = (
            {option: f"{IDENTITY}/{key}" for key, option in METHODS[self.method].items()}
            if self.secret
            else {}
        )
        more: dict[str, Any] = {"mount": self.mount} if self.mount else {}
        return {
            "method": self.method,
            **more,
            **files,
            **self.options,
            **({"once": True} if self.once else {}),
        }

    def volume(self) -> dict[str, Any] | None:
        """The volume that is mounted at IDENTITY. Only our containers see it, so what is in it is for whoever they run as."""
        return {"secret": {"secretName": self.secret, "defaultMode": 0o444}} if self.secret else None

    def fetching(self) -> tuple[list[str], list[dict[str, Any]]] | None:
        """The words and variables that `ml-secrets fetch` logs in by, inside its requests; None where an agent has to."""
        if self.method != "approle" or not self.secret:
            return None
        words = ["--role-id", "$(ROLE_ID)", "--secret-id-file", f"{IDENTITY}/secret-id"]
        key = {"secretKeyRef": {"name": self.secret, "key": "role-id"}}
        return (
            words + (["--auth-path", self.mount] if self.mount else []),
            [{"name": "ROLE_ID", "valueFrom": key}],
        )


def login_by(method: str, secret: str, mount: str, where: str, **options: str) -> Login:
    """A login by a Secret. Raises `Invalid` where there is no such method, or no Secret."""
    if method not in METHODS:
        raise Invalid(
            f"{where}: there is no login method of that name here", hint=f"known are {', '.join(METHODS)}"
        )
    if ("username" in options) != (method == "userpass"):
        raise Invalid(f"{where}: a username goes with userpass, and userpass with a username")
    if not secret:
        raise Invalid(
            f"{where}: nothing says which Secret the pod logs in by",
            hint=f"ml-secrets.io/identity names a Secret with {' and '.join(METHODS[method])}",
        )
    return Login(method, mount.removeprefix("auth/").strip("/"), options, secret)
