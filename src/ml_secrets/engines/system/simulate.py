"""What policies would decide: `policies/simulate` for any, stored or proposed, `policies/simulate-self` for the caller's own.

Nothing is done, and nobody sees more of a policy by asking: whether a request is allowed, and which capabilities it
lacks, is told of every policy; the rule that decides, and why, only where the caller may read each policy it stands in.
Their own they may always see, as in `internal/ui/resultant-acl`.

Each request is decided as the pipeline decides it: its path in the one spelling, `sudo` where the operation wants it,
and no policy asked where it needs no token. Only whether a secret exists is not looked at: ask for `create` and `update`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from ml_secrets.contract import Context, Help, Raw, Response, Strings, TextMap, Verb
from ml_secrets.domain.acl import Acl
from ml_secrets.domain.advice import explain, missing
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.duration import parse_duration
from ml_secrets.domain.path import canonical_path, policy_name
from ml_secrets.domain.policy import parse_policy
from ml_secrets.domain.read_only import narrowed
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.engines.system.policies import Readable, decoded
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from ml_secrets.contract.operation import Operation
    from ml_secrets.domain.policy import Policy

Requests = Annotated[
    Raw,
    Help(
        "A list of {operation, path, parameters, wrap_ttl}. `operation` is create, read (when left out), update, patch, delete, list or scan; `parameters` and `wrap_ttl` are optional."
    ),
]
PolicyNames = Annotated[Strings, Help("Names of policies, as a token would have them.")]
Proposed = Annotated[
    TextMap | None,
    Help("Texts by name: policies to be tried. One that has the name of a stored policy stands in for it."),
]
Accessor = Annotated[str, Help("Accessor of a token: take the policies that it has.")]

_NONE: Final = Strings(())
_MOST: Final = 1000
_VERBS: Final = {
    "create": Verb.WRITE,
    "read": Verb.READ,
    "update": Verb.WRITE,
    "patch": Verb.PATCH,
    "delete": Verb.DELETE,
    "list": Verb.LIST,
    "scan": Verb.SCAN,
}

_PUBLIC: Final = {
    "allowed": True,
    "reason": "public",
    "missing": [],
    "rule": None,
    "policies": [],
    "explanation": "no token is needed for this",
}


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    """A request that might be made."""

    path: str
    operation: str = "read"
    parameters: dict[str, msgspec.Raw] = {}
    wrap_ttl: int | str | None = None


class _Tried(msgspec.Struct):
    """Policies that decide, and those among them whose rules the caller may be shown (`shown`: asked by name)."""

    acl: Acl
    shown: Readable
    proposed: frozenset[str] = frozenset()


@ENGINE.write("policies/simulate-self", changes=False)
def simulate_self(ctx: Context, requests: Requests) -> Response:
    """Tell of each request whether the calling token may make it, which rule decides, and what is missing."""
    own = Readable(ctx)
    return _answer(ctx, requests, _Tried(own.acl, own), [])


@ENGINE.write("policies/simulate", changes=False, slow=True, plain=("policies", "proposed", "accessor"))
def simulate(
    ctx: Context,
    requests: Requests,
    policies: PolicyNames = _NONE,
    proposed: Proposed = None,
    accessor: Accessor = "",
) -> Response:
    """Tell of each request whether these policies allow it, which rule decides, and what is missing.

    The policies are those named, those of the token of an accessor, and those proposed; with none of them, the caller's own.
    A rule of a policy that the caller may not read is not shown: then only whether it allows the request.
    """
    if policies and accessor:
        raise Invalid("policies and accessor exclude each other")
    texts = {policy_name(name): text for name, text in (proposed or {}).items()}
    names, read_only = _names(ctx, policies, accessor, proposes=bool(texts))
    if len(names) > _MOST:
        raise Invalid(f"more than {_MOST} policies")
    found, unknown = _policies(ctx, names, texts)
    root = "root" in names
    acl = Acl.compile(narrowed(found, root=root)) if read_only else Acl.compile(found, root=root)
    warnings = [f'Policy "{name}" does not exist' for name in unknown]
    return _answer(ctx, requests, _Tried(acl, Readable(ctx), frozenset(texts)), warnings)


def _names(
    ctx: Context, policies: tuple[str, ...], accessor: str, *, proposes: bool
) -> tuple[tuple[str, ...], bool]:
    """Whose rights are tried: the policies, and whether they are a read-only token's."""
    if policies:
        return tuple(policy_name(name, root=True) for name in policies), False
    token = None if ctx.caller is None or proposes else ctx.caller.entry
    if accessor:
        token = ctx.access.tokens.by_accessor(ctx.unit, accessor)[1]
    return ((), False) if token is None else (token.policies, token.read_only)


