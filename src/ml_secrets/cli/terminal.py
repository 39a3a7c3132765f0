"""What we ask people, and how values come in.

Rules of prompts:
1. Only a terminal is asked. Without one nothing waits: the error names the way to give the value (stdin, @file).
2. A secret is never echoed, and asked twice when it is about to be stored.
3. Questions go to stderr, so that stdout holds the result and nothing else.
4. What cannot be undone is confirmed on a terminal (`--yes` skips it); a script has said what it means.
5. A secret from stdin loses the line end of a single line (`echo` adds it); anything longer is kept byte for byte.
6. Progress is drawn on stderr, and only on a terminal.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ml_secrets.cli.failures import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def is_terminal() -> bool:
    """True when a person sits at both ends: keys come in, and questions can be read."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_secret(what: str, *, twice: bool = False) -> str:
    """Ask for a secret without echo."""
    if not is_terminal():
        raise LocalError(
            f"{what} is missing, and there is no terminal to ask on",
            hint="give it on stdin with -, or in a file with @FILE",
        )
    answer: str = click.prompt(what, hide_input=True, confirmation_prompt=twice, err=True)
    return answer


def secret(what: str) -> str:
    """A secret from the terminal, else from stdin."""
    return ask_secret(what) if sys.stdin.isatty() else stdin_secret(what)


def ask(what: str) -> str:
    """Ask for something that is no secret."""
    if not is_terminal():
        raise LocalError(
            f"{what} is missing, and there is no terminal to ask on", hint="give it on the command line"
        )
    answer: str = click.prompt(what, err=True)
    return answer


def confirm(question: str, *, yes: bool) -> None:
    """Let a person think again. Raises `click.Abort` on a no."""
    if not yes and is_terminal():
        click.confirm(question, abort=True, err=True)


def stdin_text() -> str:
    """All of stdin as text. The error does not carry the bytes."""
    raw = sys.stdin.buffer.read()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise LocalError(
            "stdin is not UTF-8 text", hint="encode bytes first, for example with base64"
        ) from None


def stdin_secret(what: str) -> str:
    """A secret from stdin, by rule 5."""
    text = one_line(stdin_text())
    if not text:
        raise LocalError(
            f"{what} was expected on stdin, and stdin is empty", hint="pipe it in, or use a terminal"
        )
    return text


def one_line(text: str) -> str:
    """Drop the line end of a single line; keep several lines as they are."""
    body = text.removesuffix("\n").removesuffix("\r")
    return text if "\n" in body else body


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Draw progress while the block runs; call the function once per step done. Silent without a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only long work on a terminal needs it
    from rich.progress import Progress  # noqa: PLC0415 - as above

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def given(what: str, argument: str | None) -> str:
    """A secret that may stand on the command line, which is accepted with a warning; `-` or nothing: stdin or a prompt."""
    if argument is None or argument == "-":
        return secret(what)
    click.echo(
        f"warning: the {what} on the command line shows in the process list and the shell's history; give it on stdin",
        err=True,
    )
    return argument


def secret_lines(what: str) -> Iterator[str]:
    """Secrets one after another: asked for on a terminal without end, else the lines of stdin."""
    if sys.stdin.isatty():
        while True:
            yield ask_secret(what)
    yield from _stdin_lines()


def secret_list(what: str) -> list[str]:
    """As many secrets as there are: asked for on a terminal until one is empty, else the lines of stdin."""
    if not sys.stdin.isatty():
        return _stdin_lines()
    found: list[str] = []
    while answer := click.prompt(
        f"{what} {len(found) + 1} (empty: no more)", hide_input=True, default="", show_default=False, err=True
    ):
        found.append(answer)
    return found


def _stdin_lines() -> list[str]:
    return [line.strip() for line in stdin_text().splitlines() if line.strip()]
