"""Several policies compiled into one answerer of "may they?". The exact rules are those of `pattern.py`, and:

- Rules with the same pattern are united, over all policies: any deny among them takes everything away; capabilities
  and parameter lists are joined; of two wrapping bounds the lower one holds.
- Only the winning rule counts. A deny elsewhere, however near, is not looked at, with two exceptions:
- LIST and SCAN ask for the folder ("x/"). An exact rule for "x" speaks for the folder when there is none for "x/", but
  not over a deny that is written for what lies below ("x/*"): a list of forbidden things stays forbidden. Where no
  pattern matches "x/", one that matches "x" ("+") speaks for it.
- A deny whose template cannot be filled in denies all that it could stand for, before any other rule is asked.
- No rule, no right. An empty list of policies allows nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.domain.capability import OF_FOLDERS, WITH_PARAMETERS, Capability
from ml_secrets.domain.duration import go_text
from ml_secrets.domain.parameters import parameter_refusal
from ml_secrets.domain.pattern import Pattern, compile_pattern, widened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ml_secrets.domain.policy import Policy, Rule

_MOST_REMEMBERED: Final = 256
_ALL: Final = frozenset(Capability) - {Capability.DENY}
_NO_FIELDS: Final[dict[str, msgspec.Raw]] = {}


class Reason(StrEnum):
    """Why a decision fell as it did."""

    ROOT = "root"
    GRANTED = "granted"
    NO_RULE = "no rule"
    DENIED = "denied"
    TEMPLATE = "template"
    LACKING = "lacking"
    SUDO = "sudo"
    PARAMETER = "parameter"
    WRAPPING = "wrapping"


class EffectiveRule(msgspec.Struct, frozen=True):
    """All rules of one pattern, united. `sources` are (policy, what it grants here); `constrained`: see the request."""

    pattern: str
    capabilities: frozenset[Capability]
    sources: tuple[tuple[str, frozenset[Capability]], ...]
    allowed: dict[str, tuple[str, ...]] = {}
    denied: dict[str, tuple[str, ...]] = {}
    required: tuple[str, ...] = ()
    min_wrapping_ttl: int = 0
    max_wrapping_ttl: int = 0
    constrained: bool = False

    @property
    def denies(self) -> bool:
        """Takes everything away."""
        return Capability.DENY in self.capabilities

    def granting(self, capability: Capability) -> tuple[str, ...]:
        """Names of the policies whose rule gives (or denies) this."""
        return tuple(name for name, granted in self.sources if capability in granted)


class Decision(msgspec.Struct, frozen=True):
    """A yes or no with its reason. `policies` are those that gave the right, or that denied it.

    either: whether it takes `create` or `update` is not to be told (advice.blur).
    """

    allowed: bool
    rule: EffectiveRule | None
    policies: tuple[str, ...]
    reason: Reason
    path: str
    capability: Capability
    detail: str = ""
    either: bool = False


class Acl:
    """Compiled once, asked often, never changed. Make one with `Acl.compile`."""

    def __init__(
        self, rules: Iterable[EffectiveRule], shadows: Iterable[tuple[Pattern, EffectiveRule]], *, root: bool
    ) -> None:
        self.root = root
        self.rules = tuple(sorted(rules, key=lambda rule: rule.pattern))
        self._shadows = tuple(shadows)
        self._patterns = [(compile_pattern(rule.pattern), rule) for rule in self.rules]
        self._exact = {p.literal: rule for p, rule in self._patterns if p.exact}
        globs = sorted((p.literal, rule) for p, rule in self._patterns if p.glob and not p.segmented)
        self._prefixes = [prefix for prefix, _ in globs]
        self._prefix_rules = [rule for _, rule in globs]
        self._parents = _parents(self._prefixes)
        segmented = [(p, rule) for p, rule in self._patterns if p.segmented]
        self._segmented = sorted(
            ((p.rank, p, rule) for p, rule in segmented), key=lambda row: row[0], reverse=True
        )
        self._memo: dict[tuple[str, Capability, bool], Decision] = {}

    @classmethod
    def compile(cls, policies: Iterable[Policy], *, root: bool = False) -> Acl:
        """Unite the policies. `root` allows everything, whatever they say."""
        by_pattern: dict[str, list[tuple[str, Rule]]] = {}
        shadows: list[tuple[Pattern, EffectiveRule]] = []
        for policy in policies:
            for rule in policy.rules:
                if not rule.templated:
                    by_pattern.setdefault(rule.pattern, []).append((policy.name, rule))
                elif rule.denies:
                    shadows.append((widened(rule.pattern), _unite(rule.pattern, [(policy.name, rule)])))
        return cls((_unite(pattern, rows) for pattern, rows in by_pattern.items()), shadows, root=root)

    def check(
        self,
        path: str,
        capability: Capability,
        *,
        fields: Mapping[str, msgspec.Raw] = _NO_FIELDS,
        wrap_ttl: int | None = None,
        sudo: bool = False,
    ) -> Decision:
        """May they? `path` is canonical, without a trailing slash. `sudo` asks for that right as well."""
        key = (path, capability, sudo)
        decision = self._memo.get(key)
        if decision is None:
            decision = self._decide(path, capability, sudo=sudo)
            if len(self._memo) >= _MOST_REMEMBERED:
                self._memo.clear()
            self._memo[key] = decision
        rule = decision.rule
        if rule is not None and rule.constrained and decision.allowed:
            return _constrained(decision, rule, fields, wrap_ttl)
        return decision

    def capabilities(self, path: str) -> list[str]:
        """What the wire shows: every right that holds on the path, ["root"], or ["deny"] where none does.

        A path with a trailing slash is a folder. Without one, `list` and `scan` are those of the folder of that name,
        because that is what a LIST of the path asks for.
        """
        if self.root:
            return ["root"]
        folder = path.endswith("/")
        path = path.removesuffix("/")
        listing = _rights(self._rule_of_folder(path))
        found = listing if folder else (_rights(self._rule_of(path)) - OF_FOLDERS) | (listing & OF_FOLDERS)
        return _shown(found)

    def names(self, rule: EffectiveRule) -> list[str]:
        """A rule's capabilities as the wire shows them."""
        return _shown(_rights(rule))

    def rights(self, path: str, *, unconditional: bool = False) -> frozenset[Capability]:
        """Every right on a path without trailing slash; `unconditional`: only those without parameters or wrapping bounds.

        Nothing is remembered: this is for asking about many paths. `list` and `scan` are those of the folder of that name.
        """
        if self.root:
            return _ALL
        own, listing = self._rule_of(path), self._rule_of_folder(path)
        if unconditional:
            own, listing = _unconstrained(own), _unconstrained(listing)
        return (_rights(own) - OF_FOLDERS) | (_rights(listing) & OF_FOLDERS)

    def reaches(self, folder: str, wanted: frozenset[Capability] | None = None) -> bool:
        """Some right (one of those `wanted`) holds at or below a mount's path, which ends in "/"."""
        if self.root:
            return True
        wanted = _ALL if wanted is None else wanted
        decides = self._winner(folder)
        if decides is not None and _rights(decides) & wanted:
            return True
        return any(
            _rights(rule) & wanted and not (p.glob and folder.startswith(p.literal)) and p.reaches(folder)
            for p, rule in self._patterns
        )

    def _decide(self, path: str, capability: Capability, *, sudo: bool) -> Decision:
        if self.root:
            return Decision(True, None, ("root",), Reason.ROOT, path, capability)
        rule = self._rule_of_folder(path) if capability in OF_FOLDERS else self._rule_of(path)
        if rule is None:
            return Decision(False, None, (), Reason.NO_RULE, path, capability)
        if rule.denies:
            reason = Reason.TEMPLATE if "{{" in rule.pattern else Reason.DENIED
            return Decision(False, rule, rule.granting(Capability.DENY), reason, path, capability)
        if capability not in rule.capabilities:
            return Decision(False, rule, (), Reason.LACKING, path, capability)
        if sudo and Capability.SUDO not in rule.capabilities:
            return Decision(False, rule, (), Reason.SUDO, path, capability)
        return Decision(True, rule, rule.granting(capability), Reason.GRANTED, path, capability)

    # ── which rule ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _rule_of(self, path: str) -> EffectiveRule | None:
        if self._shadows:
            shadow = self._shadow(path)
            if shadow is not None:
                return shadow
        return self._exact.get(path) or self._winner(path)

    def _rule_of_folder(self, path: str) -> EffectiveRule | None:
        folder = path + "/"
        if self._shadows:
            shadow = self._shadow(folder) or self._shadow(path)
            if shadow is not None:
                return shadow
        rule = self._exact.get(folder)
        if rule is not None:
            return rule
        rule = self._exact.get(path)
        below = self._winner(folder)
        if rule is None:
            return below or self._winner(path)
        if below is not None and below.denies and below.pattern.count("/") >= folder.count("/"):
            return below
        return rule

    def _winner(self, path: str) -> EffectiveRule | None:
        """The best rule that is not exact."""
        at = bisect_right(self._prefixes, path) - 1
        while at >= 0 and not path.startswith(self._prefixes[at]):
            at = self._parents[at]
        if not self._segmented:
            return self._prefix_rules[at] if at >= 0 else None
        size = len(self._prefixes[at]) if at >= 0 else 0
        rank = (size, False, 0, size, self._prefixes[at]) if at >= 0 else None
        parts = path.split("/")
        for theirs, pattern, rule in self._segmented:
            if rank is not None and theirs < rank:
                break
            if pattern.fits(parts):
                return rule
        return self._prefix_rules[at] if at >= 0 else None

    def _shadow(self, path: str) -> EffectiveRule | None:
        """A deny with an unfilled template that could stand for this path."""
        return next((rule for pattern, rule in self._shadows if pattern.matches(path)), None)


