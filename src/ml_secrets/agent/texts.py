"""`Text`: a text with references in it, and what it becomes once they are known.

    secret://team-a/db#password                              all of it is one reference
    postgres://app:{{ secret://team-a/db#password }}@db/app  some of it is

Anything else is plain, and stays as it is. What begins like a reference, or like one in braces, has to be one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.reference import SCHEME, Reference, is_reference
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Masked, Sensitive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.agent.gather import Value

_MEANT: Final = re.compile(r"\{\{\s*secret://")
_EMBEDDED: Final = re.compile(r"\{\{[ \t]*(secret://[^\s{}]+)[ \t]*\}\}")


class Text(Masked):
    """Plain parts and references, in order. It prints as dots: a plain part may be a value that nobody moved yet."""

    __slots__ = ("parts",)

    def __init__(self, *parts: str | Reference) -> None:
        self.parts = parts

    @classmethod
    def parse(cls, text: str) -> Text:
        """Take a text apart. Raises `Invalid` for what is almost a reference, without the rest of the text."""
        if is_reference(text):
            return cls(Reference.parse(text))
        if text.lstrip().startswith(SCHEME):
            raise Invalid("there is white space before a reference", hint="begin with secret://")
        split = _EMBEDDED.split(text)  # plain, reference, plain, …
        if len(_MEANT.findall(text)) != len(split) // 2:
            raise Invalid(
                "a reference in braces is not closed, or holds a space",
                hint="write it like {{ secret://team-a/db#password }}",
            )
        parts = [Reference.parse(part) if place % 2 else part for place, part in enumerate(split)]
        return cls(*(part for part in parts if part))

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references in it, in order."""
        return tuple(part for part in self.parts if isinstance(part, Reference))

    @property
    def whole(self) -> Reference | None:
        """The reference that is all of it."""
        return self.references[0] if len(self.parts) == 1 and self.references else None

    def filled(self, values: Mapping[Reference, Value]) -> Sensitive:
        """The text with the values in place."""
        if self.whole is not None:
            return values[self.whole]
        return Sensitive(
            "".join(part if isinstance(part, str) else values[part].reveal() for part in self.parts)
        )
