"""`metadata/<path>`: a secret's settings, its custom metadata, what is known of its versions; and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from ml_secrets.contract import Context, Help, Json, Response, Seconds
from ml_secrets.contract.expand import expand
from ml_secrets.domain import version as model
from ml_secrets.domain.instant import parse_moment
from ml_secrets.engines.kv import news, reminders, rows, state, trash
from ml_secrets.engines.kv.engine import KV2
from ml_secrets.engines.kv.state import Dates, Settings
from ml_secrets.errors import Invalid, NotFound

if TYPE_CHECKING:
    from ml_secrets.domain.version import Secret

MaxVersions = Annotated[int | None, Help("How many versions to keep; 0 leaves it to the mount.")]
CasRequired = Annotated[
    bool | None, Help("Whether every write has to say which version it follows (options.cas).")
]
DeleteAfter = Annotated[
    Seconds | None,
    Help("Versions are soft-deleted this long after they were made; 0 leaves it to the mount."),
]
MetadataCasRequired = Annotated[
    bool | None, Help("Whether every change of metadata has to send metadata_cas.")
]
ExpiresAt = Annotated[
    str | None,
    Help(
        'When what the secret holds stops being valid: "2027-01-31T12:00:00Z", "2027-01-31", or how long from now ("90d"). Empty takes the date away. A new version keeps it.'
    ),
]
RotateEvery = Annotated[
    Seconds | None,
    Help("How often it is to be rotated: every new version puts rotate_at off by so long. 0 ends that."),
]
RotateAt = Annotated[
    str | None, Help("When it is to be rotated next, written as expires_at. Default: from rotate_every.")
]
Custom = Annotated[
    Json | None,
    Help(
        "Texts of your own beside the secret, not secret themselves. Replaces all of them.",
        name="custom_metadata",
    ),
]
CustomPatch = Annotated[
    Json | None, Help("Texts of your own to add or change; null removes one.", name="custom_metadata")
]

_PATH: Final = "metadata/{path:path}"
SETTINGS: Final = ("max_versions", "cas_required", "delete_version_after", "metadata_cas_required")
_UNSET: Final[dict[str, Any]] = {
    "max_versions": 0,
    "cas_required": False,
    "delete_version_after": 0,
    "metadata_cas_required": False,
}
_DATES: Final = {"expires_at": ExpiresAt, "rotate_every": RotateEvery, "rotate_at": RotateAt}
_FIELDS: Final = {
    "max_versions": MaxVersions,
    "cas_required": CasRequired,
    "delete_version_after": DeleteAfter,
    "metadata_cas_required": MetadataCasRequired,
    **_DATES,
    "metadata_cas": Annotated[
        int, Help("Change only if this is current_metadata_version; 0 only if there is no metadata yet.")
    ],
}


@dataclass(slots=True)
class Asked:
    """What a request says beside custom metadata: settings, dates as they were written, and which metadata it knows."""

    settings: Settings
    dates: dict[str, Any]
    cas: int | None


def _gather(sent: dict[str, Any]) -> Asked:
    cas = sent.pop("metadata_cas")
    return Asked(Settings(*(sent[name] for name in SETTINGS)), {name: sent[name] for name in _DATES}, cas)


_with_fields = expand("asked", _FIELDS, _gather)


@KV2.read(_PATH)
def read_metadata(ctx: Context, path: str) -> Response | None:
    """Show a secret's settings, dates, custom metadata and versions, without any data."""
    secret = rows.find(ctx.store, path)
    return None if secret is None else Response(state.secret_shown(secret))


@KV2.write(_PATH, exists=rows.there, plain=_FIELDS)
@_with_fields
def write_metadata(ctx: Context, path: str, asked: Asked, custom_metadata: Custom = None) -> Response | None:
    """Change a secret's settings, dates or custom metadata; makes the secret, without a version, where there is none."""
    secret = rows.find(ctx.store, path)
    return _change(ctx, path, secret, asked, _texts(custom_metadata))