def _rights(rule: EffectiveRule | None) -> frozenset[Capability]:
    return frozenset() if rule is None or rule.denies else rule.capabilities


def _unconstrained(rule: EffectiveRule | None) -> EffectiveRule | None:
    return None if rule is None or rule.constrained else rule


def _shown(rights: frozenset[Capability]) -> list[str]:
    return sorted(map(str, rights)) or [str(Capability.DENY)]


def _parents(prefixes: list[str]) -> list[int]:
    """For each of the sorted prefixes the place of the longest other one that it begins with, or -1.

    The longest prefix of a path is the greatest one not above the path, or one of its parents.
    """
    parents: list[int] = []
    open_: list[int] = []
    for at, prefix in enumerate(prefixes):
        while open_ and not prefix.startswith(prefixes[open_[-1]]):
            open_.pop()
        parents.append(open_[-1] if open_ else -1)
        open_.append(at)
    return parents


# ── uniting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _unite(pattern: str, rows: list[tuple[str, Rule]]) -> EffectiveRule:
    sources = tuple((name, frozenset(rule.capabilities)) for name, rule in rows)
    if any(rule.denies for _, rule in rows):
        return EffectiveRule(pattern, frozenset({Capability.DENY}), sources)
    rules = [rule for _, rule in rows]
    allowed, denied = _join([rule.allowed for rule in rules]), _join([rule.denied for rule in rules])
    required = tuple(sorted({name for rule in rules for name in rule.required}))
    least = min((rule.min_wrapping_ttl for rule in rules if rule.min_wrapping_ttl), default=0)
    most = min((rule.max_wrapping_ttl for rule in rules if rule.max_wrapping_ttl), default=0)
    return EffectiveRule(
        pattern,
        frozenset(right for _, granted in sources for right in granted),
        sources,
        allowed,
        denied,
        required,
        least,
        most,
        constrained=bool(allowed or denied or required or least or most),
    )


