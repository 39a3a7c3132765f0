"""`Job`: everything that is delivered to one job, and what of it flags on the command line say."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from ml_secrets.agent.files import fits
from ml_secrets.agent.texts import Text
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ml_secrets.agent.contents import Content
    from ml_secrets.agent.reference import Reference

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_MODE: Final = re.compile(r"0?[0-7]{3}", re.ASCII)
Way = Literal["file", "env", "stdin"]


class Change(msgspec.Struct, frozen=True):
    """What is done once a file holds something new. All empty: nothing."""

    signal: int = 0
    command: tuple[str, ...] = ()
    restart: bool = False


class Delivery(msgspec.Struct, frozen=True):
    """One thing that is delivered: a file whose path `variable` will hold, a `variable` itself, or standard input ("").

    `name` is the file's; `owner` is user and group by number, None for whoever runs this.
    """

    way: Way
    variable: str
    content: Content
    name: str = ""
    mode: int = 0o400
    owner: tuple[int, int] | None = None
    on_change: Change = Change()


class Restart(msgspec.Struct, frozen=True):
    """How a command is started anew: `signal` ends it, SIGKILL `seconds` later. `most`: how often at most; 0 is no limit."""

    signal: int = signal.SIGTERM
    seconds: float = 10.0
    most: int = 0


class Job(msgspec.Struct, frozen=True):
    """Deliveries, each variable once. No two files have one name. `together`: all files are exchanged at once."""

    deliveries: tuple[Delivery, ...] = ()
    restart: Restart = Restart()
    together: bool = False

    def __post_init__(self) -> None:
        names = [one.name for one in self.of("file")]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise Invalid(f"two files are to be named {twice}", hint="give one of them another name")
        if self.together and len({one.owner for one in self.of("file")}) > 1:
            raise Invalid("files that are exchanged together have one owner", hint="or leave together out")

    def of(self, way: Way) -> tuple[Delivery, ...]:
        """Those that are delivered in this way."""
        return tuple(one for one in self.deliveries if one.way == way)

    @property
    def references(self) -> tuple[Reference, ...]:
        """Everything that is to be fetched, each once."""
        return tuple(dict.fromkeys(found for one in self.deliveries for found in one.content.references))

    def with_more(self, more: Iterable[Delivery]) -> Job:
        """With these as well; one for a variable that has one takes its place."""
        deliveries = {one.variable: one for one in (*self.deliveries, *more)}
        return msgspec.structs.replace(self, deliveries=tuple(deliveries.values()))

    @property
    def restarts(self) -> bool:
        """Is there anything that has the command started anew?"""
        return any(one.on_change.restart for one in self.deliveries)


# ── flags ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def file_flags(flags: Sequence[str]) -> list[Delivery]:
    """`--file NAME_FILE=secret://…`. What is wrong is told by its number: it may be a value."""
    found = _pairs("--file", flags)
    return [Delivery("file", name, text, name=file_name(name)) for name, text in found.items()]


def env_flags(flags: Sequence[str]) -> list[Delivery]:
    """`--env NAME=secret://…`."""
    return [Delivery("env", name, text) for name, text in _pairs("--env", flags).items()]


def stdin_flag(flag: str | None) -> list[Delivery]:
    """`--stdin secret://…`."""
    return [] if flag is None else [Delivery("stdin", "", secret_text(flag, "--stdin"))]


def _pairs(option: str, flags: Sequence[str]) -> dict[str, Text]:
    found: dict[str, Text] = {}
    for number, flag in enumerate(flags, 1):
        where = option if len(flags) == 1 else f"{option} number {number}"
        name, _, text = flag.partition("=")
        if not _VARIABLE.fullmatch(name):
            raise Invalid(
                f"{where} is not of the form NAME=secret://MOUNT/PATH#FIELD",
                hint="NAME is a variable: letters, digits and _",
            )
        if name in found:
            raise Invalid(f"{where}: {name} is there already", hint="keep one of the two")
        found[name] = secret_text(text, f"{where}, {name}")
    return found


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def secret_text(text: str, where: str) -> Text:
    """A text with at least one reference. Raises `Invalid` without showing a text that has none."""
    found = plain_text(text, where)
    if not found.references:
        raise Invalid(
            f"{where}: there is no reference in what stands there",
            hint="write secret://MOUNT/PATH#FIELD; values do not belong in declarations or on command lines",
        )
    return found


def plain_text(text: str, where: str) -> Text:
    """A text that may have references."""
    try:
        return Text.parse(text)
    except Invalid as error:
        raise Invalid(f"{where}: {error.message}", hint=error.hint) from None


def variable(name: str, where: str) -> str:
    """A variable's name, checked."""
    if not _VARIABLE.fullmatch(name):
        raise Invalid(f"{where}: {name!r} is no name for a variable", hint="use letters, digits and _")
    return name


def file_name(variable: str) -> str:
    """The file's name when none is given: DB_PASSWORD_FILE is in db_password, as containers have it."""
    return (variable.removesuffix("_FILE") or variable).lower()


def checked_name(name: str, where: str) -> str:
    """A file's name, checked."""
    if not fits(name):
        raise Invalid(f"{where}: {name!r} is no name for one file", hint="leave slashes out")
    return name


def mode_of(text: str, where: str) -> int:
    """A mode written in octal."""
    mode = int(text, 8) if _MODE.fullmatch(text) else 0
    if not mode & 0o400 or mode & ~0o660:
        raise Invalid(
            f"{where}: the mode is not one for a secret", hint='write "0400", or "0440" for a group'
        )
    return mode


def owner_of(text: str, where: str) -> tuple[int, int]:
    """USER or USER:GROUP, by name or number. Only root gives files away."""
    import grp  # noqa: PLC0415 - rarely needed
    import pwd  # noqa: PLC0415 - as above

    user, _, group = text.partition(":")
    try:
        number = int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid
        if not group:
            owner = number, pwd.getpwuid(number).pw_gid
        else:
            owner = number, int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except (KeyError, ValueError, OverflowError):
        raise Invalid(
            f"{where}: there is no such user or group here", hint="write app:app, or numbers: 1000:1000"
        ) from None
    if os.geteuid() not in {0, number}:
        raise Invalid(f"{where}: only root gives files away", hint="leave the owner out, or run it as root")
    return owner


def change_of(given: object, where: str) -> Change:
    """What `on-change` says: a signal's name, "restart", or a command as a list."""
    if given == "restart":
        return Change(restart=True)
    if isinstance(given, str):
        number = getattr(signal, f"SIG{given.removeprefix('SIG')}", None)
        if isinstance(number, signal.Signals):
            return Change(signal=int(number))
    if isinstance(given, list) and given and all(isinstance(word, str) and word for word in given):
        return Change(command=tuple(given))
    raise Invalid(
        f"{where}: this is nothing to do on a change",
        hint='a signal ("HUP"), "restart", or a command as a list (["nginx", "-s", "reload"])',
    )
