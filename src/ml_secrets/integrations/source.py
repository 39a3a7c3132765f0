"""The one seam of the refreshers: what they draw credentials from, and how they find their way in it.

A name stands for a live secret (`ml_secrets.live`). Whatever has the methods of `Source` does as well: credentials with a
lease (`ml_secrets.client.leased`) are a `Secret` with `ends_at`, and others come in good time before that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from ml_secrets.client.default import live
from ml_secrets.errors import Invalid, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.client.secret import Secret

USER: Final = ("username", "user")
PASSWORD: Final = ("password",)


class Source(Protocol):
    """Something that always has current credentials."""

    def get(self) -> Secret:
        """Those to use now. Looked at before each use, so it is quick."""
        ...

    def refresh(self) -> Secret:
        """The same, asked for anew: those that there were do not serve."""
        ...

    def on_change(self, callback: Callable[[Secret | None], object], /) -> object:
        """Have it called whenever there are others."""
        ...


def source(what: str | Source) -> Source:
    """The live secret of that name, or what was given."""
    return live(what) if isinstance(what, str) else what


def part(secret: Secret, *names: str) -> str:
    """The first of these fields that there is. Raises `Invalid` that names those there are."""
    found = optional(secret, *names)
    if found is None:
        raise Invalid(
            f"{secret.name!r} has none of the fields {', '.join(names)}",
            hint=f"it has {', '.join(sorted(secret)) or 'none'}",
        )
    return found


def optional(secret: Secret, *names: str) -> str | None:
    """The same; None where there is none of them."""
    return next((secret[name].reveal() for name in names if name in secret), None)


def library(name: str, package: str = "") -> Any:
    """A library that is there only for those who use it. Raises `Unsupported` that says what to install."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name
    raise Unsupported(f"this needs {missing}", hint=f"pip install {package or name.partition('.')[0]}")


def login_of(secret: Secret) -> dict[str, str]:
    """User and password, as drivers of databases call them."""
    return {"user": part(secret, *USER), "password": part(secret, *PASSWORD)}


def logged_in(kept: Source, connect: Callable[[dict[str, str]], Any]) -> tuple[Any, Secret]:
    """A connection made with the login of now, and which that was; where that fails once more, if there is another login by then."""
    secret = kept.get()
    try:
        return connect(login_of(secret)), secret
    except Exception:
        another = another_login(kept, secret)
        if another is None:
            raise
    return connect(login_of(another)), another


def another_login(kept: Source, refused: Secret) -> Secret | None:
    """The login of now, asked for anew; None if it is the one that was refused."""
    found = kept.refresh()
    return None if same_login(found, refused) else found


def same_login(one: Secret, other: Secret) -> bool:
    """Are user and password the same?"""
    return one is other or all(one[field] == other[field] for field in (*USER, *PASSWORD) if field in other)
