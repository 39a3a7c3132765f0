"""Protocol buffers, by which trackers send and store: a message without known values, changed in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_secrets.redaction.leaks import Clean


def clean_message(message: Any, clean: Clean, where: str) -> None:
    """Every text and every bytes field of it, and of those inside it."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE, field.TYPE_GROUP):
            continue
        if _is_map(field):
            _mapping(value, field, clean, where)
        elif field.type in (field.TYPE_MESSAGE, field.TYPE_GROUP):
            for each in value if _is_repeated(field) else (value,):
                clean_message(each, clean, where)
        elif _is_repeated(field):
            _several(value, clean, where)
        else:
            masked = clean(value, where)
            if masked is not value:
                setattr(message, field.name, masked)


def _mapping(value: Any, field: Any, clean: Clean, where: str) -> None:
    inner = field.message_type.fields_by_name["value"]
    for key in list(value):
        if inner.type == inner.TYPE_MESSAGE:
            clean_message(value[key], clean, where)
        elif inner.type in (inner.TYPE_STRING, inner.TYPE_BYTES):
            value[key] = clean(value[key], where)


def _several(value: Any, clean: Clean, where: str) -> None:
    masked = [clean(each, where) for each in value]
    if any(new is not old for new, old in zip(masked, value, strict=True)):
        value[:] = masked


def _is_repeated(field: Any) -> bool:
    return bool(field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED)


def _is_map(field: Any) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)