def _policies(ctx: Context, names: tuple[str, ...], texts: dict[str, str]) -> tuple[list[Policy], list[str]]:
    """The policies to try, and the names that none has."""
    found = [parse_policy(name, decoded(text)) for name, text in texts.items()]
    unknown = []
    for name in names:
        stored = None if name in texts else ctx.access.policies.find(ctx.unit, name)
        if stored is not None:
            found.append(stored.parsed)
        elif name not in texts and name != "root":
            unknown.append(name)
    return found, unknown


def _answer(ctx: Context, requests: Raw, tried: _Tried, warnings: list[str]) -> Response:
    rows = [_row(ctx, asked, tried) for asked in _read(requests)]
    return Response({"allowed": all(row["allowed"] for row in rows), "results": rows}, warnings=warnings)


def _read(requests: Raw) -> list[_Asked]:
    try:
        asked = msgspec.json.decode(requests, type=list[_Asked])
    except (msgspec.DecodeError, RecursionError):
        raise Invalid(
            "requests must be a list of requests",
            hint='such as [{"operation": "read", "path": "secret/data/app"}]',
        ) from None
    if not 0 < len(asked) <= _MOST:
        raise Invalid(f"send 1 to {_MOST} requests")
    return asked


# ── one request ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _row(ctx: Context, asked: _Asked, tried: _Tried) -> dict[str, Any]:
    if asked.operation not in _VERBS:
        raise Invalid("unknown operation", hint=f"one of {', '.join(_VERBS)}")
    path = ctx.access.canonical(ctx.unit, canonical_path(asked.path.strip("/"))[0])
    operation, served = _served(ctx, path, _VERBS[asked.operation], tried.shown.acl)
    said = _PUBLIC if operation is not None and operation.public else _decided(asked, path, operation, tried)
    return {"operation": asked.operation, "path": asked.path, "served": served, **said}


def _served(ctx: Context, path: str, verb: Verb, own: Acl) -> tuple[Operation | None, bool | None]:
    """The operation that would answer, and whether there is one: that is told of mounts that the caller may see."""
    mount = ctx.access.mounts.table(ctx.unit).find(path)
    if mount is None:
        return None, False if own.root else None
    operation, _, _ = ctx.access.engine(mount).match(path[len(mount.path) :], verb)
    return operation, operation is not None if own.reaches(mount.path) else None


def _decided(asked: _Asked, path: str, operation: Operation | None, tried: _Tried) -> dict[str, Any]:
    sudo = operation is not None and operation.sudo
    decision = tried.acl.check(
        path,
        Capability(asked.operation),
        fields=asked.parameters,
        wrap_ttl=None if asked.wrap_ttl is None else parse_duration(asked.wrap_ttl),
        sudo=sudo,
    )
    rule = decision.rule
    sources = () if rule is None else tuple(name for name, _ in rule.sources)
    verdict = {
        "allowed": decision.allowed,
        "reason": str(decision.reason),
        "missing": missing(decision, sudo=sudo),
    }
    if not all(name in tried.proposed or tried.shown(name) for name in sources):
        return {**verdict, "rule": None, "policies": [], "explanation": "a rule that you may not see decides"}
    return {
        **verdict,
        "rule": None if rule is None else rule.pattern,
        "policies": list(decision.policies or sources),
        "explanation": explain(decision, whose="these"),
    }
