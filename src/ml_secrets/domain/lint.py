"""Finds rules of policies that can never decide anything, or that do not mean what they seem to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.domain.capability import OF_FOLDERS, WITH_PARAMETERS, Capability
from ml_secrets.domain.mount import FIXED
from ml_secrets.domain.pattern import Pattern, compile_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ml_secrets.domain.policy import Policy, Rule

_KV2_PARTS: Final = (
    "data",
    "metadata",
    "delete",
    "undelete",
    "destroy",
    "subkeys",
    "detailed-metadata",
    "config",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. `code` is stable, `text` says what is the matter and what to do; line 0: not known."""

    policy: str
    pattern: str
    line: int
    code: str
    text: str

    def shown(self) -> dict[str, Any]:
        """As the wire shows it."""
        return {
            "policy": self.policy,
            "path": self.pattern,
            "line": self.line,
            "code": self.code,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class _Row:
    policy: str
    rule: Rule
    pattern: Pattern
    rank: tuple[int, bool, int, int, str]


def lint(
    policies: Iterable[Policy],
    *,
    mounts: Mapping[str, str] | None = None,
    asked_for: Callable[[Pattern], frozenset[Capability] | None] | None = None,
) -> list[Finding]:
    """All findings, in the order of the rules, of policies that one token has together.

    mounts: path -> kind ("kv-v2", "transit"). asked_for: what the operations that a pattern can match ask for, None where
    it can match none. Without them those checks are left out.
    """
    rows = [
        _Row(policy.name, rule, pattern, pattern.rank)
        for policy in policies
        for rule in policy.rules
        for pattern in (compile_pattern(rule.pattern),)
    ]
    findings: list[Finding] = []
    for row in rows:
        for check in _CHECKS:
            findings += [_finding(row, code, text) for code, text in check(row, rows)]
        beside = [] if mounts is None else list(_beside_mounts(row, mounts))
        if asked_for is not None and not beside:
            beside = list(_beside_operations(row, asked_for))
        findings += [_finding(row, code, text) for code, text in beside]
    return findings


def _finding(row: _Row, code: str, text: str) -> Finding:
    return Finding(row.policy, row.rule.pattern, row.rule.line, code, text)


Found = tuple[str, str]

# ── one rule by itself ──────────────────────────────────────────────────────────────────────────────────────────────


def _wildcards(row: _Row, _: list[_Row]) -> Iterator[Found]:
    if "*" in row.pattern.literal:
        yield "literal-star", "`*` is a wildcard only as the last character: use `+` for one whole segment"
    if any("+" in part and part != "+" for part in row.pattern.parts):
        yield "literal-plus", "`+` is a wildcard only as a whole segment: here it is a plain character"


def _spelling(row: _Row, _: list[_Row]) -> Iterator[Found]:
    pattern = row.pattern
    if pattern.text.startswith("v1/"):
        yield "api-prefix", "paths in policies are written without `v1/`: this rule matches nothing"
    inner = pattern.parts[:-1]
    if any(part in ("", ".", "..") for part in inner) or pattern.parts[-1] in (".", ".."):
        yield "no-such-path", "no request path has an empty, `.` or `..` segment: this rule matches nothing"
    if row.rule.templated:
        effect = "denies whatever the template could stand for" if row.rule.denies else "matches nothing"
        yield "template", f"templates are not filled in by this server: this rule {effect}"


def _rights(row: _Row, _: list[_Row]) -> Iterator[Found]:
    rights = set(row.rule.capabilities)
    if not rights:
        yield (
            "no-capabilities",
            "gives nothing: list capabilities, or take the rule away (to forbid, say deny)",
        )
    elif row.rule.denies and len(rights) > 1:
        yield "deny-and-more", "deny takes away the other capabilities beside it"
    elif rights == {Capability.SUDO}:
        yield "sudo-alone", "sudo adds to another capability, and gives nothing by itself"
    elif (
        row.pattern.exact
        and row.pattern.text.endswith("/")
        and rights - OF_FOLDERS - {Capability.SUDO}
        and not row.rule.denies
    ):
        yield (
            "folder",
            "only list and scan ask for a path that ends in `/`: the other capabilities give nothing",
        )


def _parameters(row: _Row, _: list[_Row]) -> Iterator[Found]:
    rule = row.rule
    if (rule.allowed or rule.denied or rule.required) and not (WITH_PARAMETERS & set(rule.capabilities)):
        yield (
            "unused-parameters",
            "parameters are looked at on create, read, update and patch, which this rule does not give",
        )
    if any("*" in values for values in rule.allowed.values()):
        yield "star-value", 'an allowed value "*" is that one character: write [] for any value'
    if "*" in rule.denied and len(rule.denied) > 1:
        yield "deny-all-parameters", 'denied "*" already denies every parameter'


# ── one rule beside others ──────────────────────────────────────────────────────────────────────────────────────────


def _repeated(row: _Row, rows: list[_Row]) -> Iterator[Found]:
    same = [other for other in rows if other is not row and other.rule.pattern == row.rule.pattern]
    denying = next((other for other in same if other.rule.denies), None)
    if denying is not None and not row.rule.denies:
        yield "denied-elsewhere", f"{_place(denying)} denies the same path, so this rule gives nothing"
    elif any(other.policy == row.policy for other in same):
        yield "repeated", "the policy has this path more than once: the rules are united"


def _overruled(row: _Row, rows: list[_Row]) -> Iterator[Found]:
    if row.pattern.exact or row.rule.templated:
        return
    for other in rows:
        if other.rule.pattern == row.rule.pattern or other.pattern.exact or other.rule.templated:
            continue
        if other.rank > row.rank and other.pattern.covers(row.pattern):
            yield (
                "overruled",
                f"{_place(other)} ({other.rule.pattern}) wins wherever this rule matches, so it never decides",
            )
            return


def _hole_in_deny(row: _Row, rows: list[_Row]) -> Iterator[Found]:
    if row.rule.denies or row.rule.templated or not row.rule.capabilities:
        return
    for other in rows:
        inside = other.rule.denies and not other.rule.templated and other.rule.pattern != row.rule.pattern
        if inside and not other.pattern.exact and other.pattern.covers(row.pattern):
            yield (
                "exception-to-deny",
                f"this rule is more exact than the deny of {_place(other)} ({other.rule.pattern}), and wins over it",
            )
            return


def _place(row: _Row) -> str:
    return f'policy "{row.policy}"' + (f", line {row.rule.line}" if row.rule.line else "")


# ── one rule beside the mounts ──────────────────────────────────────────────────────────────────────────────────────


def _beside_mounts(row: _Row, mounts: Mapping[str, str]) -> Iterator[Found]:
    if row.rule.templated or row.pattern.text.startswith("v1/"):
        return
    if not any(row.pattern.reaches(path) for path in (*FIXED, *mounts)):
        yield "no-mount", "nothing is mounted where this rule could match"
        return
    for path, kind in mounts.items():
        if kind == "kv-v2" and row.pattern.literal.startswith(path):
            yield from _in_kv2(row, path)


def _in_kv2(row: _Row, mount: str) -> Iterator[Found]:
    rest = row.pattern.literal.removeprefix(mount)
    part, slash, _ = rest.partition("/")
    open_ended = row.pattern.glob and not slash
    fits = any(word.startswith(part) for word in _KV2_PARTS) if open_ended else part in (*_KV2_PARTS, "+")
    if part and not fits:
        yield (
            "kv2-part",
            f"{mount} is KV version 2: values lie under {mount}data/{rest}, lists and versions under {mount}metadata/{rest}",
        )
    elif slash and part == "data" and set(row.rule.capabilities) & OF_FOLDERS:
        yield (
            "kv2-list",
            f"lists of a KV version 2 mount are asked for under {mount}metadata/: list here gives nothing",
        )


# ── one rule beside the operations ──────────────────────────────────────────────────────────────────────────────────


def _beside_operations(
    row: _Row, asked_for: Callable[[Pattern], frozenset[Capability] | None]
) -> Iterator[Found]:
    rule = row.rule
    if rule.templated or not rule.capabilities or row.pattern.text.startswith("v1/"):
        return
    asked = asked_for(row.pattern)
    if asked is None:
        yield (
            "no-operation",
            "no operation of what is mounted there has such a path: this rule matches nothing",
        )
    elif not rule.denies and not asked & set(rule.capabilities):
        yield "not-asked-for", f"what is there asks for {', '.join(sorted(asked))}: this rule gives nothing"


_CHECKS: Final[tuple[Callable[[_Row, list[_Row]], Iterator[Found]], ...]] = (
    _wildcards,
    _spelling,
    _rights,
    _parameters,
    _repeated,
    _overruled,
    _hole_in_deny,
)
