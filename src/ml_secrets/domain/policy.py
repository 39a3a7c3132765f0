"""Policies: what their text means. Parsed once, when written; the parsed form is stored and enforced.

    path "secret/data/team-a/*" {
      capabilities        = ["create", "update"]
      allowed_parameters  = { "data" = [], "ttl" = ["1h", "2*"] }
      denied_parameters   = { "options" = [] }
      required_parameters = ["data"]
      min_wrapping_ttl    = "1m"
      max_wrapping_ttl    = "1h"
    }

Where a key would narrow a right and this server does not enforce it (expiration, pagination_limit, mfa_methods,
control_group ...), the policy is refused: accepting it in silence would give more than was written.
A pattern with a template ({{identity...}}) is accepted; as there is no identity to fill it in, such a rule matches
nothing, and if it denies, it denies whatever the template could stand for (see acl.py).
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.domain.capability import Capability
from ml_secrets.domain.duration import parse_duration
from ml_secrets.domain.hcl import Item, Table, failure, read
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LEGACY: Final = {
    "deny": (Capability.DENY,),
    "read": (Capability.READ, Capability.LIST),
    "write": (Capability.CREATE, Capability.READ, Capability.UPDATE, Capability.DELETE, Capability.LIST),
    "sudo": (
        Capability.CREATE,
        Capability.READ,
        Capability.UPDATE,
        Capability.DELETE,
        Capability.LIST,
        Capability.SUDO,
    ),
}
_KNOWN: Final = frozenset(map(str, Capability))
_NOT_ENFORCED: Final = (
    "expiration",
    "pagination_limit",
    "list_scan_response_keys_filter_path",
    "mfa_methods",
    "control_group",
    "subscribe_event_types",
)
_LONGEST_PATTERN: Final = 1024


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One `path` rule as written. Parameter values are texts (1 and true are "1" and "true"); [] means any value.

    Wrapping bounds in seconds, 0 means none. `line` is where it stands in the text, 0 when not known.
    """

    pattern: str
    capabilities: tuple[Capability, ...] = ()
    allowed: dict[str, tuple[str, ...]] = {}
    denied: dict[str, tuple[str, ...]] = {}
    required: tuple[str, ...] = ()
    min_wrapping_ttl: int = 0
    max_wrapping_ttl: int = 0
    line: int = 0

    @property
    def denies(self) -> bool:
        """Takes away everything on its pattern."""
        return Capability.DENY in self.capabilities

    @property
    def templated(self) -> bool:
        """Has a template in its pattern."""
        return "{{" in self.pattern


class Policy(msgspec.Struct, frozen=True):
    """A named list of rules, in the order they were written."""

    name: str
    rules: tuple[Rule, ...] = ()


def parse_policy(name: str, text: str) -> Policy:
    """Read HCL or JSON. Raises `Invalid` ("failed to parse policy: line 3: ...") for anything not understood."""
    built_in = _BUILT_IN_POLICIES.get(name)
    if built_in is not None and text == BUILT_IN[name]:
        return built_in
    return Policy(name, tuple(_rules(read(text))))


def _rules(table: Table) -> Iterator[Rule]:
    for item in table:
        if item.key == "path":
            yield from _path_rules(item)
        elif item.key != "name" or item.labels:
            raise failure(item.line, f"unknown key {_shown(item.key)}", hint="a policy is made of path rules")


def _path_rules(item: Item) -> Iterator[Rule]:
    if len(item.labels) == 1 and isinstance(item.value, Table):
        yield _rule(item.labels[0], item.value, item.line)
        return
    tables = (
        item.value if isinstance(item.value, list) and not isinstance(item.value, Table) else [item.value]
    )
    in_json = not item.labels and not item.line
    if not (in_json and all(isinstance(table, Table) for table in tables)):
        raise failure(item.line, "a path rule has one path in quotes and a body in braces")
    for table in tables:
        for inner in table:
            if not isinstance(inner.value, Table):
                raise failure(inner.line, "a path rule has one path in quotes and a body in braces")
            yield _rule(inner.key, inner.value, inner.line)


def _rule(pattern: str, body: Table, line: int) -> Rule:
    found: dict[str, Any] = {}
    capabilities: tuple[Capability, ...] = ()
    for item in body:
        if item.labels or item.key in found:
            text = (
                f"{_shown(item.key)} is given twice"
                if item.key in found
                else f"{_shown(item.key)} is not understood"
            )
            raise failure(item.line, text)
        found[item.key] = None
        if item.key in ("capabilities", "policy"):
            capabilities += _READ[item.key](item)
        elif item.key in _READ:
            found[item.key] = _READ[item.key](item)
        else:
            _refuse_or_ignore(item)
    found = {_NAMES[key]: value for key, value in found.items() if value is not None}
    _check_wrapping(found, line)
    return Rule(
        pattern=_pattern(pattern, line), capabilities=tuple(dict.fromkeys(capabilities)), line=line, **found
    )


def _refuse_or_ignore(item: Item) -> None:
    if item.key == "comment":
        return
    if item.key in _NOT_ENFORCED:
        if item.value in ("", 0, []):
            return
        raise failure(
            item.line,
            f"{item.key} is not enforced by this server",
            hint="leave it out, and limit the right in another way",
        )
    raise failure(
        item.line,
        f"unknown key {_shown(item.key)}",
        hint=f"one of capabilities, {', '.join(_NAMES)}, comment",
    )


def _check_wrapping(found: dict[str, Any], line: int) -> None:
    least, most = found.get("min_wrapping_ttl", 0), found.get("max_wrapping_ttl", 0)
    if most and least > most:
        raise failure(line, "max_wrapping_ttl cannot be less than min_wrapping_ttl")


