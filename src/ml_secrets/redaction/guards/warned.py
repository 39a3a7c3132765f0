"""`warnings`: the text of a warning, wherever it is shown, logged or recorded."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ml_secrets.redaction.exceptions import stand_in
from ml_secrets.redaction.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.redaction.leaks import Clean


def guard(clean: Clean) -> Callable[[], None]:
    """Put it on; gives what takes it off."""
    patches = Patches()

    def show(original: Any, told: warnings.WarningMessage) -> None:
        text = str(told.message)
        masked = clean(text, "a warning", may_raise=False)
        if masked is not text:
            told.message = _like(told.message, masked)
        original(told)

    # what warnings are shown by, whatever `showwarning` is
    patches.around(warnings, "_showwarnmsg", show)
    return patches.take_off


def _like(message: Any, masked: str) -> Any:
    return (
        masked
        if isinstance(message, str)
        else stand_in(message, lambda parts: [masked, [masked], *parts[2:]])
    )
