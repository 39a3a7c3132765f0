"""`metadata/<path>`: a secret's settings, its custom metadata, what is known of its versions; and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from ml_secrets.contract import Context, Help, Json, Response, Seconds
from ml_secrets.contract.expand import expand
from ml_secrets.domain import version as model
from ml_secrets.engines.kv import news, rows, state, trash
from ml_secrets.engines.kv.engine import KV2
from ml_secrets.engines.kv.state import Settings
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


_FIELDS: Final = {
    "max_versions": MaxVersions,
    "cas_required": CasRequired,
    "delete_version_after": DeleteAfter,
    "metadata_cas_required": MetadataCasRequired,
    "metadata_cas": Annotated[
        int, Help("Change only if this is current_metadata_version; 0 only if there is no metadata yet.")
    ],
}


@dataclass(slots=True)
class Asked:
    """What a request says beside custom metadata: settings, and which metadata it knows."""

    settings: Settings
    cas: int | None


def _gather(sent: dict[str, Any]) -> Asked:
    cas = sent.pop("metadata_cas")
    return Asked(Settings(*(sent[name] for name in SETTINGS)), cas)


_with_fields = expand("asked", _FIELDS, _gather)


@KV2.read(_PATH)
def read_metadata(ctx: Context, path: str) -> Response | None:
    """Show a secret's settings, custom metadata and versions, without any data."""
    secret = rows.find(ctx.store, path)
    return None if secret is None else Response(state.secret_shown(secret))


@KV2.write(_PATH, exists=rows.there, plain=_FIELDS)
@_with_fields
def write_metadata(ctx: Context, path: str, asked: Asked, custom_metadata: Custom = None) -> Response | None:
    """Change a secret's settings or custom metadata; makes the secret, without a version, where there is none."""
    secret = rows.find(ctx.store, path)
    return _change(ctx, path, secret, asked, _texts(custom_metadata))


@KV2.patch(_PATH, plain=_FIELDS)
@_with_fields
def patch_metadata(
    ctx: Context, path: str, asked: Asked, custom_metadata: CustomPatch = None
) -> Response | None:
    """Change some of a secret's settings or custom metadata: null resets or removes one."""
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
    if wanted == Settings() and custom is None:
        return None
    config = rows.config(ctx.opaque)
    state.check_metadata_cas(asked.cas, secret, config)
    if secret is None:
        secret = model.create(rows.new_uid(ctx, path), ctx.now)
    secret = state.settle(secret, wanted, custom, ctx.now)
    rows.keep(ctx.store, path, secret)
    news.tell(ctx, path, "metadata", secret)
    warnings = state.overruled(wanted, config)
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
