"""What the interpreter prints when nobody caught an exception: in the main thread, in another, in a destructor.

A hook that was there before is called, with a stand-in for the exception. One that comes later and does not call ours prints
to standard error, where the guard of the streams stands.
"""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ml_secrets.redaction.exceptions import stand_in, text_of
from ml_secrets.redaction.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.redaction.leaks import Clean


def guard(clean: Clean) -> Callable[[], None]:
    """Put it on; gives what takes it off."""

    def quiet(thing: Any) -> Any:
        return clean(thing, "a traceback", may_raise=False)

    patches = Patches()
    patches.swap(sys, "excepthook", _main(sys.excepthook, quiet))
    patches.swap(threading, "excepthook", _thread(threading.excepthook, quiet))
    patches.swap(sys, "unraisablehook", _unraisable(sys.unraisablehook, quiet))
    return patches.take_off


def _main(before: Any, quiet: Callable[[Any], Any]) -> Callable[..., None]:
    def excepthook(kind: Any, error: Any, trace: Any) -> None:
        text = _text(error)
        masked = quiet(text)
        if masked is text:
            before(kind, error, trace)
        elif before is sys.__excepthook__:
            _print(masked)
        else:
            new = stand_in(error, quiet)
            before(type(new), new, trace)

    return excepthook


def _thread(before: Any, quiet: Callable[[Any], Any]) -> Callable[[Any], None]:
    def excepthook(args: Any) -> None:
        text = _text(args.exc_value)
        masked = quiet(text)
        if masked is text or args.exc_type is SystemExit:
            before(args)
        elif before is threading.__excepthook__:
            _print(f"Exception in thread {args.thread.name if args.thread else '?'}:\n{masked}")
        else:
            new = stand_in(args.exc_value, quiet)
            before(threading.ExceptHookArgs((type(new), new, args.exc_traceback, args.thread)))

    return excepthook


def _unraisable(before: Any, quiet: Callable[[Any], Any]) -> Callable[[Any], None]:
    def unraisablehook(args: Any) -> None:
        text = f"{args.err_msg or 'Exception ignored in'}: {args.object!r}\n{_text(args.exc_value)}"
        masked = quiet(text)
        if masked is text:
            before(args)
        elif before is sys.__unraisablehook__:
            _print(masked)
        else:
            new = stand_in(args.exc_value, quiet)
            told = {"exc_type": type(new), "exc_value": new, "exc_traceback": args.exc_traceback}
            before(SimpleNamespace(**told, err_msg=quiet(args.err_msg), object=quiet(repr(args.object))))

    return unraisablehook


def _text(error: BaseException | None) -> str:
    return "" if error is None else text_of(error)


def _print(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()
