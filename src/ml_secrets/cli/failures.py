"""Errors as people read them: what happened, then what to do next. Never a traceback, never a secret value."""

from __future__ import annotations

import errno
import os
import re
from typing import Any, Final

import click

from ml_secrets import errors
from ml_secrets.cli import output

_OPTION: Final = re.compile(r"--?[a-z][a-z-]{0,30}", re.ASCII)
_PACKAGE: Final = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - help is quicker without pathlib

_NEXT: Final[dict[type[errors.MlSecretsError], str]] = {
    errors.Unauthenticated: "log in first: ml-secrets login",
    errors.Denied: "see what your token may do there: ml-secrets token capabilities PATH",
    errors.Invalid: "see what a path takes: ml-secrets path-help PATH",
    errors.NotFound: "check the path: ml-secrets list PREFIX",
    errors.Conflict: "read the present version and try again with its number",
    errors.TooLarge: "split it, or keep large things in object storage and their key here",
    errors.Limited: "wait a moment and try again",
    errors.Sealed: "unseal the server: ml-secrets operator unseal",
    errors.Unreachable: "is the server up? Its address comes from --address or ML_SECRETS_ADDR; ml-secrets server --dev starts one to play with",
    errors.AuditFault: "free or repair the server's audit device",
}

_SYSTEM: Final = {
    errno.ENOENT: "check the name and its folder",
    errno.ENOTDIR: "check the name and its folder",
    errno.EISDIR: "name a file, not a folder",
    errno.EACCES: "it takes rights that you do not have there",
    errno.EPERM: "it takes rights that you do not have there",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room on that disk",
}


class LocalError(click.ClickException):
    """The command line or this machine is at fault; no server was asked."""

    exit_code = output.LOCAL

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def at_fault_here(error: errors.MlSecretsError) -> LocalError:
    """The same error where no server said no: exit code 1."""
    return LocalError(error.message, hint=error.hint)


def explain(error: BaseException, *, debug: bool = False) -> tuple[str, int]:
    """The text for stderr and the exit code."""
    match error:
        case errors.MlSecretsError():
            return _lines(error.message or _plain_name(error), error.hint or _next_step(error)), output.SERVER
        case click.UsageError():
            path = error.ctx.command_path if error.ctx else "ml-secrets"
            return _lines(_usage(error), f"see {path} --help"), output.LOCAL
        case click.ClickException():
            return _lines(error.format_message(), getattr(error, "hint", "")), output.LOCAL
        case click.Abort() | KeyboardInterrupt():
            return "Stopped.", output.LOCAL
        case OSError() | UnicodeEncodeError():
            return _lines(*_of_system(error)), output.LOCAL
        case _:
            where = f"{type(error).__name__} at {location(error)}" if debug else "add --debug to see where"
            return _lines("something unexpected happened; this is a fault in ml-secrets", where), output.LOCAL


def _usage(error: click.UsageError) -> str:
    """Click's text, but for what was typed in the wrong place: it may be a secret."""
    if isinstance(error, click.NoSuchOption) and not _OPTION.fullmatch(error.option_name):
        return "there is no such option"
    if isinstance(error, click.BadParameter) and error.param is not None:
        taken = _taken(error.param)
        if taken and isinstance(error, click.MissingParameter):
            return f"{_name(error.param)} is missing; it is {taken}"
        if taken:
            return f"{_name(error.param)} must be {taken}"
    return error.format_message()


def _name(param: click.Parameter) -> str:
    return max(param.opts, key=len) if isinstance(param, click.Option) else (param.name or "").upper()


def _taken(param: click.Parameter) -> str:
    """What it takes, where click would show what it was given instead."""
    match param.type:
        case click.Choice(choices=choices):
            return f"one of {', '.join(choices)}" if len(choices) > 1 else f"{choices[0]} and nothing else"
        case click.IntRange(min=least):
            return f"a whole number, {least} or more"
        case _:
            return ""


def _not_text(error: UnicodeEncodeError) -> tuple[str, str]:
    """Bytes that are no text came in by an argument or a variable, or the terminal cannot show what goes out."""
    if error.encoding == "utf-8":
        return (
            "an argument or a variable holds bytes that are not UTF-8 text",
            "encode bytes first, for example with base64",
        )
    return f"the answer holds characters that {error.encoding} has not", "set PYTHONIOENCODING=utf-8"


def location(error: BaseException) -> str:
    """Where it was raised: files, lines and functions, innermost last. No source text, no values."""
    import traceback  # noqa: PLC0415 - only for --debug

    frames = traceback.extract_tb(error.__traceback__, limit=-4)
    return " > ".join(f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames)


def _short(filename: str) -> str:
    inside = filename.startswith(_PACKAGE)
    return os.path.relpath(filename, _PACKAGE) if inside else os.path.basename(filename)  # noqa: PTH119 - as above


def _lines(message: str, hint: str) -> str:
    text = output.visible(f"Error: {message.strip()}")
    return f"{text}\n  next: {output.visible(hint)}" if hint else text


def _next_step(error: errors.MlSecretsError) -> str:
    return next((text for kind, text in _NEXT.items() if isinstance(error, kind)), "")


def _plain_name(error: errors.MlSecretsError) -> str:
    """A text for an error without one, such as a bare 404."""
    return {"NotFound": "nothing there", "Unsupported": "that path does not do this"}.get(
        type(error).__name__, type(error).__name__
    )


def system_hint(error: OSError) -> str:
    """What to do about a file that cannot be read or written."""
    return _SYSTEM.get(error.errno or 0, "")


def _of_system(error: OSError | UnicodeEncodeError) -> tuple[str, str]:
    if isinstance(error, UnicodeEncodeError):
        return _not_text(error)
    name: Any = error.filename
    return f"{error.strerror or type(error).__name__}{f': {name}' if name else ''}", system_hint(error)
