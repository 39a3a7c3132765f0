"""Everything that a job declares, fetched at once: one question per mount, then one batch. All of it, or nothing.

A reference's mount is found by asking the server which mount its path lies in; mounts never lie inside each other, so one
answer serves all references below it. Where each request is a login of its own, the first segment is taken for the mount.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ml_secrets.client import lookup
from ml_secrets.client.cache import Key
from ml_secrets.client.encoding import part
from ml_secrets.client.flows import ask
from ml_secrets.client.messages import ANSWER
from ml_secrets.client.sending import make
from ml_secrets.errors import (
    Denied,
    Fault,
    Incomplete,
    Invalid,
    Limited,
    MlSecretsError,
    NotFound,
    Sealed,
    Unauthenticated,
)
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ml_secrets.agent.reference import Reference
    from ml_secrets.client import Client, Secret
    from ml_secrets.client.messages import Flow
    from ml_secrets.client.session import Session


_OF_ALL: Final = (Unauthenticated, Limited, Sealed, Fault)


class Value(Sensitive):
    """What a reference stands for: its text, and the same as JSON. `version` is the secret's; 0 where there are none."""

    __slots__ = ("json", "version")

    def __init__(self, text: Sensitive, json: Sensitive, version: int) -> None:
        super().__init__(text.reveal())
        self.json = json
        self.version = version


def gather(client: Client, references: Iterable[Reference]) -> dict[Reference, Value]:
    """The value of each reference. Raises `Incomplete`, which has the error of each that failed, by its text."""
    return client.run(gathering(client.session, references))


def gathering(session: Session, references: Iterable[Reference]) -> Flow[dict[Reference, Value]]:
    """The same as a flow, for clients of both kinds."""
    wanted = list(dict.fromkeys(references))
    errors: dict[Reference, MlSecretsError] = {}
    keys: dict[Reference, Key] = {}
    for reference in wanted:
        try:
            keys[reference] = yield from key_of(session, reference)
        except (NotFound, Denied, Invalid) as error:
            errors[reference] = error.with_traceback(None)
    found = yield from lookup.each_secret(session, keys.values())
    values: dict[Reference, Value] = {}
    for reference, key in keys.items():
        try:
            values[reference] = _value(reference, found[key])
        except MlSecretsError as error:
            errors[reference] = error.with_traceback(None)
    if errors:
        raise _failure(wanted, errors)
    return {reference: values[reference] for reference in wanted}


# ── where ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def key_of(session: Session, reference: Reference) -> Flow[Key]:
    """What a reference's secret is known by to the client."""
    mount = yield from _mount(session, reference.path)
    return Key(session.scope, mount, reference.path.removeprefix(f"{mount}/"), reference.version)


def _mount(session: Session, path: str) -> Flow[str]:
    """The mount that a path lies in, from what is known or from the server."""
    first = path.partition("/")[0]
    known = next((mount for mount in list(session.versions) if path.startswith(f"{mount}/")), None)
    if known is not None or session.inside is not None:
        return known or first
    try:
        request = make("GET", f"sys/internal/ui/mounts/{path}")
        request.shared = lookup.shared(session, ANSWER)
        answer = yield from ask(session, request)
    except (NotFound, Denied) as error:
        raise type(error)(
            f"there is no mount {first}/, or your policies reach nothing in it",
            hint="a reference is secret://MOUNT/PATH#FIELD; ml-secrets secrets list shows the mounts",
        ) from None
    return _learnt(session, answer.data, first)


def _learnt(session: Session, told: Mapping[str, Any], first: str) -> str:
    mount = str(told.get("path") or first).strip("/")
    if told.get("type") not in ("kv", "generic"):
        raise Invalid(
            f"{mount}/ is a mount of type {told.get('type')}, not kv",
            hint="a reference names a secret in a kv mount",
        )
    session.versions[mount] = 2 if (told.get("options") or {}).get("version") == "2" else 1
    return mount


# ── what ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _value(reference: Reference, secret: Secret | MlSecretsError) -> Value:
    if isinstance(secret, MlSecretsError):
        raise secret
    if reference.version not in {None, secret.version}:
        raise Invalid(
            f"{secret.mount}/ keeps no versions",
            hint="leave ?version= out, or turn the mount into KV version 2",
        )
    for field in reference.fields:
        secret.only(field)  # raises, and names the fields there are
    fields = secret.as_json(*reference.fields)
    if len(reference.fields) != 1:
        return Value(fields, fields, secret.version)
    (field,) = reference.fields
    return Value(secret[field], part(fields, field) or Sensitive("null"), secret.version)


def _failure(wanted: list[Reference], errors: Mapping[Reference, MlSecretsError]) -> MlSecretsError:
    """What is about no secret in particular is told once, everything else by its reference."""
    of_all = next((error for error in errors.values() if isinstance(error, _OF_ALL)), None)
    if of_all is not None:
        return of_all
    told = {str(reference): errors[reference] for reference in wanted if reference in errors}
    lines = "".join(f"\n  {name}: {error}" for name, error in told.items())
    return Incomplete(f"{len(told)} of {len(wanted)} secrets cannot be had:{lines}", errors=told)
