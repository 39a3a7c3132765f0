"""Where IPython and its kernel let a value out, and the guards there.

messages    all that a front end gets: results, errors, streams, widgets and their buffers, completions, inspections
formats     what a result or `display` looks like: `%logstart -o`, `%history -o` and the database of outputs keep it
history     what `%notebook FILE` writes: streams and errors, too
pipes       what child processes and C libraries print: it comes in pieces, and the kernel gives a copy of it to the server's own
            output, where logs are made of it. The notebook gets it masked, and the server no copy
"""

from __future__ import annotations

import inspect
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.redaction.guards.streams import Text
from ml_secrets.redaction.installed import CLEAN
from ml_secrets.redaction.leaks import Clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.redaction.patches import Patches

_WHERE: Final = "the notebook"
_COPY: Final = "_original_stdstream_copy"
_PIPE: Final = "_original_stdstream_fd"
_MASKING: Final = Clean()
"""Whatever the mode is: nobody could catch what is raised in the thread that reads a pipe, and the child would wait for it for ever."""


def guard(shell: Any, patches: Patches) -> None:
    """Put them on, as far as this is a kernel."""
    patches.around(shell.display_formatter, "format", _formatted)
    patches.around(
        shell.history_manager, "get_range", lambda ask, *args, **named: _ranged(shell, ask(*args, **named))
    )
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return
    patches.swap(kernel.session, "send", _sending(kernel.session.send))
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        stream = stream._stream if isinstance(stream, Text) else stream  # noqa: SLF001 - ours
        if hasattr(stream, _COPY) and hasattr(stream, _PIPE):
            _guard_pipe(shell, stream, name, patches)


# ── messages ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _sending(send: Callable[..., Any]) -> Callable[..., Any]:
    """Every message to a front end passes `Session.send(stream, type or message, content, …)`."""
    signature = inspect.signature(send)

    def sending(*args: Any, **named: Any) -> Any:
        given = signature.bind(*args, **named)
        for name in ("content", "metadata", "buffers"):
            if given.arguments.get(name) is not None:
                given.arguments[name] = _clean(given.arguments[name])
        message = given.arguments["msg_or_type"]
        if isinstance(message, dict):
            inner = {name: _clean(message[name]) for name in ("content", "metadata") if name in message}
            given.arguments["msg_or_type"] = {**message, **inner}
        return send(*given.args, **given.kwargs)

    return sending


def _clean(thing: Any) -> Any:
    if isinstance(thing, list | tuple) and any(isinstance(part, memoryview) for part in thing):
        thing = [bytes(part) if isinstance(part, memoryview) else part for part in thing]
    return CLEAN(thing, _WHERE, may_raise=False)


# ── what is kept ────────────────────────────────────────────────────────────────────────────────────────────────────


def _formatted(form: Callable[..., Any], *args: Any, **named: Any) -> Any:
    return _clean(form(*args, **named))


def _ranged(shell: Any, lines: Any) -> Any:
    """Whoever asks for the history finds its outputs clean: `%notebook` does, before it writes them."""
    for kept in (getattr(shell.history_manager, name, None) for name in ("outputs", "exceptions")):
        if kept:
            kept.update(_clean(dict(kept)))
    return lines


# ── pipes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Behind:
    """A stream's own ways in, for a guard that stands in front of them."""

    def __init__(self, stream: Any) -> None:
        self.write, self.flush = stream.write, stream.flush


def _guard_pipe(shell: Any, stream: Any, name: str, patches: Patches) -> None:
    """`fileno` is the copy, too, which goes past the kernel: a child that is given it writes into the pipe from now on."""
    masked = Text(_Behind(stream), _MASKING, f"sys.{name}")
    patches.swap(stream, "flush", masked.flush)
    patches.swap(stream, "fileno", lambda: getattr(stream, _PIPE))
    patches.swap(stream, _COPY, os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
    write = masked.write

    def stand(*_: Any) -> None:
        """IPython has put back, after the cell in which we were loaded, what it found before it."""
        if patches.on and stream.write is not write:
            patches.swap(stream, "write", write)

    stand()
    shell.events.register("pre_run_cell", stand)