@KV2.patch(_PATH, plain=_FIELDS)
@_with_fields
def patch_metadata(
    ctx: Context, path: str, asked: Asked, custom_metadata: CustomPatch = None
) -> Response | None:
    """Change some of a secret's settings, dates or custom metadata: null resets or removes one."""
    secret = rows.find(ctx.store, path)
    if secret is None:
        raise NotFound
    return _change(ctx, path, secret, asked, _merged(secret.custom_metadata, custom_metadata))


def _change(
    ctx: Context, path: str, secret: Secret | None, asked: Asked, custom: dict[str, str] | None
) -> Response | None:
    if _is_null(ctx, "custom_metadata"):
        custom = {}
    wanted = read_settings(ctx, asked.settings)
    said = _read_dates(ctx, asked.dates)
    if (wanted, said, custom) == (Settings(), Dates(), None):
        return None
    config = rows.config(ctx.opaque)
    state.check_metadata_cas(asked.cas, secret, config)
    if secret is None:
        secret = model.create(rows.new_uid(ctx, path), ctx.now)
    secret = state.settle(secret, wanted, said, custom, ctx.now)
    past = reminders.past(secret, ctx.now)
    rows.keep(ctx.store, ctx.opaque, path, secret, ctx.now)
    news.tell(ctx, path, "metadata", secret)
    for kind in past:
        news.tell(ctx, path, kind, secret)
    warnings = state.overruled(wanted, config) + [f"the secret is {kind} already" for kind in past]
    return Response(warnings=warnings) if warnings else None


@KV2.delete(_PATH)
def delete_metadata(ctx: Context, path: str) -> None:
    """Delete a secret with all its versions and metadata: for good, or into the trash where the mount has a `trash_retention`."""
    secret = rows.find(ctx.store, path)
    if secret is None:
        return
    retention = rows.config(ctx.opaque).trash_retention
    if retention:
        trash.throw(ctx, path, secret, retention)
    else:
        rows.forget(ctx.store, ctx.opaque, path, secret)
    news.tell(ctx, path, "remove")


def read_settings(ctx: Context, wanted: Settings) -> Settings:
    """The change that a request asks for. A null that the client sent resets a setting."""
    resets = {
        ours: _UNSET[name]
        for name, ours in zip(SETTINGS, Settings.__struct_fields__, strict=True)
        if _is_null(ctx, name)
    }
    return Settings(**{name: resets.get(name, getattr(wanted, name)) for name in Settings.__struct_fields__})


def _read_dates(ctx: Context, written: dict[str, Any]) -> Dates:
    """The dates that a request asks for. A null takes one away, as empty does."""
    return Dates(
        expires_at=_moment(ctx, "expires_at", written),
        rotate_every=0 if _is_null(ctx, "rotate_every") else written["rotate_every"],
        rotate_at=_moment(ctx, "rotate_at", written),
    )


def _moment(ctx: Context, name: str, written: dict[str, Any]) -> float | None:
    text = "" if _is_null(ctx, name) else written[name]
    try:
        return None if text is None else parse_moment(text, ctx.now)
    except Invalid as error:
        raise Invalid(f"field {name!r}: {error.message}", hint=error.hint) from None


def _is_null(ctx: Context, name: str) -> bool:
    raw = ctx.request.fields.get(name)
    return raw is not None and bytes(raw) == b"null"


def _texts(custom: object) -> dict[str, str] | None:
    if custom is None:
        return None
    if not isinstance(custom, dict) or not all(isinstance(value, str) for value in custom.values()):
        raise Invalid(
            "custom_metadata must be a map of text to text", hint="put numbers and truths in quotes"
        )
    return custom


def _merged(custom: dict[str, str], patch: object) -> dict[str, str] | None:
    if not isinstance(patch, dict):
        return _texts(patch)
    changed = {key: value for key, value in {**custom, **patch}.items() if value is not None}
    return _texts(changed)
