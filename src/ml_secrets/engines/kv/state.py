"""The rules of KV version 2, pure: what a mount's and a secret's settings come to, check-and-set, what the wire shows."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from ml_secrets.domain import dates
from ml_secrets.domain.duration import go_text
from ml_secrets.domain.instant import rfc3339
from ml_secrets.domain.value import check_json, is_object, merge_patch
from ml_secrets.domain.version import KEPT_BY_DEFAULT, Secret
from ml_secrets.errors import Conflict, Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOST_VERSIONS: Final = 2**32 - 1
_MOST_KEYS: Final = 64
_LONGEST_KEY: Final = 128
_LONGEST_VALUE: Final = 512
_DAY: Final = 86_400
_MOST_REMINDERS: Final = 10
NEVER: Final = -1
"""A time after which versions die that means "never, whatever a secret says"."""
_moment = lru_cache(4096)(rfc3339)  # the same versions are read over and over


class Config(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mount's settings. max_versions 0: ten. delete_after: seconds, 0 for never, -1 for never whatever a secret says.

    Ours: trash_retention is how many seconds a removed secret can be restored (0: not at all); filtered_lists shows to
    each caller only what they may do something with; reminders are the seconds ahead of a date at which it is told of.
    """

    max_versions: int = 0
    cas_required: bool = False
    delete_after: int = 0
    metadata_cas_required: bool = False
    trash_retention: int = 0
    filtered_lists: bool = False
    reminders: tuple[int, ...] = (30 * _DAY, 7 * _DAY, _DAY)


class Settings(msgspec.Struct):
    """A change of settings, of a mount or a secret. None leaves as it is."""

    max_versions: int | None = None
    cas_required: bool | None = None
    delete_after: int | None = None
    metadata_cas_required: bool | None = None


class Dates(msgspec.Struct):
    """A change of a secret's dates (domain/dates.py). None leaves one as it is, 0 takes it away."""

    expires_at: float | None = None
    rotate_every: int | None = None
    rotate_at: float | None = None


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────────


def kept(secret: Secret, config: Config) -> int:
    """How many versions are kept: the more generous of secret and mount."""
    return max(secret.max_versions, config.max_versions) or KEPT_BY_DEFAULT


def dies(secret: Secret, config: Config, now: float) -> float | None:
    """When a version made now is soft-deleted by itself: the shorter of the secret's and the mount's time."""
    if config.delete_after == NEVER:
        return None
    times = [seconds for seconds in (secret.delete_after, config.delete_after) if seconds]
    return now + min(times) if times else None


def configure(config: Config, wanted: Settings) -> Config:
    """The mount's settings after a change."""
    return replace(config, **_changes(wanted))


def reminders(seconds: Iterable[int]) -> tuple[int, ...]:
    """When dates are told of, the first one first. That one has come is always told."""
    found = tuple(sorted(set(seconds) - {0}, reverse=True))
    if len(found) > _MOST_REMINDERS:
        raise Invalid(f"there are at most {_MOST_REMINDERS} reminders")
    return found


def settle(
    secret: Secret, wanted: Settings, said: Dates, custom_metadata: dict[str, str] | None, now: float
) -> Secret:
    """The secret after a change of its settings, dates or custom metadata."""
    changes = _changes(wanted)
    secret = dates.settle(secret, **msgspec.structs.asdict(said))
    if custom_metadata is not None:
        check_custom_metadata(custom_metadata)
        changes["custom_metadata"] = custom_metadata
    return replace(secret, **changes, metadata_version=secret.metadata_version + 1, updated=now)


def _changes(wanted: Settings) -> dict[str, Any]:
    if wanted.max_versions is not None and not 0 <= wanted.max_versions <= _MOST_VERSIONS:
        raise Invalid(f"max_versions must lie between 0 and {_MOST_VERSIONS}")
    return {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}


