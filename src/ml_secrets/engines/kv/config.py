"""`config`: what holds for every secret of a mount that does not say otherwise."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec.structs import replace

from ml_secrets.contract import Context, Help, Json, Response, Seconds, Strings
from ml_secrets.domain.duration import parse_duration
from ml_secrets.engines.kv import rows, state
from ml_secrets.engines.kv.engine import KV2
from ml_secrets.engines.kv.metadata import (
    SETTINGS,
    CasRequired,
    MaxVersions,
    MetadataCasRequired,
    read_settings,
)
from ml_secrets.engines.kv.state import Settings

DeleteAfter = Annotated[
    Json | None,
    Help(
        "The longest that a version lives; 0 is for ever, a negative one is for ever whatever a secret says.",
        name="delete_version_after",
    ),
]
TrashRetention = Annotated[
    Seconds | None,
    Help("How long a secret whose metadata was deleted can be restored; 0 is not at all, as in Vault."),
]
FilteredLists = Annotated[
    bool | None,
    Help("Whether LIST and SCAN show to each caller only names that they may do something with."),
]
Reminders = Annotated[
    Strings | None,
    Help(
        "How long ahead of its dates a secret is told of, such as 30d,7d,1d, which is the default. That a date has come is always told."
    ),
]
_PATH: Final = "config"
_SETTINGS: Final = (*SETTINGS, "trash_retention", "filtered_lists", "reminders")


@KV2.read(_PATH, plain_response=_SETTINGS)
def read_config(ctx: Context) -> Response:
    """Show the mount's settings."""
    return Response(state.config_shown(rows.config(ctx.opaque)))


@KV2.write(_PATH, plain=_SETTINGS)
def write_config(
    ctx: Context,
    *,
    max_versions: MaxVersions = None,
    cas_required: CasRequired = None,
    delete_after: DeleteAfter = None,
    metadata_cas_required: MetadataCasRequired = None,
    trash_retention: TrashRetention = None,
    filtered_lists: FilteredLists = None,
    reminders: Reminders = None,
) -> None:
    """Change the mount's settings. What is left out stays as it is; versions already made keep their time."""
    wanted = read_settings(
        ctx, Settings(max_versions, cas_required, _seconds(delete_after), metadata_cas_required)
    )
    ours = {
        "trash_retention": trash_retention,
        "filtered_lists": filtered_lists,
        "reminders": None if reminders is None else state.reminders(map(parse_duration, reminders)),
    }
    config = replace(
        rows.config(ctx.opaque), **{name: value for name, value in ours.items() if value is not None}
    )
    rows.keep_config(ctx.opaque, state.configure(config, wanted))


def _seconds(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) > 1 and value.startswith("-"):
        parse_duration(value[1:])
        return state.NEVER
    return state.NEVER if isinstance(value, int) and value < 0 else parse_duration(value)
