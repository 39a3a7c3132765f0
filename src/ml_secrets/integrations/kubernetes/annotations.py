"""A pod's annotations under one prefix, each taken out once: what nobody took is refused by its name. Values are never shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.files import fits
from ml_secrets.errors import Invalid
from ml_secrets.integrations.kubernetes.injection import quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TRUE: Final = ("true", "1", "t", "True", "TRUE", "T")
_FALSE: Final = ("false", "0", "f", "False", "FALSE", "F")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


class Annotations:
    """Those that begin with `prefix`."""

    def __init__(self, given: Mapping[str, str], prefix: str) -> None:
        self.prefix = prefix
        self._left = {
            name.removeprefix(prefix): text for name, text in given.items() if name.startswith(prefix)
        }

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def at(self, name: str) -> str:
        """The whole name, for errors."""
        return self.prefix + name

    def text(self, name: str, default: str = "") -> str:
        """What it says."""
        return self._left.pop(name, default)

    def truth(self, name: str, *, default: bool = False) -> bool:
        """True or false, as Go has it."""
        text = self._left.pop(name, None)
        if text is None:
            return default
        if text not in (*_TRUE, *_FALSE):
            raise self.wrong(name, 'neither "true" nor "false"')
        return text in _TRUE

    def number(self, name: str, *, least: int = 1, most: int = (1 << 31) - 1) -> int | None:
        """A whole number; None where there is none."""
        text = self._left.pop(name, None)
        if text is None:
            return None
        if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or not least <= int(text) <= most:
            raise self.wrong(name, f"no number from {least} to {most}")
        return int(text)

    def object_name(self, name: str) -> str:
        """The name of a Secret or a ConfigMap; "" where there is none."""
        return self.as_object(self._left.pop(name, ""), name)

    def as_object(self, text: str, name: str) -> str:
        """A text that is the name of an object, or is empty."""
        if text and not _NAME.fullmatch(text):
            raise self.wrong(name, "no name of an object")
        return text

    def names(self, name: str) -> tuple[str, ...]:
        """Several, with commas between them."""
        return tuple(one.strip() for one in self._left.pop(name, "").split(",") if one.strip())

    def amounts(self, prefix: str, known: Mapping[str, str]) -> dict[str, str]:
        """Amounts of resources: `known` has the ends of the annotations' names, and how Kubernetes calls them."""
        return {
            meant: quantity(self._left.pop(prefix + end), self.at(prefix + end))
            for end, meant in known.items()
            if prefix + end in self._left
        }

    def family(self, prefix: str) -> dict[str, str]:
        """All whose names begin so, by the rest of them."""
        names = [name for name in self._left if name.startswith(prefix) and name != prefix]
        return {name.removeprefix(prefix): self._left.pop(name) for name in names}

    def refuse(self, name: str, why: str) -> None:
        """Raises `Invalid` where it is there; a name that ends in - is a family."""
        for one in self._left:
            if one == name or (name[-1] == "-" and one.startswith(name)):
                raise self.refusal(one, why)

    def refusal(self, name: str, why: str) -> Invalid:
        """The error for an annotation that is understood, and not done."""
        return Invalid(f"{self.at(name)}: {why}", hint="leave the annotation out")

    def finish(self, *, harmless: Iterable[str] = ()) -> list[str]:
        """All is taken: anything left is `Invalid`, unless it is harmless to leave out. Gives what was left out."""
        known = set(harmless)
        unknown = next((name for name in self._left if name not in known), None)
        if unknown is not None:
            raise Invalid(
                f"there is no annotation {self.at(unknown)} here",
                hint="docs/how-to/use-in-kubernetes.md has them all",
            )
        return [self.at(name) for name in self._left]

    def wrong(self, name: str, what: str) -> Invalid:
        """The error that names an annotation and not what it holds."""
        return Invalid(f"{self.at(name)} is {what}")

    def file_name(self, name: str, annotation: str) -> str:
        """A file's name, checked."""
        if not fits(name):
            raise self.wrong(annotation, "no name for one file")
        return name
