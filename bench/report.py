"""One part of DELIVERY.md at a time: each measure writes its own section, and leaves the others as they are."""

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

DELIVERY = Path(__file__).parent / "DELIVERY.md"
_TITLE = "# Delivery, measured\n\nEach section is written by the program that it names. These machines are shared and noisy: read figures with that in mind.\n"


def write(heading, text):
    """Put this section, from its heading to the next one, into DELIVERY.md."""
    old = DELIVERY.read_text() if DELIVERY.exists() else _TITLE
    section = f"## {heading}\n\n{text.strip()}\n"
    found = re.compile(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    new = found.sub(lambda _: section + "\n", old) if found.search(old) else f"{old.rstrip()}\n\n{section}"
    DELIVERY.write_text(new.rstrip() + "\n")
    print(f"wrote {heading!r} into {DELIVERY.name}")


def here():
    """What and when this was: for the first line of a section."""
    busy = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"{busy:.1f} processes busy as it ended"
    )