def _join(maps: list[dict[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """Lists of the same name joined; an empty list (any value) stays empty."""
    joined: dict[str, tuple[str, ...]] = {}
    for parameters in maps:
        for name, values in parameters.items():
            before = joined.get(name)
            joined[name] = values if before is None else before + values if before and values else ()
    return joined


def _constrained(
    decision: Decision, rule: EffectiveRule, fields: Mapping[str, msgspec.Raw], wrap_ttl: int | None
) -> Decision:
    """The decision once wrapping bounds and parameters have been looked at, too."""
    least, most = rule.min_wrapping_ttl, rule.max_wrapping_ttl
    if (least or most) and (wrap_ttl is None or wrap_ttl < least or (most and wrap_ttl > most)):
        return _refused(decision, Reason.WRAPPING, _bounds(least, most))
    if decision.capability in WITH_PARAMETERS:
        refusal = parameter_refusal(fields, allowed=rule.allowed, denied=rule.denied, required=rule.required)
        if refusal:
            return _refused(decision, Reason.PARAMETER, refusal)
    return decision


def _refused(decision: Decision, reason: Reason, detail: str) -> Decision:
    return Decision(False, decision.rule, (), reason, decision.path, decision.capability, detail)


def _bounds(least: int, most: int) -> str:
    if least and most:
        return f"between {go_text(least)} and {go_text(most)}"
    return f"of at least {go_text(least)}" if least else f"of at most {go_text(most)}"
