"""Ways in which a request is made hostile: each changes one thing that two readers of HTTP, paths or JSON may see differently.

A change has a name, which the request then carries; the intended differences are told by these names.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.conformance.vault.generated.scenes import Made

VERBS: Final = (
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "LIST",
    "SCAN",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "get",
    "NONSENSE",
)


def verb(dice: Random, made: Made) -> None:
    """Another verb, known or not."""
    made.method = dice.choice([name for name in VERBS if name != made.method])


def who(dice: Random, made: Made) -> None:
    """Somebody else, or nobody."""
    made.who = dice.choice(["none", "unknown", "empty"])


def path(dice: Random, made: Made) -> None:
    """A path that could be cleaned, decoded twice, or cut."""
    plain, mark, query = made.path.partition("?")
    parts = plain.split("/")
    at = dice.randrange(1, len(parts) + 1)
    piece = dice.choice(
        ["", ".", "..", "%2e%2e", "..%2f", "%2F", "%00", "%0a", "%ff", "%c0%ae", "%252e%252e", "%zz", "%", "%E2%80%8B", "cafe%CC%81", "%20", "%09"]
    )  # fmt: skip
    made.path = "/".join([*parts[:at], piece, *parts[at:]]) + mark + query


def case(dice: Random, made: Made) -> None:
    """Capital letters in one segment."""
    plain, mark, query = made.path.partition("?")
    parts = plain.split("/")
    at = dice.randrange(len(parts))
    parts[at] = parts[at].swapcase() if "{" not in parts[at] and "%" not in parts[at] else parts[at]
    made.path = "/".join(parts) + mark + query


def query(dice: Random, made: Made) -> None:
    """A parameter more, perhaps twice or broken."""
    more = dice.choice(
        [
            "unused=1",
            "version=1&version=2",
            "list=true&list=false",
            "%zz",
            "a=%ff",
            "=",
            "&&",
            "a;b",
            "version=%31",
        ]
    )
    made.path += ("&" if "?" in made.path else "?") + more


def header(dice: Random, made: Made) -> None:
    """A header that a proxy or a browser would send, or one with an odd value."""
    name, value = dice.choice(
        [
            ("X-Vault-Request", "false"), ("X-Vault-Wrap-TTL", "60"), ("X-Vault-Wrap-TTL", "nonsense"), ("X-Vault-Wrap-TTL", ""),
            ("X-Vault-Namespace", "nothing"), ("X-Forwarded-For", "10.0.0.1"), ("Accept-Encoding", "gzip"), ("Origin", "https://example.org"),
            ("Content-Type", "application/x-www-form-urlencoded"), ("Content-Type", "multipart/form-data; boundary=x"), ("Content-Encoding", "gzip"),
            ("If-Match", "*"), ("Range", "bytes=0-1"), ("X-HTTP-Method-Override", "DELETE"), ("X-Vault-MFA", "a:b"), ("Cookie", "a=b"),
        ]
    )  # fmt: skip
    made.headers = made.headers | {name: value}


def body(dice: Random, made: Made) -> None:
    """Bytes that are not one JSON object, or not the same one for everybody."""
    text = made.body or "{}"
    made.body = dice.choice(
        [
            "", "null", "[]", "true", "5", '"text"', "{", text[:-1], text + " trailing", text + text, "\ufeff" + text, "  " + text + "\n", "'" + text + "'",
            '{"a":NaN}', '{"a":Infinity}', '{"a":1e400}', '{"a":"\\ud800"}', '{"a":"\udcff"}', '{"a":01}', '{"a":1,}', '{"a":"\t"}', "a=b&c=d", "<a/>",
            '{"a":1,"a":2}', "[" * 600 + "]" * 600, '{"a":' * 700 + "1" + "}" * 700, '{"list":[' + ",".join(['"x"'] * 1200) + "]}", "{/**/}", '{"a":"\\x41"}',
        ]
    )  # fmt: skip


def field(dice: Random, made: Made) -> None:
    """One field more, doubled, or with the first letter large."""
    try:
        fields = json.loads(made.body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not fields:
        return
    name = dice.choice(list(fields))
    more = dice.choice(["unknown", name.upper(), name.capitalize(), name + " "])
    made.body = made.body.rstrip().removesuffix("}") + f",{json.dumps(more)}:{json.dumps(fields[name])}}}"


SPOILERS: Final[tuple[Callable[[Random, Made], None], ...]] = (
    verb,
    who,
    path,
    case,
    query,
    header,
    body,
    field,
)
