"""A step of a workflow: its runner is told what to mask, by `::add-mask::`, which the runners of GitHub, Gitea and Forgejo take.

They go by lines, and look for encodings themselves, so each line of a value is told by itself. What `rule` leaves in clear is left out
here, too: with `true` masked no log could be read. It is said on stderr, which runners read as they read stdout, so that what a
command prints may go to another one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ml_secrets.detect.rule import lines_by_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ml_secrets.sensitive import Sensitive


def in_a_step(environ: Mapping[str, str]) -> bool:
    """Is there a runner that reads what is printed here?"""
    return environ.get("GITHUB_ACTIONS") == "true"


def add_masks(values: Iterable[Sensitive]) -> None:
    """Tell the runner. Only where `in_a_step`: elsewhere this prints the values."""
    told = memoryview(masks_of(values))
    while told:
        told = told[os.write(2, told) :]


def masks_of(values: Iterable[Sensitive]) -> bytes:
    """What it is told."""
    lines = dict.fromkeys(line for value in values for line in lines_by_rule(value.reveal_bytes()))
    return b"".join(b"::add-mask::%b\n" % line.replace(b"%", b"%25") for line in lines)
