"""`logging`: messages, arguments, extras and exceptions of every record, on its way through any logger and into any handler.

It stands in `Logger.handle` and `Handler.handle`, where every record passes, so handlers, filters and formatters that are added later change
nothing. A record that holds a value is not changed: a copy goes on in its stead.
"""

from __future__ import annotations

import copy
import logging
from operator import is_
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from ml_secrets.redaction.exceptions import stand_in, text_of
from ml_secrets.redaction.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.redaction.leaks import Clean

_SCALARS: Final = frozenset((str, int, float, bool, type(None)))
_SEEN: Final[WeakKeyDictionary[logging.LogRecord, tuple[Any, ...]]] = WeakKeyDictionary()
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def guard(clean: Clean) -> Callable[[], None]:
    """Put it on; gives what takes it off."""
    patches = Patches()

    def handle(original: Any, place: Any, record: logging.LogRecord) -> Any:
        return original(place, cleaned(record, clean))

    patches.around(logging.Logger, "handle", handle)
    patches.around(logging.Handler, "handle", handle)
    return patches.take_off


def cleaned(record: logging.LogRecord, clean: Clean) -> logging.LogRecord:
    """The record, or a copy without known values."""
    added = vars(record).keys() - _OWN
    extra = {name: vars(record)[name] for name in added}
    if _is_plain(record, extra) and _holds_none(record, extra, clean):
        return record
    return _looked_through(record, extra, clean, f"the log {record.name!r}")


def _is_plain(record: logging.LogRecord, extra: dict[str, Any]) -> bool:
    """Is it made of texts and numbers alone, as most are?"""
    if record.exc_info or record.exc_text or record.stack_info or not isinstance(record.args or (), tuple):
        return False
    return all(type(each) in _SCALARS for each in (record.msg, *(record.args or ()), *extra.values()))


def _holds_none(record: logging.LogRecord, extra: dict[str, Any], clean: Clean) -> bool:
    """One look at all of it. At what was looked at on its way to another handler, and is the same still, none."""
    parts = (record.msg, *(record.args or ()), *extra.values())
    seen = _SEEN.get(record)
    if seen is not None and len(seen) == len(parts) and all(map(is_, seen, parts)):
        return True
    try:
        text = "\0".join([record.getMessage(), *map(str, parts)])
    except Exception:  # noqa: BLE001 - the handler will meet it again, and say so
        return False
    if clean.names_in(text.encode("utf-8", "surrogatepass")):
        return False
    _SEEN[record] = parts
    return True


def _looked_through(
    record: logging.LogRecord, extra: dict[str, Any], clean: Clean, where: str
) -> logging.LogRecord:
    parts = (record.msg, record.args, record.stack_info, extra)
    new = clean(parts, where)
    if new is not parts:
        record = copy.copy(record)
        record.msg, record.args, record.stack_info = new[:3]
        vars(record).update(new[3])
    record = _whole(record, clean, where)
    return _with_exception(record, clean, where) if record.exc_info or record.exc_text else record


def _whole(record: logging.LogRecord, clean: Clean, where: str) -> logging.LogRecord:
    """What is known only once message and arguments are joined: an object that prints a value, a value in two arguments."""
    if isinstance(record.msg, str) and not record.args:
        return record
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 - the handler will meet it again, and say so
        return record
    masked = clean(text, where)
    if masked is text:
        return record
    record = copy.copy(record)
    record.msg, record.args = masked, ()
    return record


def _with_exception(record: logging.LogRecord, clean: Clean, where: str) -> logging.LogRecord:
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    text = record.exc_text or ("" if error is None else text_of(error).rstrip("\n"))
    masked = clean(text, where)
    if masked is text:
        return record
    record = copy.copy(record)
    record.exc_text = masked
    if error is not None:
        new = stand_in(error, lambda thing: clean(thing, where))
        record.exc_info = (type(new), new, error.__traceback__)
    return record
