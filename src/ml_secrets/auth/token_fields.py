"""The `token_*` fields that the roles and users of every auth method have: how they are declared, merged and shown.

`@with_token_fields` gives an operation all of them in place of its parameter `token`, so that each method declares
them with one word, and help, OpenAPI and binding see every field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from ml_secrets.contract import Help, Seconds, Strings
from ml_secrets.contract.expand import expand
from ml_secrets.domain.path import policy_name
from ml_secrets.domain.token import TokenParameters, address_ranges
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.contract import Response

_FIELDS: Final[dict[str, tuple[str, Any, str]]] = {
    "token_ttl": ("ttl", Seconds, "First lifetime of the tokens; 0 is the mount's default."),
    "token_max_ttl": ("max_ttl", Seconds, "How far renewals can carry a token; 0 is the mount's maximum."),
    "token_explicit_max_ttl": (
        "explicit_max_ttl",
        Seconds,
        "A hard end that no renewal moves, not even a periodic token's; 0 is none.",
    ),
    "token_period": (
        "period",
        Seconds,
        "Makes tokens that can be renewed for this long again and again; 0 is off.",
    ),
    "token_policies": ("policies", Strings, "Policies of the tokens."),
    "token_bound_cidrs": (
        "bound_cidrs",
        Strings,
        "Addresses that may log in, and use the tokens; none is everywhere.",
    ),
    "token_no_default_policy": ("no_default_policy", bool, "Leaves out the policy `default`."),
    "token_num_uses": ("num_uses", int, "How often a token can be used; 0 is without limit."),
    "token_type": ("kind", str, "service, batch, or default (what the mount says)."),
    "token_strictly_bind_ip": ("strictly_bind_ip", bool, "Binds each token to the address that logged in."),
}
"""Field on the wire -> (field of TokenParameters, type, help)."""

_OLD: Final = {
    "policies": "token_policies",
    "ttl": "token_ttl",
    "max_ttl": "token_max_ttl",
    "period": "token_period",
    "bound_cidrs": "token_bound_cidrs",
}
"""Names from before the `token_` prefix, which clients still send."""

PLAIN: Final = (*_FIELDS, *_OLD)
"""What the audit log may show as it is."""

_KINDS: Final = ("default", "service", "batch", "default-service", "default-batch")


@dataclass(slots=True)
class TokenFields:
    """What a request says about tokens: fields by their name on the wire; one that was not sent is not here."""

    sent: dict[str, Any]

    def __bool__(self) -> bool:
        return bool(self.sent)

    def apply(self, parameters: TokenParameters) -> tuple[TokenParameters, list[str]]:
        """The parameters with these changes, and warnings. Raises `Invalid` where they make no sense together."""
        changes: dict[str, Any] = {}
        warnings = []
        for name, value in self.sent.items():
            modern = _OLD.get(name, name)
            if modern != name and modern in self.sent:
                warnings.append(
                    f"Both '{modern}' and deprecated '{name}' value supplied, ignoring the deprecated value"
                )
            else:
                changes[_FIELDS[modern][0]] = value
        if "policies" in changes:
            changes["policies"] = tuple(
                dict.fromkeys(policy_name(name) for name in changes["policies"] if name)
            )
        if "kind" in changes:
            changes["kind"] = changes["kind"] or "default"
        if "bound_cidrs" in changes:
            changes["bound_cidrs"] = address_ranges(changes["bound_cidrs"])
        return checked(msgspec.structs.replace(parameters, **changes)), warnings

    def old_names(self, before: list[str]) -> list[str]:
        """Which old names a role was written with, after this request: they are shown again for as long as they hold."""
        replaced = {old for old, modern in _OLD.items() if modern in self.sent}
        return sorted((set(before) | (self.sent.keys() & _OLD.keys())) - replaced)


def checked(parameters: TokenParameters) -> TokenParameters:
    """The parameters, if they can be met. Raises `Invalid`."""
    if parameters.kind not in _KINDS:
        raise Invalid("invalid 'token_type' value", hint=f"one of {', '.join(_KINDS)}")
    if parameters.num_uses < 0:
        raise Invalid("'token_num_uses' cannot be negative")
    if parameters.max_ttl and parameters.ttl > parameters.max_ttl:
        raise Invalid("'token_ttl' cannot be greater than 'token_max_ttl'")
    if parameters.kind.endswith("batch"):
        if parameters.period:
            raise Invalid(
                "'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens"
            )
        if parameters.num_uses:
            raise Invalid(
                "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with limited use count"
            )
    return parameters


def shown(parameters: TokenParameters, old_names: list[str]) -> dict[str, Any]:
    """The fields as the wire shows them."""
    data = {name: getattr(parameters, field) for name, (field, _, _) in _FIELDS.items()}
    return data | {old: data[_OLD[old]] for old in old_names if data[_OLD[old]]}


def with_token_fields(
    *old: str,
) -> Callable[[Callable[..., Response | None]], Callable[..., Response | None]]:
    """Give an operation the token fields (and these older names) in place of its parameter `token: TokenFields`."""
    declared = {name: Annotated[kind, Help(help_)] for name, (_, kind, help_) in _FIELDS.items()}
    declared |= {
        name: Annotated[_FIELDS[_OLD[name]][1], Help(f"Older name of {_OLD[name]}.")] for name in old
    }
    return expand("token", declared, _gather)


def _gather(values: dict[str, Any]) -> TokenFields:
    return TokenFields({name: value for name, value in values.items() if value is not None})
