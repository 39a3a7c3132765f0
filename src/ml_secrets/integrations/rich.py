"""rich: what a console prints, and tracebacks with locals.

Text is looked through before it is wrapped, coloured and cut off: afterwards a value would be in pieces.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ml_secrets.redaction.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.redaction.leaks import Clean

_WHERE = "rich"


def guard(clean: Clean) -> Callable[[], None]:
    """Put it on; gives what takes it off."""
    patches = Patches()

    def printed(original: Any, console: Any, *things: Any, **kwargs: Any) -> Any:
        return original(console, *(_plain(clean(each, _WHERE), clean) for each in things), **kwargs)

    for name in ("print", "log", "rule", "print_json"):
        patches.around(sys.modules["rich.console"].Console, name, printed)

    def walked(
        original: Any, thing: Any, max_length: Any = None, max_string: Any = None, max_depth: Any = None
    ) -> Any:
        node = original(thing, max_length=max_length, max_string=None, max_depth=max_depth)
        _nodes(node, clean, max_string)
        return node

    def extracted(original: Any, kind: Any, *args: Any, **kwargs: Any) -> Any:
        trace = original(kind, *args, **kwargs)
        for stack in trace.stacks:
            stack.exc_value = clean(stack.exc_value, _WHERE, may_raise=False)
            stack.notes = clean(getattr(stack, "notes", []), _WHERE, may_raise=False)
        return trace

    patches.around(import_module("rich.pretty"), "traverse", walked)
    patches.around(import_module("rich.traceback").Traceback, "extract", extracted)
    return patches.take_off


def _plain(thing: Any, clean: Clean) -> Any:
    """A `Text` that holds a value loses its styles with it."""
    text = sys.modules["rich.text"].Text
    if not isinstance(thing, text):
        return thing
    masked = clean(thing.plain, _WHERE)
    return thing if masked is thing.plain else text(masked)


def _nodes(node: Any, clean: Clean, most: int | None) -> None:
    """Texts of a walked object: masked whole, then cut off as rich would have."""
    for name in ("key_repr", "value_repr"):
        text = clean(getattr(node, name), _WHERE, may_raise=False)
        if most is not None and name == "value_repr" and len(text) > most + 2 and text[:1] in "'\"b":
            text = f"{text[: most + 1]}{text[-1]}+{len(text) - most - 2}"
        setattr(node, name, text)
    for child in node.children or ():
        _nodes(child, clean, most)
