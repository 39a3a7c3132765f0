"""A decision in words: which rule decided, and what would have to change. For people, and only for those it is about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from ml_secrets.domain.acl import Reason
from ml_secrets.domain.capability import OF_FOLDERS, Capability
from ml_secrets.errors import Denied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ml_secrets.domain.acl import Decision, EffectiveRule


_WRITES: Final = frozenset({Capability.CREATE, Capability.UPDATE})


def blur(decision: Decision) -> Decision:
    """The same for who asked to write: whether that takes `create` or `update` shows what is there, and is told to who has one of them."""
    rule = decision.rule
    has_one = rule is not None and not rule.denies and bool(rule.capabilities & _WRITES)
    return replace(decision, either=decision.capability in _WRITES and not has_one)


def explain(decision: Decision, *, whose: str = "your") -> str:
    """The decision in words, with what to do next where it was a no."""
    rule = decision.rule
    if rule is None:
        if decision.reason is Reason.ROOT:
            return "the root policy allows everything"
        return f"no rule of {whose} policies matches this path; this one would allow it: {_wanted(decision)}"
    where = f"the rule {_quoted(rule.pattern)} of {_policies(decision.policies or [name for name, _ in rule.sources])}"
    return f"{where} {_SAYINGS[decision.reason](decision, rule)}"


def _lacking(decision: Decision, rule: EffectiveRule) -> str:
    has, lacks = ", ".join(sorted(rule.capabilities)) or "nothing", _needed(decision)
    text = f"decides here, and gives {has} but not {' or '.join(lacks)}: add {_listed(lacks)} to its capabilities"
    if rule.pattern in (decision.path, decision.path + "/"):
        return text
    return f"{text}, or write a rule for this path alone: {_wanted(decision)}"


def _denied(decision: Decision, rule: EffectiveRule) -> str:
    if rule.pattern in (decision.path, decision.path + "/"):
        return "denies this path: as long as it stands, no other rule can allow it"
    return f"denies this path: take it away, or write a rule that is more exact: {_wanted(decision)}"


_SAYINGS: Final[dict[Reason, Callable[[Decision, EffectiveRule], str]]] = {
    Reason.GRANTED: lambda decision, _: f"gives {decision.capability}",
    Reason.DENIED: _denied,
    Reason.TEMPLATE: lambda *_: (
        "denies this path, as its template cannot be filled in and may stand for it: name the paths to be denied, without a template"
    ),
    Reason.LACKING: _lacking,
    Reason.SUDO: lambda *_: (
        'decides here, and lacks "sudo", which this path asks for: add it to its capabilities'
    ),
    Reason.PARAMETER: lambda decision, _: f"gives {decision.capability}, but {decision.detail}",
    Reason.WRAPPING: lambda decision, _: (
        f"wants the answer wrapped: ask with a wrapping TTL {decision.detail} (X-Vault-Wrap-TTL, --wrap-ttl)"
    ),
}


def _wanted(decision: Decision) -> str:
    path = decision.path + "/" if decision.capability in OF_FOLDERS else decision.path
    return f"path {_quoted(path)} {{ capabilities = [{_listed(_needed(decision))}] }}"


def _needed(decision: Decision) -> list[str]:
    return sorted(_WRITES) if decision.either else [str(decision.capability)]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(_quoted(name) for name in names)


def _quoted(text: str) -> str:
    return json.dumps(str(text), ensure_ascii=False)


def _policies(names: Iterable[str]) -> str:
    texts = [_quoted(name) for name in dict.fromkeys(names)]
    return f"policy {texts[0]}" if len(texts) == 1 else f"policies {', '.join(texts)}"


def refusal(because: str) -> Denied:
    """The refusal of a caller who is known and lacks a right. `because`: what would have to change."""
    return Denied("1 error occurred:\n\t* permission denied\n\n", hint=because)


def missing(decision: Decision, *, sudo: bool) -> list[str]:
    """The capabilities that were asked for and that no rule gives here. `sudo`: it was asked for, too."""
    if decision.allowed:
        return []
    rule = decision.rule
    given = frozenset[Capability]() if rule is None or rule.denies else rule.capabilities
    wanted = {decision.capability, Capability.SUDO} if sudo else {decision.capability}
    return sorted(map(str, wanted - given))