def overruled(wanted: Settings, config: Config) -> list[str]:
    """Warnings for settings that the mount's own override."""
    pairs = (
        ("cas_required", wanted.cas_required, config.cas_required),
        ("metadata_cas_required", wanted.metadata_cas_required, config.metadata_cas_required),
    )
    return [
        f'"{name}" set to false, but is mandated by backend config. This value will be ignored.'
        for name, asked, forced in pairs
        if asked is False and forced
    ]


def check_custom_metadata(custom: Mapping[str, str]) -> None:
    """Raise `Invalid` for keys or values out of bounds, naming each."""
    said = []
    if len(custom) > _MOST_KEYS:
        said.append(f"payload must contain at most {_MOST_KEYS} keys, provided {len(custom)}")
    for key, value in custom.items():
        size = len(key.encode())
        if not 0 < size <= _LONGEST_KEY:
            said.append(f'length of key "{key}" is {size} but must be 0 < len(key) <= {_LONGEST_KEY}')
        size = len(value.encode())
        if not 0 < size <= _LONGEST_VALUE:
            said.append(
                f'length of value for key "{key}" is {size} but must be 0 < len(value) <= {_LONGEST_VALUE}'
            )
        if not key.isprintable():
            said.append(f"key {key!a} contains unprintable characters")
        if not value.isprintable():
            said.append(f'value for key "{key}" contains unprintable characters')
    if said:
        noun = "1 error" if len(said) == 1 else f"{len(said)} errors"
        lines = "".join(f"\t* custom_metadata validation failed: {text}\n" for text in said)
        raise Invalid(f"{noun} occurred:\n{lines}\n")


# ── check-and-set ───────────────────────────────────────────────────────────────────────────────────────────────────


class Options(msgspec.Struct, frozen=True):
    """What comes beside a version's data. `cas` is the current version the writer knows, 0 for "there is none yet"."""

    cas: int | None = None


def read_options(options: msgspec.Raw | None) -> Options:
    """The `options` of a write. Numbers are numbers here: a text or a fraction is refused, not guessed at."""
    raw = b"null" if options is None else bytes(options)
    if raw == b"null":
        return Options()
    if not is_object(raw):
        raise Invalid("options must be an object", hint='such as {"cas": 0}')
    check_json("options", raw)
    cas = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("cas")
    if cas is None:
        return Options()
    digits = bytes(cas)
    if re.fullmatch(rb"-[1-9][0-9]*", digits):
        return Options(-1)  # a whole number that is no version's: it matches nothing
    if not digits.isdigit() or len(digits) > 19 or int(digits) >= 2**63:
        hint = "cas is a whole number: the current version, or 0 to create"
        raise Invalid("error parsing check-and-set parameter", hint=hint)
    return Options(int(digits))


def check_cas(options: Options, secret: Secret | None, config: Config) -> None:
    """Raise unless the writer knows the current version, where it says or has to say which."""
    if options.cas is None:
        if config.cas_required or (secret is not None and secret.cas_required):
            raise Invalid(
                "check-and-set parameter required for this call",
                hint="send options.cas with the current version, 0 to create",
            )
    elif options.cas != (secret.current if secret is not None else 0):
        raise Conflict(
            "check-and-set parameter did not match the current version",
            hint="somebody else wrote: read again",
        )


def check_metadata_cas(cas: int | None, secret: Secret | None, config: Config) -> None:
    """The same for the settings and custom metadata of a secret."""
    if cas is None:
        if config.metadata_cas_required or (secret is not None and secret.metadata_cas_required):
            raise Invalid(
                "metadata check-and-set parameter required for this call",
                hint="send metadata_cas with current_metadata_version",
            )
    elif cas != (secret.metadata_version if secret is not None else 0):
        raise Conflict(
            "metadata check-and-set parameter does not match the current version",
            hint="somebody else wrote: read again",
        )


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def patched(content: bytes, patch: bytes) -> bytes:
    """The content of the next version."""
    return patch if patch == b"null" else merge_patch(content, patch)


