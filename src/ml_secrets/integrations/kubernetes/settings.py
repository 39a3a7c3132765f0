"""The webhook's own configuration, in TOML. The command's flags come on top of it.

    listen = "0.0.0.0:8443"

    [tls]
    cert = "/etc/ml-secrets/tls/tls.crt"    needed, with its key: an API server speaks to no other
    key = "/etc/ml-secrets/tls/tls.key"
    client-ca = "api-server-ca.crt"         who asks has to show a certificate by it; health is for anybody

    [server]
    address = "https://secrets.example.org:8200"        needed: where pods find our server
    cacert = "/etc/ml-secrets/server-ca.crt"            its text goes into the pods
    namespace = "team-a"                                of our server, where a pod names none

    [inject]
    image = "registry.example.org/ml-secrets:0.1.0"     needed
    pull-policy = "IfNotPresent"
    mode = "sidecar"                        what inject: "true" means; or "init"
    sidecar = "native"                      an init container that stays (Kubernetes 1.29 and later); or "classic"
    path = "/run/ml-secrets"                where containers see their files
    user = 65532                            whose they are where a pod does not say, and its group
    group = 65532
    size = "16Mi"                           of the volume in memory

    [login]                                 where a pod does not say
    method = "approle"
    identity = "ml-secrets-identity"        the Secret; {role} in it is the role that a pod of Vault's names
    mount = "approle"

    [resources]
    requests-cpu = "10m"                    also requests-memory, limits-cpu, limits-memory

Paths are relative to the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ml_secrets.agent.resident.reading import Table
from ml_secrets.domain.tree import parse
from ml_secrets.errors import Invalid
from ml_secrets.integrations.kubernetes.injection import RESOURCES, container_folder, quantity
from ml_secrets.integrations.kubernetes.logins import METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PULL: Final = ("IfNotPresent", "Always", "Never")
_REQUESTS: Final = {"cpu": "10m", "memory": "64Mi"}
_LIMITS: Final = {"memory": "256Mi"}


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it. `cacert` is the text of the server's authority; `stays`: see `Injection`; `native`: how a sidecar is made."""

    address: str
    image: str
    listen: str = "0.0.0.0:8443"
    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    cacert: str = ""
    namespace: str = ""
    pull_policy: str = "IfNotPresent"
    stays: bool = True
    native: bool = True
    folder: str = "/run/ml-secrets"
    user: int = 65532
    group: int = 65532
    size: str = "16Mi"
    login: str = "approle"
    identity: str = ""
    mount: str = ""
    requests: Mapping[str, str] = field(default_factory=lambda: dict(_REQUESTS))
    limits: Mapping[str, str] = field(default_factory=lambda: dict(_LIMITS))

    def __post_init__(self) -> None:
        place = urlsplit(self.address)
        if place.scheme not in {"https", "http"} or not place.hostname or place.username or place.query:
            raise Invalid(
                "the server's address is missing, or is no URL",
                hint="--address https://secrets.example.org:8200",
            )
        if not self.image or not self.image.isprintable() or " " in self.image:
            raise Invalid(
                "the image of what is injected is missing",
                hint="--image registry.example.org/ml-secrets:0.1.0",
            )
        if (self.cert is None) != (self.key is None):
            raise Invalid("a certificate and its key go together", hint="--tls-cert FILE --tls-key FILE")


class _Settings(Table):
    page = "docs/how-to/use-in-kubernetes.md"

    def number(self, name: str, default: int) -> int:
        """A user or group, never root."""
        found = self.take(name, default)
        if not isinstance(found, int) or isinstance(found, bool) or not 0 < found < 1 << 31:
            raise self._wrong(name, "the number of a user or group, and not 0")
        return found


def load(path: Path | None, flags: Mapping[str, Any], *, address: str = "") -> Settings:
    """The file's settings, and `flags` over them, of which None was not given. `address`: where neither says. Raises `Invalid` that names the setting."""
    given = {name: value for name, value in flags.items() if value is not None}
    if path is None:
        return Settings(**({"address": address, "image": ""} | given))
    folder = path.absolute().parent
    text = _Settings({}, "", folder).content_of(path)
    try:
        found = _read(_Settings(parse(text, ".toml"), "", folder)) | given
        return Settings(**{**found, "address": found["address"] or address})
    except Invalid as error:
        raise Invalid(f"{path}: {error.message}", hint=error.hint) from None


def _read(top: _Settings) -> dict[str, Any]:
    tls, server, inject = top.table("tls"), top.table("server"), top.table("inject")
    login, resources = top.table("login"), top.table("resources")
    ca = server.path("cacert")
    found = {
        "listen": top.text("listen", "0.0.0.0:8443"),
        "cert": tls.path("cert"),
        "key": tls.path("key"),
        "client_ca": tls.path("client-ca"),
        "address": server.text("address"),
        "namespace": server.text("namespace"),
        "cacert": "" if ca is None else server.content_of(ca),
        "image": inject.text("image"),
        "pull_policy": inject.one_of("pull-policy", _PULL),
        "stays": inject.one_of("mode", ("sidecar", "init")) == "sidecar",
        "native": inject.one_of("sidecar", ("native", "classic")) == "native",
        "folder": container_folder(inject.text("path", "/run/ml-secrets"), inject.at("path")),
        "user": inject.number("user", 65532),
        "group": inject.number("group", 65532),
        "size": quantity(inject.text("size", "16Mi"), inject.at("size")),
        "login": login.one_of("method", tuple(METHODS)),
        "identity": login.text("identity"),
        "mount": login.text("mount"),
        "requests": _REQUESTS | _amounts(resources, "requests-"),
        "limits": _LIMITS | _amounts(resources, "limits-"),
    }
    for table in (tls, server, inject, login, resources, top):
        table.finish()
    return found


def _amounts(table: Table, prefix: str) -> dict[str, str]:
    return {
        name: quantity(table.text(prefix + name), table.at(prefix + name))
        for name in RESOURCES
        if prefix + name in table
    }
