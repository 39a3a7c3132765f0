"""`data/<path>`: read, write, patch and soft-delete what a secret holds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from ml_secrets.contract import Context, Help, Raw, Response, Seconds
from ml_secrets.domain import dates
from ml_secrets.domain import version as model
from ml_secrets.domain.value import check_json, is_object
from ml_secrets.domain.version import Secret, State, Version
from ml_secrets.engines.kv import news, rows, state
from ml_secrets.engines.kv.engine import KV2
from ml_secrets.errors import Invalid, NotFound

if TYPE_CHECKING:
    from ml_secrets.contract import Transaction

Data = Annotated[
    Raw | None, Help("The secret: a JSON object. It comes back as it was sent, digit for digit.")
]
OptionsField = Annotated[
    Raw | None, Help('{"cas": n}: write only if version n is the current one; 0 only if there is none yet.')
]
Wait = Annotated[
    Seconds | None,
    Help(
        "With If-None-Match: answer when there is another state than the one named, or 304 after this time (at most 300s)."
    ),
]
Number = Annotated[int, Help("Version to read; 0 is the current one.")]
_encode: Final = msgspec.json.Encoder().encode
_PATH: Final = "data/{path:path}"
_PLAIN: Final = ("version", "wait")


@KV2.read(_PATH, plain=_PLAIN)
def read_data(ctx: Context, path: str, version: Number = 0, wait: Wait = None) -> Response | None:
    """Read a secret: its data and what is known of that version."""
    found = readable(ctx, path, version, absent="data")
    if found is None:
        return None
    secret, number = found
    content = rows.json_content(ctx.opaque, secret, number)
    about = state.version_shown(secret, number)
    ends = dates.expiry(secret, number)
    return Response(
        {"data": msgspec.Raw(content), "metadata": about},
        warnings=state.expired(ends, ctx.now),
        etag=state.etag(secret, number),
        state=state.shown_state(secret, number),
        again=_Again(secret, number, about).data,
        until=_until(secret.versions[number].deleted, ends, ctx.now),
        waits=news.waits(ctx, path, wait),
    )


def _until(dies: float | None, ends: float, now: float) -> float:
    """When the answer changes by itself: the version is deleted, or expires, which is warned of."""
    until = math.inf if dies is None else dies
    return min(until, ends) if ends > now else until


class _Again:
    """Reads one version once more, for as long as nothing is written."""

    __slots__ = ("_about", "_content")

    def __init__(self, secret: Secret, number: int, about: dict[str, Any]) -> None:
        self._content = rows.Content(secret, number).json
        self._about = b',"metadata":%b}' % _encode(about)

    def data(self, opaque: Transaction, _token: str) -> bytes:
        """As JSON."""
        return b'{"data":%b%b' % (self._content(opaque), self._about)


_NEXT: Final = {
    State.DISABLED: "; read another one",
    State.DELETED: "; `ml-secrets kv undelete` brings it back, or read another one",
    State.DESTROYED: ", which cannot be undone; read another one, or write a new one",
}


def readable(ctx: Context, path: str, version: int, *, absent: str) -> tuple[Secret, int] | None:
    """The secret and the number of a version to read, or None. One that is deleted or destroyed is a 404 that says so."""
    secret = rows.find(ctx.store, path)
    if secret is None:
        return None
    number = version if version > 0 else secret.current
    wanted = secret.versions.get(number)
    if wanted is None:
        return None
    condition = wanted.state(ctx.now)
    if condition is not State.ENABLED:
        raise NotFound(
            hint=f"version {number} is {condition}{_NEXT[condition]}",
            data={absent: None, "metadata": state.version_shown(secret, number)},
        )
    return secret, number


@KV2.write(_PATH, exists=rows.there, short=True)
def write_data(ctx: Context, path: str, data: Data = None, options: OptionsField = None) -> Response:
    """Write a secret: the data becomes its next version."""
    value = _value(data)
    said = state.read_options(options)
    config = rows.config(ctx.opaque)
    secret = rows.find(ctx.store, path)
    state.check_cas(said, secret, config)
    return _add(ctx, path, secret or model.create(rows.new_uid(ctx, path), ctx.now), value, config)


@KV2.patch(_PATH, short=True)
def patch_data(ctx: Context, path: str, data: Data = None, options: OptionsField = None) -> Response:
    """Change some fields of a secret (JSON merge patch): null removes one, what is left out stays as it is."""
    patch = _value(data)
    said = state.read_options(options)
    config = rows.config(ctx.opaque)
    secret = rows.find(ctx.store, path)
    if secret is None or not secret.current:
        raise NotFound
    state.check_cas(said, secret, config)
    if secret.versions[secret.current].state(ctx.now) is not State.ENABLED:
        raise NotFound(data=state.version_shown(secret, secret.current))
    merged = state.patched(rows.json_content(ctx.opaque, secret, secret.current), patch)
    check_json("the patched secret", merged)
    return _add(ctx, path, secret, merged, config)


@KV2.delete(_PATH)
def delete_data(ctx: Context, path: str) -> None:
    """Soft-delete the current version of a secret. Undelete brings it back."""
    secret = rows.find(ctx.store, path)
    if secret is not None and secret.current:
        secret = model.delete(secret, (secret.current,), ctx.now)
        rows.keep(ctx.store, ctx.opaque, path, secret, ctx.now)
        news.tell(ctx, path, "delete", secret)


def _value(data: Raw | None) -> bytes:
    if data is None:
        raise Invalid("no data provided", hint='send {"data": {...}}')
    value = bytes(data)
    if value != b"null" and not is_object(value):
        raise Invalid("data must be a JSON object", hint='send {"data": {...}}')
    check_json("data", value)
    return value


def _add(ctx: Context, path: str, secret: Secret, value: bytes, config: state.Config) -> Response:
    warnings = state.stays(secret)
    made = Version(created=ctx.now, deleted=state.dies(secret, config, ctx.now))
    secret, number, pruned = model.add(secret, made, keep=state.kept(secret, config))
    rows.put_content(ctx.opaque, secret, number, value)
    rows.drop_content(ctx.opaque, secret, pruned)
    rows.keep(ctx.store, ctx.opaque, path, secret, ctx.now)
    news.tell(ctx, path, "write", secret)
    return Response(state.version_shown(secret, number), warnings=warnings)
