"""Password policies: what their text means, and passwords that follow them.

    length = 20
    rule "charset" { charset = "abcdefghijklmnopqrstuvwxyz" }
    rule "charset" {
      charset   = "0123456789"
      min-chars = 2
    }

Every password of that length, out of the characters of all rules together, that has each rule's least number of its own, is
as likely as any other: one is drawn, and drawn anew until it follows the rules. A policy that few passwords follow is
refused when it is written, and so is a key that is not known: passed over, it would make weaker passwords than were asked for.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ml_secrets.domain import hcl
from ml_secrets.domain.hcl import Item, Table, failure
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHORTEST: Final = 4
_LONGEST: Final = 100
_MOST_CHARACTERS: Final = 256
_TRIES_WHEN_WRITTEN: Final = 100
_TRIES: Final = 10_000
_FORM: Final = 'write: length = 20, and rule "charset" { charset = "abc" }'


class Charset(NamedTuple):
    """At least `least` of a password's characters are among these."""

    characters: frozenset[str]
    least: int


class PasswordPolicy(NamedTuple):
    """How long a password is, and of what."""

    length: int
    charsets: tuple[Charset, ...]


def parse_password_policy(text: str) -> PasswordPolicy:
    """Read HCL or JSON. Raises `Invalid` for anything not understood, and for what makes no passwords."""
    try:
        table = hcl.read(text)
    except hcl.Unreadable as error:
        raise Invalid(f"invalid password policy: {error.place}", hint=_FORM) from None
    try:
        policy = _policy(table)
    except hcl.Unreadable as error:
        raise Invalid(f"invalid password policy: {error.place}", hint=error.hint) from None
    _check(policy)
    return policy


def check_likely(policy: PasswordPolicy, random: Callable[[int], bytes]) -> None:
    """Raises `Invalid` for a policy that hardly a password follows: `generate` would search too long."""
    if _drawn(policy, random, _TRIES_WHEN_WRITTEN) is None:
        raise Invalid(
            "invalid password policy: hardly a password follows all its rules",
            hint="ask for fewer min-chars, or give those characters a larger part in the whole",
        )


def generate(policy: PasswordPolicy, random: Callable[[int], bytes]) -> str:
    """A new password."""
    password = _drawn(policy, random, _TRIES)
    if password is None:
        raise Invalid(
            "no password was found that follows the policy", hint="ask again, or for fewer min-chars"
        )
    return password


# ── what it is ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _policy(table: Table) -> PasswordPolicy:
    lengths: list[int] = []
    charsets: list[Charset] = []
    for item in table:
        if item.key == "rule":
            charsets += [_charset(body) for body in _bodies(item)]
        elif item.key == "length" and not item.labels and not lengths:
            lengths.append(_number(item))
        else:
            raise failure(item.line, "a policy has one length, and rules", hint=_FORM)
    return PasswordPolicy(lengths[0] if lengths else 0, tuple(charsets))


def _bodies(item: Item) -> list[Table]:
    """`rule "charset" {…}`; in JSON {"rule": {"charset": {…}}}, with lists where there are several."""
    inner = [Item(*item.labels, (), item.value, item.line)] if len(item.labels) == 1 else []
    if not item.labels and not item.line:
        inner = [part for table in _tables(item) for part in table]
    if not inner or any(part.key != "charset" for part in inner):
        raise failure(item.line, "there is one kind of rule", hint=_FORM)
    return [body for part in inner for body in _tables(part)]


def _tables(item: Item) -> list[Table]:
    found = item.value if isinstance(item.value, list) and not isinstance(item.value, Table) else [item.value]
    if not all(isinstance(table, Table) for table in found):
        raise failure(item.line, "a rule has a body in braces", hint=_FORM)
    return found


def _charset(body: Table) -> Charset:
    found: dict[str, Any] = {}
    for item in body:
        if item.labels or item.key not in ("charset", "min-chars") or item.key in found:
            raise failure(item.line, "a rule has one charset, and min-chars", hint=_FORM)
        found[item.key] = _number(item) if item.key == "min-chars" else _characters(item)
    return Charset(found.get("charset", frozenset()), found.get("min-chars", 0))


def _number(item: Item) -> int:
    if type(item.value) is not int or item.value < 0:
        raise failure(item.line, f"{item.key} is a whole number, 0 or more")
    return item.value


def _characters(item: Item) -> frozenset[str]:
    if not isinstance(item.value, str) or not item.value.isprintable():
        raise failure(item.line, "a charset is a text of characters that can be printed")
    return frozenset(item.value)


def _check(policy: PasswordPolicy) -> None:
    if not policy.charsets or not all(charset.characters for charset in policy.charsets):
        raise Invalid("invalid password policy: no charset specified", hint=_FORM)
    if not _SHORTEST <= policy.length <= _LONGEST:
        raise Invalid(
            f"passwords must be between {_SHORTEST} and {_LONGEST} characters", hint="set the length"
        )
    if len(_all(policy)) > _MOST_CHARACTERS:
        raise Invalid(f"invalid password policy: it has more than {_MOST_CHARACTERS} different characters")
    least = sum(charset.least for charset in policy.charsets)
    if least > policy.length:
        raise Invalid(
            f"invalid password policy: the rules ask for {least} characters, and the length is {policy.length}"
        )


# ── what follows it ─────────────────────────────────────────────────────────────────────────────────────────────────


def _all(policy: PasswordPolicy) -> str:
    return "".join(sorted(frozenset().union(*(charset.characters for charset in policy.charsets))))


def _drawn(policy: PasswordPolicy, random: Callable[[int], bytes], tries: int) -> str | None:
    characters = _all(policy)
    draws = _below(len(characters), random)
    for _ in range(tries):
        password = "".join(characters[index] for index in islice(draws, policy.length))
        if all(
            sum(letter in charset.characters for letter in password) >= charset.least
            for charset in policy.charsets
        ):
            return password
    return None


def _below(count: int, random: Callable[[int], bytes]) -> Iterator[int]:
    """Numbers below `count`, each as likely: bytes that would make the small ones likelier are thrown away."""
    end = 256 - 256 % count
    while True:
        yield from (byte % count for byte in random(256) if byte < end)
