"""What a pod is to be given, whatever it was written in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.integrations.kubernetes.logins import Login

_QUANTITY: Final = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?", re.ASCII)
OURS: Final = "ml-secrets.io/"
"""Of our annotations, those that pods have and those that they are given."""
Kind: TypeAlias = Literal["references", "jinja", "go"]
RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that is written. `text` is a text with references, or a template of Jinja2 or Go (`delimiters` are its own).

    command: what the shell of the container that stays runs once the file holds something new.
    """

    name: str
    text: str
    kind: Kind
    mode: str = "0400"
    command: str = ""
    delimiters: tuple[str, str] = ("{{", "}}")


@dataclass(frozen=True, slots=True)
class Injection:
    """All of it. `stays`: the files are kept fresh for as long as the pod lives; else they are written once, before it starts.

    folder: where the pod's containers see the files. containers: which ones do; empty is all. first: before other init containers,
    which see the files then. user, group: None is what the pod says. variables: by name, the file whose path each holds.
    proxy_port: where the pod finds the server's API on loopback; 0 is nowhere. token: the name of a file with the agent's token.
    configmap: a ConfigMap with a Vault agent's whole configuration. mounted_secrets: more Secrets for our containers, by where they are seen.
    environment: variables of our containers. notes: what is taken for something else than it says.
    """

    login: Login
    files: tuple[SecretFile, ...] = ()
    stays: bool = True
    first: bool = False
    folder: str = ""
    containers: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    proxy_port: int = 0
    token: str = ""
    configmap: str = ""
    mounted_secrets: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    poll: str = ""
    share_processes: bool = False
    limits: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    status: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [one.name for one in self.files] + [self.token] * bool(self.token)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise Invalid(f"two files are to be named {twice}", hint="give one of them another name")
        if not (names or self.proxy_port or self.configmap):
            raise Invalid("nothing is asked for", hint="name a secret: ml-secrets.io/secret-NAME")
        if not self.stays and (self.proxy_port or any(one.command for one in self.files)):
            raise Invalid(
                "a command and a proxy need a container that stays", hint="leave them out, or inject: sidecar"
            )


def quantity(text: str, where: str) -> str:
    """An amount of CPU or memory, checked."""
    if not _QUANTITY.fullmatch(text):
        raise Invalid(f"{where} is no amount", hint='write "100m" or "64Mi"')
    return text


def container_folder(text: str, where: str) -> str:
    """A folder in a container, checked: absolute, and written as it is."""
    parts = text.split("/")[1:]
    if not text.startswith("/") or not text.isprintable() or ":" in text or set(parts) & {"", ".", ".."}:
        raise Invalid(f"{where} is no folder", hint="write it whole: /run/secrets/app")
    return text
