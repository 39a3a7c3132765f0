"""What the CSI driver asks for: the parameters of a SecretProviderClass, and the Secret that a pod's volume names.

    parameters:
      objects: |
        - objectName: db-password                            the file's name
          reference: secret://secret/team-a/db#password      or a text with references in braces
          filePermission: 0400                               else 0400; 0444 for a pod that is not root
        - objectName: db.env
          reference: secret://secret/team-a/db
          format: dotenv                                     or json, yaml
        - objectName: user                                   as Vault's provider has it
          secretPath: secret/data/team-a/db
          secretKey: user
      namespace: team-a                                      of our server
      authPath: approle

Its login is what nodePublishSecretRef names: `role-id` and `secret-id`, `username` and `password`, or `token`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from ml_secrets.agent import formats, job
from ml_secrets.agent.contents import FieldsOf
from ml_secrets.agent.files import fits
from ml_secrets.agent.reference import SCHEME, written
from ml_secrets.client.login import approle, userpass
from ml_secrets.client.settings import check_token
from ml_secrets.errors import Invalid, Unauthenticated
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.agent.contents import Content
    from ml_secrets.client.login import Login

_KUBELET: Final = "csi.storage.k8s.io/"
_OWN: Final = ("objects", "namespace", "authPath", "secretProviderClass", "providerName")
_THEIRS: Final = {"vaultNamespace": "namespace", "vaultAuthMountPath": "authPath", "vaultAddress": "address"}
_OBJECT: Final = ("objectName", "reference", "secretPath", "secretKey", "filePermission", "format")
_MOST: Final = 0o444
_LONGEST: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Object:
    """A file: its name, what it holds, its mode."""

    name: str
    content: Content
    mode: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One mount. `address`: what it says of the server's; empty where it says nothing. pod: for the log."""

    objects: tuple[Object, ...]
    namespace: str
    auth_path: str
    address: str
    pod: str


def read(attributes: str) -> Asked:
    """The parameters. Raises `Invalid` that names what is wrong."""
    given = _texts(attributes, "the parameters")
    pod = f"{given.get(f'{_KUBELET}pod.namespace', '')}/{given.get(f'{_KUBELET}pod.name', '')}"
    own = {name: text for name, text in given.items() if not name.startswith(_KUBELET)}
    named = {_THEIRS.get(name, name): text for name, text in own.items()}
    odd = next((name for name in own if name not in _OWN and name not in _THEIRS), None)
    if odd is not None:
        raise Invalid(
            f"there is no parameter {odd!r} here", hint="docs/how-to/use-in-kubernetes.md has them all"
        )
    objects = _objects(named.get("objects", ""))
    return Asked(
        objects, named.get("namespace", ""), named.get("authPath", ""), named.get("address", ""), pod
    )


def login(secrets: str, mount: str) -> Login | Sensitive:
    """A login inside each request, or a token, out of the Secret that the pod's volume names: the one place where a login method plugs in."""
    given = _texts(secrets or "{}", "the Secret")
    found = {
        name: Sensitive(text.rstrip("\r\n")) for name, text in given.items()
    }  # files end in a line break
    del given
    mount = mount.removeprefix("auth/").strip("/")
    if "role-id" in found:
        return approle(found["role-id"], found.get("secret-id"), mount=mount or "approle", inline=True)
    if "username" in found and "password" in found:
        return userpass(found["username"].reveal(), found["password"], mount=mount or "userpass", inline=True)
    if "token" in found:
        return check_token(found["token"])
    raise Unauthenticated(
        "the volume names no Secret to log in by",
        hint="nodePublishSecretRef: one with role-id and secret-id; the login by a service account is not here yet",
    )


def _texts(text: str, what: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.DecodeError, RecursionError):
        pass
    raise Invalid(f"{what} cannot be read: a JSON object of texts is due")


def _objects(text: str) -> tuple[Object, ...]:
    import yaml  # noqa: PLC0415 - an extra

    if len(text) > _LONGEST:
        raise Invalid(f"objects is longer than {_LONGEST >> 10} KiB", hint="make several volumes of it")
    try:
        # Merged again and again, aliases stand for more than fits anywhere.
        refers = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader))
        found = None if refers else yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        refers, found = False, None
    if refers:
        raise Invalid("objects has an alias in YAML", hint="write out what it stands for")
    if not isinstance(found, list) or not found:
        raise Invalid(
            "objects is no list in YAML", hint="- objectName: db\n  reference: secret://MOUNT/PATH#FIELD"
        )
    objects = tuple(_object(one, f"object {number}") for number, one in enumerate(found, 1))
    named: dict[str, Object] = {}
    for one in objects:
        if named.setdefault(one.name, one) is not one:
            raise Invalid(f"two objects are named {one.name}", hint="give one of them another name")
    return objects


def _object(given: Any, where: str) -> Object:
    if not isinstance(given, dict):
        raise Invalid(f"{where} is no object")
    odd = next((name for name in given if name not in _OBJECT), None)
    if odd is not None:
        raise Invalid(f"{where}: there is no setting {odd!r} here", hint=f"known are {', '.join(_OBJECT)}")
    name = given.get("objectName")
    if not isinstance(name, str) or not fits(name) or name.startswith(".."):
        raise Invalid(f"{where}: objectName is no name for one file")
    return Object(name, _content(given, where), _mode(given.get("filePermission", 0o400), where))


def _content(given: dict[str, Any], where: str) -> Content:
    reference, path, key = (given.get(name) for name in ("reference", "secretPath", "secretKey"))
    if key is not None and not (isinstance(key, str) and key and isinstance(path, str)):
        raise Invalid(f"{where}: secretKey is no name of a field of secretPath")
    if isinstance(path, str) and reference is None:
        reference = _reference(path, key)
    if not isinstance(reference, str) or (path is None) == ("reference" not in given):
        raise Invalid(
            f"{where}: it takes one of reference and secretPath", hint="reference: secret://MOUNT/PATH#FIELD"
        )
    text, kind = job.secret_text(reference, where), given.get("format", "raw")
    if kind not in formats.KINDS:
        raise Invalid(f"{where}: there is no such format", hint=f"one of {', '.join(formats.KINDS)}")
    if kind == "raw":
        return text
    if text.whole is None:
        raise Invalid(f"{where}: only a secret has fields to be written as {kind}", hint="leave format out")
    return FieldsOf(text.whole, kind)


def _reference(path: str, key: str | None) -> str:
    """A path of Vault's API as a reference: data/ after the mount is that of a kv version 2."""
    mount, data, name = path.strip("/").partition("/data/")
    return f"{SCHEME}{written(f'{mount}/{name}' if data else path.strip('/'))}" + (
        f"#{quote(key, safe='')}" if key else ""
    )


def _mode(given: object, where: str) -> int:
    """As YAML has it: 0400 is a number in octal, "0400" a text."""
    text = given if isinstance(given, str) else ""
    mode = int(text, 8) if text.isdecimal() and not set(text) - set("01234567") else given
    if not isinstance(mode, int) or isinstance(mode, bool) or mode & ~_MOST or not mode & 0o400:
        raise Invalid(
            f"{where}: filePermission is none for a secret", hint="0400, or 0444 for a pod that is not root"
        )
    return mode
