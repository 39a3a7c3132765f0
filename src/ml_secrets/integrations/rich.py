"""rich: what a console prints, and tracebacks with locals.

Text is looked through where all of it passes, in tables and panels too, before it is wrapped, coloured and cut off: afterwards a value
would be in pieces.
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
    _texts(patches, clean)

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


def _texts(patches: Patches, clean: Clean) -> None:
    console, text = sys.modules["rich.console"].Console, import_module("rich.text").Text

    def printed(original: Any, it: Any, *things: Any, **kwargs: Any) -> Any:
        return original(it, *(x if isinstance(x, str) else clean(x, _WHERE) for x in things), **kwargs)

    def logged(original: Any, it: Any, *things: Any, _stack_offset: int = 1, **kwargs: Any) -> Any:
        """It tells the line that it was called from, which is above our frames."""
        return printed(original, it, *things, _stack_offset=_stack_offset + 3, **kwargs)

    def marked_up(original: Any, it: Any, source: str, **kwargs: Any) -> Any:
        """The mask is no markup, though it looks like it. So what else there is of that shows as it was written."""
        masked = clean(source, _WHERE)
        return original(it, masked, **(kwargs if masked is source else {**kwargs, "markup": False}))

    def rendered(original: Any, it: Any, *args: Any) -> Any:
        """A text that holds a value loses its styles with it."""
        plain = it.plain
        masked = clean(plain, _WHERE)
        return original(it if masked is plain else it.blank_copy(masked), *args)

    patches.around(console, "print", printed)
    patches.around(console, "log", logged)
    patches.around(console, "render_str", marked_up)
    patches.around(text, "__rich_console__", rendered)


def _nodes(node: Any, clean: Clean, most: int | None) -> None:
    """Texts of a walked object: masked whole, then cut off as rich would have."""
    for name in ("key_repr", "value_repr"):
        text = clean(getattr(node, name), _WHERE, may_raise=False)
        if most is not None and name == "value_repr" and len(text) > most + 2 and text[:1] in "'\"b":
            text = f"{text[: most + 1]}{text[-1]}+{len(text) - most - 2}"
        setattr(node, name, text)
    for child in node.children or ():
        _nodes(child, clean, most)
