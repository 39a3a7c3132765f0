"""What happens when a guard finds a value: the three modes.

    mask    it is replaced, and nothing is said
    warn    it is replaced, and a warning (`Leaking`) says whose value it was, and where
    fail    nothing goes out: `Leaked` is raised

Where nobody could catch an exception, in a hook of the interpreter, `fail` does as `warn` does.
Names of secrets are told, values never.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ml_secrets.detect.table import Span
from ml_secrets.errors import Invalid, Leaked
from ml_secrets.redaction.known import KNOWN
from ml_secrets.redaction.named import without_named
from ml_secrets.redaction.sweep import Sweep
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml_secrets.detect.patterns import Patterns

T = TypeVar("T")
_SHORTEST: Final = 16
MODES: Final = ("mask", "warn", "fail")


class Leaking(UserWarning):
    """A value of a secret was masked where a guard stands."""


class Clean:
    """What guards are given: `clean(thing, where)`."""

    def __init__(self, mode: str = "mask") -> None:
        self.mode = mode

    @property
    def mode(self) -> str:
        """One of MODES."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in MODES:
            raise Invalid(f"there is no mode {mode!r}", hint=f"one of {', '.join(MODES)}")
        self._mode = mode

    def __call__(self, thing: T, where: str, *, may_raise: bool = True) -> T:
        """The thing without known values. Raises `Leaked` in mode fail."""
        found, names = sweep(thing)
        self.found(names, where, may_raise=may_raise)
        return found

    def named(self, thing: T, where: str) -> T:
        """The same of what has names, such as a configuration: also without values whose names say that they are secrets (named.py)."""
        known = self(thing, where)
        found, names = without_named(known)
        self.found({f"“{name}”" for name in names}, where)
        return found  # type: ignore[no-any-return]

    def found(
        self, names: Iterable[str], where: str, *, may_raise: bool = True, changes: bool = False
    ) -> None:
        """Do what the mode says, if any value was found there. changes: masking changes what a program does, so it is said in mode mask, too."""
        told = ", ".join(sorted(names))
        if not told or (self._mode == "mask" and not changes):
            return
        if self._mode == "fail" and may_raise:
            raise Leaked(f"{where} would have been given the value of {told}", hint=_HINT)
        warnings.warn(
            Leaking(f"{where} would have been given the value of {told}; it was masked"), stacklevel=3
        )

    def swept(self, thing: T) -> tuple[T, set[str]]:
        """The thing without known values, and whose they were; the mode is asked by `found`."""
        return sweep(thing)

    def names_in(self, data: bytes) -> set[str]:
        """Whose values these bytes hold."""
        return {name for span in search(data) for name in span.names}


_HINT: Final = "name the secret instead, and reveal it where it is used"


def search(data: bytes) -> list[Span]:
    """Where known values stand in these bytes; and what looks like a secret, if that was asked for."""
    spans = KNOWN.search(data)[0]
    return spans if _unknown is None else sorted(spans + _looks_like_one(data, _unknown))


_unknown: Patterns | None = None


def look_for_unknown(*, wanted: bool) -> None:
    """Look for secrets by their shape, too. Raises `Unsupported` where the extra `detect` is not installed."""
    global _unknown  # noqa: PLW0603 - there is one process
    if wanted and _unknown is None:
        from ml_secrets.detect.patterns import Patterns  # noqa: PLC0415 - takes a third of a second

        _unknown = Patterns()
    elif not wanted:
        _unknown = None


def _looks_like_one(data: bytes, patterns: Patterns) -> list[Span]:
    """Only what a rule is certain of, and nothing that is a secret beside others only."""
    if len(data) < _SHORTEST:
        return []
    found = [each for each in patterns.find(data) if each.certain and not each.part]
    return [
        Span(each.start, each.end, frozenset({f"nobody known (it looks like {each.rule})"})) for each in found
    ]


def sweep(thing: T) -> tuple[T, set[str]]:
    """The thing without known values, and the names of those it had."""
    walk = Sweep(search)
    found: Any = walk.clean(thing)
    return found, walk.names


def redact(thing: T) -> T:
    """Text, bytes, or anything made of them, without the values that this process was handed out; see sweep.py for what is looked at."""
    KNOWN.watch()
    return sweep(thing)[0]


def know(**values: str | bytes | Sensitive) -> None:
    """Values that came from elsewhere (another SDK, a variable), by names that may be shown: `know(openai=os.environ["OPENAI_API_KEY"])`."""
    KNOWN.know(
        (name, value if isinstance(value, Sensitive) else Sensitive(value)) for name, value in values.items()
    )
