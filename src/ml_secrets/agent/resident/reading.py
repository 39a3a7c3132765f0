"""A table of settings, each taken out once: what nobody took is a mistake, and is named. Values are never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from ml_secrets.domain.duration import parse_duration
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MOST: Final = 1 << 20


class Table:
    """Settings under one name. `where` is that name; "" is the whole file. `folder`: what paths are relative to. `page` has them all."""

    page = "docs/how-to/run-an-agent.md"

    def __init__(self, tree: dict[str, Any], where: str, folder: Path) -> None:
        self._left = dict(tree)
        self.where = where
        self._folder = folder

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def at(self, name: str) -> str:
        """The setting's full name, for errors."""
        return f"{self.where}.{name}" if self.where else name

    def take(self, name: str, default: Any = None) -> Any:
        """A setting as it stands there."""
        return self._left.pop(name, default)

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        found = self.take(name, default)
        if not isinstance(found, str):
            raise self._wrong(name, "a text", "put it in quotes")
        return found

    def truth(self, name: str, *, default: bool = False) -> bool:
        """True or false."""
        found = self.take(name, default)
        if not isinstance(found, bool):
            raise self._wrong(name, "true or false")
        return found

    def option(self, name: str) -> str | bool:
        """A text or a truth value; a path, where its name says so, is made absolute."""
        found = self.take(name)
        if not isinstance(found, str | bool):
            raise self._wrong(name, "a text, or true or false")
        is_path = isinstance(found, str) and name.endswith("-file")
        return str(self._folder / str(found)) if is_path else found

    def seconds(self, name: str, default: float) -> float:
        """A duration."""
        found = self.take(name)
        if found is None:
            return default
        if isinstance(found, float) and found > 0:
            return found
        try:
            seconds = parse_duration(found)
        except Invalid:
            seconds = 0
        if not seconds:
            raise self._wrong(name, "a duration", 'write "90s", "5m" or "1h"')
        return float(seconds)

    def one_of(self, name: str, known: Sequence[str]) -> str:
        """One of these texts; the first, where nothing is said."""
        found = self.text(name, known[0])
        if found not in known:
            raise self._wrong(name, f"one of {', '.join(known)}")
        return found

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        found = self.take(name, [])
        if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
            raise self._wrong(name, "a list of texts", '["one", "two"]')
        return list(found)

    def path(self, name: str) -> Path | None:
        """A path, made absolute."""
        found = self.text(name)
        return self._folder / found if found else None

    def needed_path(self, name: str) -> Path:
        """The same, where there has to be one."""
        found = self.path(name)
        if found is None:
            raise Invalid(f"{self.where or 'the file'}: {name} is missing", hint=f'{name} = "/run/app/…"')
        return found

    def content_of(self, path: Path) -> str:
        """The text in a file."""
        try:
            with path.open("rb") as file:
                content = file.read(_MOST + 1)
            if len(content) > _MOST:
                raise Invalid(f"{path} is larger than {_MOST >> 20} MiB", hint="split it")
            return content.decode()
        except OSError as error:
            problem = error.strerror
        except UnicodeDecodeError:
            problem = "it is not UTF-8 text"
        raise Invalid(f"cannot read {path}: {problem}", hint="check the name and its rights")

    def table(self, name: str) -> Self:
        """The settings under a name; none where it is not there."""
        found = self.take(name, {})
        if not isinstance(found, dict):
            raise self._wrong(name, "a table", f"[{self.at(name)}]")
        return type(self)(found, self.at(name), self._folder)

    def tables(self, name: str) -> Iterator[Self]:
        """Several under one name."""
        found = self.take(name, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self._wrong(name, "a list of tables", f"[[{self.at(name)}]]")
        for number, one in enumerate(found, 1):
            yield type(self)(one, f"{self.at(name)} {number}", self._folder)

    def rest(self) -> list[str]:
        """The names that are left."""
        return list(self._left)

    def finish(self, *, harmless: Sequence[str] = ()) -> list[str]:
        """All is taken: anything left is `Invalid`, unless it is harmless to leave out. Gives what was left out."""
        unknown = next((name for name in self._left if name not in harmless), None)
        if unknown is not None:
            raise Invalid(f"there is no setting {self.at(unknown)!r}", hint=f"{self.page} has them all")
        return [self.at(name) for name in self._left]

    def _wrong(self, name: str, what: str, hint: str = "") -> Invalid:
        return Invalid(f"{self.at(name)} is not {what}", hint=hint)
