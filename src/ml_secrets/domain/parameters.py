"""Whether a request's fields keep within a rule's allowed, denied and required parameters.

Names do not tell upper from lower case. A value in a rule may begin or end with `*`; [] stands for any value. A number
or truth value is compared by its text, so 5 and "5" are one. A denied value is also found inside a list, and between
the commas of a text, because those are other spellings of it, and a lone `*` denies any value; an allowed value must
be the whole value, and a lone `*` allows only that character, as with the peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ml_secrets.domain.policy import scalar_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Parameters = Mapping[str, tuple[str, ...]]


def parameter_refusal(
    fields: Mapping[str, msgspec.Raw], *, allowed: Parameters, denied: Parameters, required: tuple[str, ...]
) -> str:
    """What is wrong with the fields, in words that name only what the rule names; "" when nothing is."""
    for name in required:
        if name not in fields and name.lower() not in fields:
            return f'it requires the parameter "{name}"'
    if not fields:
        return ""
    if "*" in denied:
        return "it allows no parameters"
    return _denied(fields, denied) or _not_allowed(fields, allowed)


def _denied(fields: Mapping[str, msgspec.Raw], denied: Parameters) -> str:
    if denied:
        for name, raw in fields.items():
            values = denied.get(name.lower())
            if values is not None and (not values or "*" in values or _any_fits(raw, values)):
                return f'it denies {"this value of " if values else ""}the parameter "{name.lower()}"'
    return ""


def _not_allowed(fields: Mapping[str, msgspec.Raw], allowed: Parameters) -> str:
    if not allowed:
        return ""
    for name, raw in fields.items():
        values = allowed.get(name.lower())
        if values is None and "*" not in allowed:
            return f"it allows only the parameters {', '.join(sorted(allowed))}"
        if values and not _fits_whole(raw, values):
            return f'it allows only certain values of the parameter "{name.lower()}"'
    return ""


def _fits_whole(raw: msgspec.Raw, values: tuple[str, ...]) -> bool:
    try:
        text = scalar_text(msgspec.json.decode(raw))
    except (msgspec.DecodeError, RecursionError, ValueError):
        return False
    return text is not None and any(value_fits(text, value) for value in values)


def _any_fits(raw: msgspec.Raw, values: tuple[str, ...]) -> bool:
    """True also for JSON that cannot be read: what cannot be checked against a denial is denied."""
    try:
        texts = list(_spellings(msgspec.json.decode(raw)))
    except (msgspec.DecodeError, RecursionError, ValueError):
        return True
    return any(value_fits(text, value) for text in texts for value in values)


def _spellings(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _spellings(part)
        return
    text = scalar_text(value)
    if text is not None:
        yield text
        if isinstance(value, str) and "," in value:
            yield from (part.strip() for part in value.split(","))


def value_fits(text: str, value: str) -> bool:
    """`value` is the rule's: equal, or with `*` at its beginning, its end, or both."""
    if len(value) < 2 or not (value[0] == "*" or value[-1] == "*"):
        return text == value
    if value[0] == "*" and value[-1] == "*":
        return value[1:-1] in text
    return text.endswith(value[1:]) if value[0] == "*" else text.startswith(value[:-1])
