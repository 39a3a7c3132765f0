"""Settings as HCL has them: blocks with labels, which may come once or several times. The same in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_secrets.agent.resident.reading import Table
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Block(Table):
    """One block. `label` is what stands behind its name: "tcp" of `listener "tcp"`; in JSON also its "type"."""

    def __init__(self, tree: dict[str, Any], where: str, folder: Path, label: str = "") -> None:
        super().__init__(tree, where, folder)
        self.label = label

    def block(self, name: str) -> Block:
        """The only block of that name; an empty one where there is none."""
        found = list(self.blocks(name))
        if len(found) > 1:
            raise Invalid(f"{self.at(name)} comes {len(found)} times", hint="keep one")
        return found[0] if found else Block({}, self.at(name), self._folder)

    def blocks(self, name: str) -> Iterator[Block]:
        """All blocks of that name."""
        found = self.take(name, [])
        for tree in found if isinstance(found, list) else [found]:
            if not isinstance(tree, dict):
                raise self._wrong(name, "a block")
            yield self._labelled(name, dict(tree))

    def _labelled(self, name: str, tree: dict[str, Any]) -> Block:
        where, inner = self.at(name), next(iter(tree.values()), None)
        if len(tree) == 1 and isinstance(inner, dict):
            (label,) = tree
            return Block(inner, f"{where} {label}", self._folder, label)
        kind = tree.pop("type", "")
        return Block(tree, f"{where} {kind}".rstrip(), self._folder, str(kind))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A truth value, which may stand in quotes or be 0 or 1."""
        found = self.take(name, default)
        known = {"true": True, "1": True, "false": False, "0": False}.get(str(found).lower())
        if known is None:
            raise self._wrong(name, "true or false")
        return known

    def duration_text(self, name: str) -> str:
        """A duration as the server is to have it; "" where there is none."""
        found = self.take(name, "")
        return f"{found}s" if isinstance(found, int) else str(found)

    def option(self, name: str) -> str | bool:
        """As before; what is a path says so in their names, too."""
        found = super().option(name)
        return (
            str(self._folder / str(found))
            if isinstance(found, str) and name.endswith("_file_path")
            else found
        )

    def absolute(self, path: str) -> Path:
        """A path, made absolute."""
        return self._folder / path
