"""Randomness of the operating system. Whoever needs some is handed `random`, so that tests can hand over their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def random(size: int) -> bytes:
    """`size` bytes from the kernel's generator. A fork or a restored machine does not repeat them."""
    return os.urandom(size)


def uuid(random: Callable[[int], bytes]) -> str:
    """A random UUID (version 4) as text."""
    text = random(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"
