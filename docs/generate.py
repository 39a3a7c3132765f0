"""Write the generated pages: `make docs`. tests/docs/test_generated.py keeps them equal to the code.

reference/cli.md        the help of every command
reference/api.md        every path of the API, read off the engines' declarations
reference/openapi.json  the same for programs
reference/errors.md     the error tree, with the status of each on the wire
decisions/README.md     the table of decision records
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ml_secrets import catalog, errors
from ml_secrets.cli import main as command_line
from ml_secrets.cli.failures import _NEXT
from ml_secrets.contract.readings.docs import reference
from ml_secrets.contract.readings.openapi import openapi
from ml_secrets.dialects.vault.faults import status_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.errors import MlSecretsError

DOCS: Final = Path(__file__).parent
_WIDTH: Final = 100
_NOTE: Final = "<!-- Written by docs/generate.py (`make docs`): do not edit. -->"
_MOUNTS: Final = (
    ("sys/", "system", "The server itself: `sys/`"),
    ("secret/", "kv-v2", "Secrets with versions: KV version 2, here at `secret/`"),
    ("kv/", "kv-v1", "Secrets without versions: KV version 1, here at `kv/`"),
    ("cubbyhole/", "cubbyhole", "A token's own place: `cubbyhole/`"),
    ("auth/token/", "token", "Tokens: `auth/token/`"),
    ("auth/userpass/", "userpass", "Names and passwords: here at `auth/userpass/`"),
    ("auth/approle/", "approle", "Roles for programs: here at `auth/approle/`"),
)
_SHARED: Final = re.compile(r"^Options of every command:\n(?: +.*\n)+\n?", re.MULTILINE)


def pages() -> dict[str, str]:
    """Every generated page: its path in docs/ -> text."""
    return {
        "reference/cli.md": cli(),
        "reference/api.md": api(),
        "reference/openapi.json": open_api(),
        "reference/errors.md": error_page(),
        "decisions/README.md": decisions(),
    }


# ── cli.md ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def cli() -> str:
    """The help of every command, as the program prints it. What all commands share is shown once."""
    parts = [
        "# Command line",
        _NOTE,
        (
            "The options of every command may stand before or after its name, and one dash does for two, as in Vault's CLI. "
            "Exit codes: 0 done; 1 the command line or this machine is at fault; 2 the server said no, or did not answer. "
            "`status`, `operator init --status`, `operator verify`, `operator backups status`, `policy lint`, `policy explain`, `policy simulate` and `audit verify` have a reading of their own, told in their help."
        ),
    ]
    for path, text in commands():
        shown = text if path == "ml-secrets" else _SHARED.sub("", text)
        parts += [f"## {path}", f"```text\n{shown.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def commands() -> Iterator[tuple[str, str]]:
    """(name, help) of every command, parents first."""
    front = command_line.front()
    yield from _commands(front, _context(front, "ml-secrets", None))


def _commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield context.command_path, command.get_help(context) + "\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _commands(found, _context(found, name, context))


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command, info_name=name, parent=parent, terminal_width=_WIDTH, max_content_width=_WIDTH
    )


# ── api.md and openapi.json ─────────────────────────────────────────────────────────────────────────────────────────


def api() -> str:
    """Every path of a server that has one mount of each kind."""
    parts = [
        "# HTTP API",
        _NOTE,
        (
            "Every path that this build serves, for a server with one mount of each kind; yours may have other mounts, and more of them. "
            "`ml-secrets path-help PATH` says the same about a path of a running server, "
            "and [openapi.json](openapi.json) holds it for programs.\n\n"
            "A token goes in the header `X-Vault-Token`, or as `Authorization: Bearer`. PUT does for POST. "
            'Durations are whole seconds or texts such as `"90s"`, `"1h30m"`, `"7d"`. '
            "[errors.md](errors.md) lists the statuses of refusals."
        ),
        (
            'One path is no engine\'s: `POST /v1/sys/batch` with `{"paths": ["secret/data/a", …]}` reads several paths in one call; '
            "each is authorised and audited by itself, and has its own status in the answer."
        ),
    ]
    for mount, kind, title in _MOUNTS:
        page = reference(catalog.load(kind), mount=mount, title=title)
        parts.append(re.sub(r"^(#+) ", r"#\1 ", page, flags=re.MULTILINE).strip())
    return "\n\n".join(parts) + "\n"


def open_api() -> str:
    """The same as an OpenAPI document."""
    document = openapi({mount: catalog.load(kind) for mount, kind, _ in _MOUNTS})
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


# ── errors.md ───────────────────────────────────────────────────────────────────────────────────────────────────────


def error_page() -> str:
    """The tree, then a row for each class."""
    tree = inspect.cleandoc(errors.__doc__ or "").split("\n\n")[1]
    parts = [
        "# Errors",
        _NOTE,
        (
            "Every error of ml-secrets is one of these classes, in `ml_secrets.errors` (those of the caller can be imported from `ml_secrets`, too). "
            "Match them by class. `message` says what happened and `hint` what to do next; neither ever holds a secret value."
        ),
        f"```text\n{inspect.cleandoc(tree)}\n```",
        'On the wire an error is `{"errors": ["message"], "hint": "what to do next"}` with this status:',
        "| class | status | meaning | what the CLI says when the server gives no hint |\n|---|---|---|---|\n"
        + "\n".join(_row(kind) for kind in error_classes()),
        (
            "`Incomplete` comes from reading several secrets at once: `errors` has the error of each by name. "
            "`Unreachable` is the client's own, and so is `Leaked`: the guards of `ml_secrets.redaction` raise it in mode `fail`."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def error_classes() -> list[type[MlSecretsError]]:
    """All classes but the root and the two families' names, in the order of the file."""
    found = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.MlSecretsError)
    ]
    return [kind for kind in found if kind not in (errors.MlSecretsError, errors.Refusal, errors.Fault)]


def _row(kind: type[MlSecretsError]) -> str:
    client_only = kind in (errors.Unreachable, errors.Incomplete, errors.Leaked)
    status = "" if client_only else str(status_of(kind()))
    meaning = inspect.cleandoc(kind.__doc__ or "").split("\n")[0]
    return f"| `{kind.__name__}` | {status} | {meaning} | {_NEXT.get(kind, '')} |"


# ── decisions/README.md ─────────────────────────────────────────────────────────────────────────────────────────────


def decisions() -> str:
    """A row for each record, by the number and the title in its first line."""
    rows = []
    for file in sorted((DOCS / "decisions").glob("[0-9]*.md")):
        first = file.read_text(encoding="utf-8").partition("\n")[0]
        number, _, title = first.removeprefix("# ").partition(". ")
        rows.append(f"| [{number}]({file.name}) | {title[:1].upper()}{title[1:]} |")
    parts = [
        "# Decisions",
        _NOTE,
        (
            "Why something is as it is, with the options that lost. A record is a page at most, is numbered in order, "
            "and is not rewritten: a later one replaces it."
        ),
        "| | |\n|---|---|\n" + "\n".join(rows),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the pages, and say which changed."""
    for name, text in pages().items():
        file = DOCS / name
        changed = not file.exists() or file.read_text(encoding="utf-8") != text
        file.write_text(text, encoding="utf-8")
        print(f"{'written  ' if changed else 'unchanged'} docs/{name}")


if __name__ == "__main__":
    main()
