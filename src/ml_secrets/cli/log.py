"""The log of what stays: lines on stderr, each with its moment. A disk that is full, or a reader that has gone, ends nothing."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ml_secrets.cli import output

if TYPE_CHECKING:
    from collections.abc import Callable


def log_of(command: str) -> Callable[[str], None]:
    """What writes a line in the name of a command. What is told stays one line, whatever is in it."""

    def tell(text: str) -> None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = output.visible(text).replace("\n", "\\n")
        with suppress(OSError):
            os.write(2, f"{moment} ml-secrets {command}: {line}\n".encode())

    return tell
