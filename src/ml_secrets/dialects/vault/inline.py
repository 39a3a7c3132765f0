"""The headers of a login inside a request (OpenBao's inline auth; pipeline/inline.py has what becomes of it).

    X-Vault-Inline-Auth-Path            auth/approle/login
    X-Vault-Inline-Auth-Operation       update (what is meant without), create or read
    X-Vault-Inline-Auth-Namespace       root, or nothing
    X-Vault-Inline-Auth-Parameter-...   URL-safe base64 of {"key": "role_id", "value": ...}, one for each field

The first makes the request one with a login. Parameters are secret: they go into the login's fields, and nowhere else.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.contract.operation import Verb
from ml_secrets.dialects.vault.headers import check_namespace
from ml_secrets.domain.path import request_path
from ml_secrets.domain.value import repeats_member
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_secrets.contract.request import Request

PATH: Final = "x-vault-inline-auth-path"
FAILED: Final = (b"x-vault-inline-auth-failed", b"true")
"""Tells the client that the login was refused, and not the request."""
_FAMILY: Final = "x-vault-inline-auth-"
_PARAMETER: Final = _FAMILY + "parameter-"
_VERBS: Final = {"update": Verb.WRITE, "create": Verb.WRITE, "read": Verb.READ}
_CODED: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}", re.ASCII)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_login(pairs: Sequence[tuple[bytes, bytes]], request: Request, login: Request) -> Request:
    """Fill `login` from the headers of the `request` around it, which loses them. Raises `Invalid`."""
    if request.token is not None:
        raise _invalid("the request has a token, too", "send either of them")
    names = [name for name, _ in pairs if name.startswith(_FAMILY.encode())]
    if len(set(names)) != len(names):
        raise _invalid("one of its headers came twice", "send each once")
    found = {name: text for name, text in request.headers.items() if name.startswith(_FAMILY)}
    login.headers = request.headers = {n: t for n, t in request.headers.items() if n not in found}
    login.inside = True
    login.path = _path(found.pop(PATH))
    login.verb = _verb(found.pop(_FAMILY + "operation", "update"))
    check_namespace(found.pop(_FAMILY + "namespace", ""))
    login.fields = _fields(found)
    return login


def _path(text: str) -> str:
    """A path as it stands: a header is not percent-encoded."""
    try:
        path, folder = request_path(text.encode("latin-1").replace(b"%", b"%25"))
    except Invalid as error:
        raise _invalid(f"X-Vault-Inline-Auth-Path: {error.message}", error.hint) from None
    if folder:
        raise _invalid("X-Vault-Inline-Auth-Path ends in '/'", "it is written like auth/approle/login")
    return path


def _verb(text: str) -> Verb:
    if text not in _VERBS:
        raise _invalid("its operation is none of a login", "leave out X-Vault-Inline-Auth-Operation")
    return _VERBS[text]


def _fields(headers: dict[str, str]) -> dict[str, msgspec.Raw]:
    fields: dict[str, msgspec.Raw] = {}
    for name, text in headers.items():
        if name.startswith(_PARAMETER):
            key, value = _parameter(text)
            if key in fields:
                raise _invalid("one of its fields came twice", "send each in one header")
            fields[key] = value
    return fields


def _parameter(text: str) -> tuple[str, msgspec.Raw]:
    """One field. No error shows any of it."""
    try:
        coded = text if _CODED.fullmatch(text) else ""
        raw = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
        members: dict[str, Any] = _members(raw)
        if members.keys() == {"key", "value"} and not repeats_member(raw, members):
            return msgspec.json.decode(members["key"], type=str), members["value"]
    except (ValueError, RecursionError):  # base64's, msgspec's, and bytes that are no UTF-8
        pass
    raise _invalid(
        "a parameter cannot be read",
        'each is URL-safe base64 of {"key": "role_id", "value": "..."}, and no other member',
    ) from None


def _invalid(what: str, hint: str) -> Invalid:
    return Invalid(f"failed to perform inline authentication: {what}", hint=hint)
