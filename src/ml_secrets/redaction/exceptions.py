"""Exceptions that hold a value, and what is shown in their stead.

An exception is never changed: the program may be about to handle it. A stand-in has its type's name, its text without known values, its
notes, its causes (each a stand-in where need be) and its traceback.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class StandIn(Exception):  # noqa: N818 - it takes the name of another
    """Shown instead of an exception whose text holds a value."""


def stand_in(error: BaseException, redact: Callable[[Any], Any]) -> BaseException:
    """The error itself if neither it nor any cause of it holds a known value; else one that does not."""
    return _of(error, redact, {}) or error


def text_of(error: BaseException) -> str:
    """As the interpreter prints it, chain and all."""
    return "".join(traceback.format_exception(error))


def _of(error: BaseException, redact: Callable[[Any], Any], seen: dict[int, Any]) -> BaseException | None:
    """None where nothing is to be replaced."""
    if id(error) in seen:
        return None
    seen[id(error)] = True
    chain = {
        name: (before, _of(before, redact, seen) if before is not None else None)
        for name in ("__cause__", "__context__")
        for before in [getattr(error, name)]
    }
    inner = [
        (each, _of(each, redact, seen))
        for each in getattr(error, "exceptions", ())
        if isinstance(each, BaseException)
    ]
    shown, notes = _text(error), list(getattr(error, "__notes__", ()))
    masked = redact([shown, list(error.args), notes])
    if masked == [shown, list(error.args), notes] and not any(new for _, new in (*chain.values(), *inner)):
        return None
    made = _made(error, masked[0], [new or old for old, new in inner])
    for name, (old, new) in chain.items():
        setattr(made, name, new or old)
    made.__suppress_context__ = error.__suppress_context__
    if notes:
        made.__notes__ = masked[2]
    return made.with_traceback(error.__traceback__)


def _made(error: BaseException, text: str, inner: list[BaseException]) -> BaseException:
    kind = type(error)

    def show(_: BaseException) -> str:
        return text

    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__str__": show}
    if inner:
        return type(kind.__name__, (BaseExceptionGroup,), names)(text, inner)  # type: ignore[no-any-return]
    return type(kind.__name__, (StandIn,), names)(text)  # type: ignore[no-any-return]


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception of the caller's may not even print
        return "<it does not print>"
