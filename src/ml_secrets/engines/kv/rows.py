"""Where KV version 2 lies in the store.

    store   meta/<path>             Secret: settings and versions, without content
    opaque  v/<uid>/<number>        content of one version, as it was sent
    opaque  config                  Config of the mount
    opaque  dates/…                 when secrets are due (calendar.py)

A row is sealed together with its name, so content cannot be moved to another version or object; `uid` is new for each
object that is created, so neither can content of a deleted secret come back under its old name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.domain.value import shown_as_json
from ml_secrets.domain.version import Kind, Secret
from ml_secrets.engines.kv import calendar
from ml_secrets.engines.kv.state import Config
from ml_secrets.errors import Invalid, TamperFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml_secrets.contract import Context, Transaction

META: Final = "meta/"
_CONFIG: Final = "config"
_NO_CONFIG: Final = Config()
_encode = msgspec.msgpack.Encoder().encode
_secret = msgspec.msgpack.Decoder(Secret).decode
_config = msgspec.msgpack.Decoder(Config).decode


def find(store: Transaction, path: str) -> Secret | None:
    """The secret at `path`; a removed one is not there."""
    row = store.get(META + path)
    if row is None:
        return None
    secret = _secret(row)
    return None if secret.removed is not None else secret


def new_uid(ctx: Context, path: str) -> str:
    """For an object about to be created at `path`. Raises `Invalid` where a removed one waits to be purged."""
    if ctx.store.get(META + path) is not None:
        raise Invalid(
            "the secret is scheduled for deletion", hint="restore it first, or wait until it is purged"
        )
    return ctx.random(16).hex()


def there(ctx: Context, captures: dict[str, str]) -> bool:
    """Whether a write would be an update: there is metadata, be all its versions deleted."""
    return ctx.store.get(META + captures["path"]) is not None


def keep(store: Transaction, opaque: Transaction, path: str, secret: Secret, now: float) -> None:
    """Store the secret at `path`, and note its dates."""
    store.put(META + path, _encode(calendar.note(opaque, path, secret, now)))


def rename(
    store: Transaction, opaque: Transaction, names: tuple[str, str], secret: Secret, now: float
) -> None:
    """The secret goes from its old name to a new one in the same mount."""
    old, new = names
    calendar.rename(opaque, secret, new)
    keep(store, opaque, new, secret, now)
    store.delete(META + old)


def forget(store: Transaction, opaque: Transaction, path: str, secret: Secret) -> None:
    """Remove the secret with all content. Nothing of it is left."""
    drop_content(opaque, secret, secret.versions)
    calendar.forget(opaque, secret)
    store.delete(META + path)


class Content:
    """Where the content of a version lies that is not destroyed."""

    __slots__ = ("_is_bytes", "_key")

    def __init__(self, secret: Secret, number: int) -> None:
        self._key = f"v/{secret.uid}/{number}"
        self._is_bytes = secret.versions[number].kind is Kind.BYTES

    def stored(self, opaque: Transaction) -> bytes:
        """The content as it was sent."""
        found = opaque.get(self._key)
        if found is None:
            raise _missing()
        return found

    def json(self, opaque: Transaction) -> bytes:
        """The content as KV clients see it."""
        found = opaque.get(self._key)
        if found is None:
            raise _missing()
        return shown_as_json(found) if self._is_bytes else found


def _missing() -> TamperFault:
    return TamperFault("the content of a secret's version is missing from the store")


def content(opaque: Transaction, secret: Secret, number: int) -> bytes:
    """The content of a version that is not destroyed."""
    return Content(secret, number).stored(opaque)


def json_content(opaque: Transaction, secret: Secret, number: int) -> bytes:
    """The content of a version as KV clients see it."""
    return Content(secret, number).json(opaque)


def put_content(opaque: Transaction, secret: Secret, number: int, value: bytes) -> None:
    """Store the content of a new version."""
    opaque.put(f"v/{secret.uid}/{number}", value, new=True)


def drop_content(opaque: Transaction, secret: Secret, numbers: Iterable[int]) -> None:
    """Delete the content of versions for good."""
    for number in numbers:
        opaque.delete(f"v/{secret.uid}/{number}")


def config(opaque: Transaction) -> Config:
    """The mount's settings."""
    row = opaque.get(_CONFIG)
    return _NO_CONFIG if row is None else _config(row)


def keep_config(opaque: Transaction, settings: Config) -> None:
    """Store the mount's settings."""
    opaque.put(_CONFIG, _encode(settings))