def _pattern(text: str, line: int) -> str:
    pattern = text.removeprefix("/")
    if len(pattern) > _LONGEST_PATTERN:
        raise failure(line, "the path is too long")
    if "+*" in pattern:
        raise failure(
            line,
            "invalid use of wildcards ('+*' is forbidden)",
            hint="'+' stands for one whole segment; write '+/*' or '*'",
        )
    if pattern.count("{{") != pattern.count("}}") or "}}" in pattern.split("{{", 1)[0]:
        raise failure(line, "unbalanced templating characters")
    if not pattern.isprintable() or not unicodedata.is_normalized("NFC", pattern):
        raise failure(line, "the path has characters that no request path has")
    return pattern


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _capabilities(item: Item) -> tuple[Capability, ...]:
    found = []
    for name in _list(item):
        if not isinstance(name, str) or name not in _KNOWN:
            raise failure(
                item.line, f"invalid capability {_shown(name)}", hint=f"one of {', '.join(Capability)}"
            )
        found.append(Capability(name))
    return tuple(found)


def _legacy(item: Item) -> tuple[Capability, ...]:
    if not isinstance(item.value, str) or item.value not in _LEGACY:
        raise failure(
            item.line,
            f"invalid policy {_shown(item.value)}",
            hint="deny, read, write or sudo; better use capabilities",
        )
    return _LEGACY[item.value]


def _parameters(item: Item) -> dict[str, tuple[str, ...]]:
    if not isinstance(item.value, Table):
        raise failure(item.line, f"{item.key} must be a map of parameter names to lists of values")
    found: dict[str, tuple[str, ...]] = {}
    for inner in item.value:
        name = inner.key.lower()
        if inner.labels or name in found:
            raise failure(inner.line, f"{item.key} names {_shown(name)} twice")
        found[name] = tuple(_text(part, inner) for part in _list(inner))
    return found


def _required(item: Item) -> tuple[str, ...]:
    return tuple(_text(part, item) for part in _list(item))


def _list(item: Item) -> list[Any]:
    if not isinstance(item.value, list) or isinstance(item.value, Table):
        raise failure(item.line, f"{_shown(item.key)} must be a list")
    return item.value


def _text(value: Any, item: Item) -> str:
    text = scalar_text(value)
    if text is None:
        raise failure(item.line, f"the values of {_shown(item.key)} are texts, numbers or true and false")
    return text


def scalar_text(value: object) -> str | None:
    """One spelling for a text, number or truth value, so that 1, 1.0 and "1" are the same; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else None


def _wrapping(item: Item) -> int:
    try:
        return parse_duration(item.value)
    except Invalid as error:
        raise failure(item.line, f"error parsing {item.key}: {error.message}", hint=error.hint) from None


def _shown(value: object) -> str:
    """A word of the policy in an error: quoted, and never long."""
    return f'"{value[:64]}"' if isinstance(value, str) and value.isprintable() else "here"


_READ: Final[dict[str, Callable[[Item], Any]]] = {
    "capabilities": _capabilities,
    "policy": _legacy,
    "allowed_parameters": _parameters,
    "denied_parameters": _parameters,
    "required_parameters": _required,
    "min_wrapping_ttl": _wrapping,
    "max_wrapping_ttl": _wrapping,
}
_NAMES: Final = {
    "allowed_parameters": "allowed",
    "denied_parameters": "denied",
    "required_parameters": "required",
    "min_wrapping_ttl": "min_wrapping_ttl",
    "max_wrapping_ttl": "max_wrapping_ttl",
}


# ── built in ────────────────────────────────────────────────────────────────────────────────────────────────────────

_PROVIDED: Final[dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]]] = {
    "default": (
        ("See, renew and end oneself.", "auth/token/lookup-self", ("read",)),
        ("", "auth/token/renew-self", ("update",)),
        ("", "auth/token/revoke-self", ("update",)),
        ("Ask what one may do.", "sys/capabilities-self", ("update",)),
        ("", "sys/policies/simulate-self", ("update",)),
        ("", "sys/internal/ui/resultant-acl", ("read",)),
        ("Look up and renew a lease whose id one knows.", "sys/leases/lookup", ("update",)),
        ("", "sys/leases/renew", ("update",)),
        (
            "A drawer of one's own, which ends with the token.",
            "cubbyhole/*",
            ("create", "read", "update", "delete", "list"),
        ),
        ("Hand an answer on in a wrapping token, and open one.", "sys/wrapping/wrap", ("update",)),
        ("", "sys/wrapping/lookup", ("update",)),
        ("", "sys/wrapping/unwrap", ("update",)),
        ("Hash data.", "sys/tools/hash", ("update",)),
        ("", "sys/tools/hash/*", ("update",)),
    ),
    "response-wrapping": (
        ("Open the wrapped answer, and nothing else.", "sys/wrapping/unwrap", ("update",)),
    ),
}


def _provided_text(rows: tuple[tuple[str, str, tuple[str, ...]], ...]) -> str:
    parts = []
    for comment, pattern, names in rows:
        quoted = ", ".join(f'"{name}"' for name in names)
        parts.append(
            (f"# {comment}\n" if comment else "") + f'path "{pattern}" {{\n  capabilities = [{quoted}]\n}}\n'
        )
    return "\n".join(parts)


BUILT_IN: Final = {name: _provided_text(rows) for name, rows in _PROVIDED.items()}
"""The text of the policies that every server has. `root` is none: it allows everything."""

_BUILT_IN_POLICIES: Final = {
    name: Policy(name, tuple(Rule(pattern, tuple(map(Capability, names))) for _, pattern, names in rows))
    for name, rows in _PROVIDED.items()
}
