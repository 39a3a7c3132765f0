"""A secret and its versions: the one model that every dialect reads. Pure; times are seconds since 1970.

- A version number is given once and never again, even after its version is gone.
- `current` is a stored pointer, which need not be the highest number: plain reads follow it, and a put moves it.
- A version is enabled, disabled, (soft-)deleted or destroyed; only an enabled one shows its content, and no step leads
  out of destroyed. A soft delete is a moment, which may lie ahead: then the version dies by itself when it comes.
- Labels (AWS stages, GCP aliases) sit on one version each; a labelled version is never pruned, and neither is the newest.
- A removed secret is a tombstone until it is purged or restored.

What a row may say and no operation sets yet (ids, labels, disabled, dates, a pointer elsewhere) is for dialects to come,
and holds wherever a secret is read or changed.

Every function takes a secret and returns a new one; what has to go with it (content to delete) is returned beside it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from ml_secrets.errors import Conflict, Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KEPT_BY_DEFAULT: Final = 10
"""Versions kept where neither the secret nor its mount says how many."""


class State(StrEnum):
    """What may be done with a version's content."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETED = "deleted"
    DESTROYED = "destroyed"


class Kind(StrEnum):
    """What a version's content is: one JSON value as the client wrote it, or bytes that mean nothing to us."""

    JSON = "json"
    BYTES = "bytes"


class Version(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version, without its content.

    id: chosen by the client that made it; "" means derived, from the secret's uid and the number.
    media_type: of BYTES, "" is unknown.
    deleted: the moment of its soft delete, None for never. not_before, expires: shown by dialects that have them.
    """

    created: float
    id: str = ""
    kind: Kind = Kind.JSON
    media_type: str = ""
    deleted: float | None = None
    destroyed: bool = False
    disabled: bool = False
    not_before: float | None = None
    expires: float | None = None

    def state(self, now: float) -> State:
        """The state at that moment."""
        if self.destroyed:
            return State.DESTROYED
        if self.deleted is not None and self.deleted <= now:
            return State.DELETED
        return State.DISABLED if self.disabled else State.ENABLED


class Secret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A secret without its content.

    uid: 32 hex digits, random for each created object, so that a name used again never meets older content.
    latest: the highest number ever given. current: the version that a plain read shows (0: none yet).
    oldest: 0 until something was pruned, then the lowest number kept.
    max_versions, delete_after (seconds): 0 means "as the mount says".
    metadata_version: counts changes of the settings and the custom metadata, for their own check-and-set.
    removed, purge_at: the tombstone; None while the secret lives.
    expires_at, rotate_at (moments), rotate_every (seconds): see dates.py; 0 is none. noted: its dates as the mount's
    calendar has them, by what they are.
    """

    uid: str
    created: float
    updated: float
    latest: int = 0
    current: int = 0
    oldest: int = 0
    versions: dict[int, Version] = msgspec.field(default_factory=dict)
    labels: dict[str, int] = msgspec.field(default_factory=dict)
    custom_metadata: dict[str, str] = msgspec.field(default_factory=dict)
    metadata_version: int = 0
    max_versions: int = 0
    delete_after: int = 0
    cas_required: bool = False
    metadata_cas_required: bool = False
    removed: float | None = None
    purge_at: float | None = None
    expires_at: float = 0.0
    rotate_every: int = 0
    rotate_at: float = 0.0
    noted: dict[str, float] = msgspec.field(default_factory=dict)


def create(uid: str, now: float) -> Secret:
    """A secret without versions."""
    return Secret(uid=uid, created=now, updated=now)


def add(secret: Secret, version: Version, *, keep: int) -> tuple[Secret, int, tuple[int, ...]]:
    """(secret with one more version, its number, numbers pruned). Raises `Conflict` for an id that is taken."""
    if secret.removed is not None:
        raise Invalid(
            "the secret is scheduled for deletion", hint="restore it first, or wait until it is purged"
        )
    if version.id and any(version.id == other.id for other in secret.versions.values()):
        raise Conflict("a version with this id exists")
    number = secret.latest + 1
    versions = {**secret.versions, number: version}
    held = {number, *secret.labels.values()}
    pruned = tuple(old for old in secret.versions if old <= number - keep and old not in held)
    for old in pruned:
        del versions[old]
    oldest = min(versions) if pruned else secret.oldest
    changed = replace(
        secret,
        versions=versions,
        latest=number,
        current=number,
        oldest=oldest,
        updated=version.created,
        rotate_at=_rotated(secret, version.created),
    )
    return changed, number, pruned


def _rotated(secret: Secret, now: float) -> float:
    """The second of the next rotation, after one now. The first version is none: a date that was set before it stays."""
    if not secret.latest and secret.rotate_at:
        return secret.rotate_at
    return now // 1 + secret.rotate_every if secret.rotate_every else 0.0


def delete(secret: Secret, numbers: Iterable[int], now: float) -> Secret:
    """Soft-delete versions; those already deleted keep their moment, destroyed and unknown ones are left alone."""
    return _with(
        secret, numbers, lambda version: version.state(now) in (State.ENABLED, State.DISABLED), deleted=now
    )


def undelete(secret: Secret, numbers: Iterable[int], deleted: float | None) -> Secret:
    """Take soft deletes back. `deleted` is the moment when the versions are to die anew, None for never."""
    return _with(secret, numbers, lambda version: not version.destroyed, deleted=deleted)


def destroy(secret: Secret, numbers: Iterable[int]) -> tuple[Secret, tuple[int, ...]]:
    """Destroy versions for good; also the numbers whose content must go now."""
    gone = tuple(
        n for n in dict.fromkeys(numbers) if n in secret.versions and not secret.versions[n].destroyed
    )
    return _with(secret, gone, lambda _: True, destroyed=True), gone


def remove(secret: Secret, now: float, purge_at: float) -> Secret:
    """Turn the secret into a tombstone that is purged at `purge_at`."""
    return replace(secret, removed=now, purge_at=purge_at)


def restore(secret: Secret) -> Secret:
    """Bring a removed secret back, with all its versions."""
    return replace(secret, removed=None, purge_at=None)


def _with(
    secret: Secret, numbers: Iterable[int], fits: Callable[[Version], bool], **changes: object
) -> Secret:
    versions = dict(secret.versions)
    for number in numbers:
        version = versions.get(number)
        if version is not None and fits(version):
            versions[number] = replace(version, **changes)
    return replace(secret, versions=versions)
