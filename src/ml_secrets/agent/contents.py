"""What one file, variable or standard input is to hold: a text, a filled document, or fields in a format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ml_secrets.agent import formats
from ml_secrets.client.encoding import members, raw_members
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.agent.gather import Value
    from ml_secrets.agent.reference import Reference
    from ml_secrets.agent.texts import Text


class Content(Protocol):
    """What is known before the values are, and what it becomes then. `Text` and `Document` are of this kind too."""

    @property
    def references(self) -> tuple[Reference, ...]: ...

    def filled(self, values: Mapping[Reference, Value]) -> Sensitive: ...


@dataclass(frozen=True, slots=True, repr=False)
class Fields:
    """Named texts, written as dotenv, json or yaml. In the last two a text that is one reference keeps the field's type."""

    texts: Mapping[str, Text]
    kind: str

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references in it, in order."""
        return tuple(reference for text in self.texts.values() for reference in text.references)

    def filled(self, values: Mapping[Reference, Value]) -> Sensitive:
        """The fields, written out."""
        plain = {name: text.filled(values) for name, text in self.texts.items()}
        typed = {
            name: formats.json_text(plain[name].reveal())
            if text.whole is None
            else values[text.whole].json.reveal()
            for name, text in self.texts.items()
        }
        return _written(self.kind, plain, typed)


@dataclass(frozen=True, slots=True)
class FieldsOf:
    """The fields of one secret, or those of them that the reference names, written as dotenv, json or yaml."""

    reference: Reference
    kind: str

    @property
    def references(self) -> tuple[Reference, ...]:
        """The one reference."""
        return (self.reference,)

    def filled(self, values: Mapping[Reference, Value]) -> Sensitive:
        """The fields, written out."""
        whole = values[self.reference].json
        if len(self.reference.fields) == 1:
            whole = Sensitive(formats.json_object({self.reference.fields[0]: whole.reveal()}))
        typed = {name: value.decode() for name, value in raw_members(whole).items()}
        return _written(self.kind, members(whole), typed)


def _written(kind: str, plain: Mapping[str, Sensitive], typed: Mapping[str, str]) -> Sensitive:
    if kind == "json":
        return Sensitive(formats.json_object(typed))
    if kind == "yaml":
        return Sensitive(formats.yaml_object(typed))
    odd = [name for name in plain if not formats.is_variable(name)]
    if odd:
        del typed
        raise Invalid(f"the field {odd[0]!r} makes no variable name", hint='say format = "json"')
    return Sensitive(formats.dotenv({name: value.reveal() for name, value in plain.items()}))
