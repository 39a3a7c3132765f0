"""Secrets that nobody told us of, by their shape: tokens of providers, private keys, passwords in connection strings.

The rules are kingfisher's, and `rules.yml` beside this file. It works in this process and opens no connection: what it finds is never tried
at its provider, so nobody learns that a secret was found.

What is told of a finding is its place and its rule, never its text.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ml_secrets.errors import Unsupported
from ml_secrets.sensitive import Masked

if TYPE_CHECKING:
    import kingfisher_sdk

_RULES: Final = Path(__file__).with_name("rules.yml")
_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


class Finding(NamedTuple):
    """Bytes `start` to `end` look like a secret.

    rule: the rule's id. certain: a rule that seldom errs.
    part: what is a secret only beside others, as an AWS secret key is beside its id; they may not be there.
    """

    start: int
    end: int
    rule: str
    certain: bool
    part: bool


class Patterns(Masked):
    """The rules, made ready. That takes seconds, or a third of one when kingfisher has kept them from the last time.

    keep: let kingfisher keep its compiled rules in the user's cache folder. No secret is in them.
    """

    __slots__ = ("_scanner",)

    def __init__(self, *, keep: bool = True) -> None:
        self._scanner = _scanner(keep=keep)

    def find(self, data: bytes) -> list[Finding]:
        """What looks like a secret, in order of its start. Bytes are taken as UTF-8, and need not be."""
        before = b"\n" if data.startswith(_MARKS) else b""  # or it would decode, and count in what came out
        found = (_finding(each, len(before)) for each in self._scanner.scan(before + data))
        return sorted(found)


def _finding(each: kingfisher_sdk.Finding, before: int) -> Finding:
    place = each.location
    return Finding(
        place["start_offset"] - before,
        place["end_offset"] - before,
        each.rule_id,
        each.confidence == "high",
        not each.visible,
    )


def _scanner(*, keep: bool) -> kingfisher_sdk.Scanner:
    try:
        import kingfisher_sdk  # noqa: PLC0415 - comes with the extra `detect`
    except ImportError:
        raise Unsupported(
            "unknown secrets cannot be looked for: kingfisher-secret-scanner is not installed",
            hint="pip install 'ml-secrets[detect]'",
        ) from None
    return kingfisher_sdk.Scanner(kingfisher_sdk.Rules([_RULES], cache=keep))