def subkeys(value: Any, depth: int) -> Any:
    """The keys of a value, every leaf replaced by null. What lies `depth` levels down is a leaf (below 1: no limit)."""
    if not isinstance(value, dict):
        return None
    return {key: subkeys(inner, depth - 1) if inner and depth != 1 else None for key, inner in value.items()}


# ── what the wire shows ─────────────────────────────────────────────────────────────────────────────────────────────


def version_shown(secret: Secret, number: int) -> dict[str, Any]:
    """A version beside its data."""
    version = secret.versions[number]
    return {
        "created_time": _moment(version.created),
        "custom_metadata": secret.custom_metadata or None,
        "deletion_time": "" if version.deleted is None else _moment(version.deleted),
        "destroyed": version.destroyed,
        "version": number,
    }


def secret_shown(secret: Secret) -> dict[str, Any]:
    """A secret's metadata. Dates, which only we have, are shown where they are set."""
    return {
        "cas_required": secret.cas_required,
        "created_time": _moment(secret.created),
        "current_metadata_version": secret.metadata_version,
        "current_version": secret.current,
        "custom_metadata": secret.custom_metadata or None,
        "delete_version_after": go_text(secret.delete_after),
        "max_versions": secret.max_versions,
        "metadata_cas_required": secret.metadata_cas_required,
        "oldest_version": secret.oldest,
        "updated_time": _moment(secret.updated),
        "versions": {
            str(number): {
                "created_time": _moment(version.created),
                "deletion_time": "" if version.deleted is None else _moment(version.deleted),
                "destroyed": version.destroyed,
            }
            for number, version in secret.versions.items()
        },
        **dates_shown(secret),
    }


def dates_shown(secret: Secret) -> dict[str, Any]:
    """When what a secret holds ends, and when it is rotated; what nobody has set is left out."""
    ends = dates.expiry(secret, secret.current) if secret.current in secret.versions else secret.expires_at
    shown = {
        "expires_at": _moment(ends) if ends else "",
        "rotate_every": go_text(secret.rotate_every) if secret.rotate_every else "",
        "rotate_at": _moment(secret.rotate_at) if secret.rotate_at else "",
    }
    return {name: text for name, text in shown.items() if text}


def stays(secret: Secret) -> list[str]:
    """The warning for who adds a version to a secret with an end: the date is not moved by that."""
    if not (secret.latest and secret.expires_at):
        return []
    return [
        f"expires_at stays {_moment(secret.expires_at)}: set it anew if this version ends at another time"
    ]


def expired(ends: float, now: float) -> list[str]:
    """The warning that goes with what has expired; nothing while it has not."""
    return [f"this secret expired on {_moment(ends)}"] if ends and ends <= now else []


def config_shown(config: Config) -> dict[str, Any]:
    """A mount's settings. Those that only we have are shown where they are set, so that others see what they know."""
    shown: dict[str, Any] = {
        "cas_required": config.cas_required,
        "delete_version_after": "-1s" if config.delete_after == NEVER else go_text(config.delete_after),
        "max_versions": config.max_versions,
        "metadata_cas_required": config.metadata_cas_required,
    }
    if config.trash_retention:
        shown["trash_retention"] = go_text(config.trash_retention)
    if config.filtered_lists:
        shown["filtered_lists"] = True
    if config.reminders != Config().reminders:
        shown["reminders"] = [go_text(seconds) for seconds in config.reminders]
    return shown


def shown_state(secret: Secret, number: int) -> tuple[object, ...]:
    """Names all that a read of that version shows: its content never changes, and what may is counted, or here."""
    version = secret.versions[number]
    return secret.uid, number, secret.metadata_version, version.deleted, version.destroyed


def etag(secret: Secret, number: int) -> str:
    """Names one answer to a read: the object, the version, and what is shown beside its data."""
    deleted = secret.versions[number].deleted
    dies_at = "" if deleted is None else f"-{deleted.hex()}"
    return f"{secret.uid[:8]}-{number}-{secret.metadata_version}{dies_at}"
