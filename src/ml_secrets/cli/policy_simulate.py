"""`ml-secrets policy simulate`: what the server would decide, for one request or many, without making any.

The server decides, since it alone knows which operation a path means, and whose policies one may see. OpenBao has no such
operation; `policy explain` answers there, from the policies' text.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import arguments, output, terminal
from ml_secrets.cli.command import Command
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from ml_secrets.cli.command import Noun

_SIMULATE = "sys/policies/simulate"


def declare(policy: Noun) -> None:
    """Give the noun `policy` its verb `simulate`."""
    policy.add_command(simulate)


@click.command(
    "simulate",
    cls=Command,
    example="ml-secrets policy simulate read secret/data/app/db\nml-secrets policy simulate --policy team-a update secret/data/team-a/db ttl=1h\nml-secrets policy simulate --file team-a.hcl --requests asks.txt",
)
@click.option(
    "--policy", "names", multiple=True, metavar="NAME", help="By this stored policy. May be repeated."
)
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    help="By the policy in this file, in place of a stored one of that name. May be repeated.",
)
@click.option("--accessor", metavar="ACCESSOR", help="By the policies of this accessor's token.")
@click.option(
    "--requests",
    metavar="FILE | -",
    help="Many requests: one OPERATION PATH [KEY=VALUE]... a line, or the API's list as JSON.",
)
@click.argument("operation", required=False, metavar="[OPERATION")
@click.argument("path", required=False, metavar="PATH")
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]...]")
@session
def simulate(
    run: Session,
    operation: str | None,
    path: str | None,
    parameters: tuple[str, ...],
    *,
    names: tuple[str, ...],
    files: tuple[str, ...],
    accessor: str | None,
    requests: str | None,
) -> int:
    """Ask the server what it would allow: which rule decides, and what is missing.

    OPERATION is create, read, update, patch, delete, list or scan. Without --policy, --file and --accessor, it is your
    own token that is asked about. Exit code: 0 all is allowed, 1 something is not.
    """
    if (requests is None) == (path is None):
        raise click.UsageError("give an operation and a path, or --requests")
    asked = (
        [_request(str(operation), str(path), arguments.data(parameters))] if path else _read(str(requests))
    )
    body: dict[str, Any] = {"requests": asked}
    body |= {"policies": list(names)} if names else {}
    body |= {"proposed": {Path(file).stem: arguments.file_text(file) for file in files}} if files else {}
    body |= {"accessor": accessor} if accessor else {}
    chosen = names or files or accessor
    answer = run.write(_SIMULATE if chosen else f"{_SIMULATE}-self", body).data
    _show(run, answer)
    return output.OK if answer["allowed"] else output.LOCAL


def own(run: Session, operation: str, path: str) -> dict[str, Any]:
    """What the server says of one request of the caller's own token."""
    answer = run.write(f"{_SIMULATE}-self", {"requests": [_request(operation, path, {})]})
    row: dict[str, Any] = answer.data["results"][0]
    return row


def _request(operation: str, path: str, parameters: dict[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = {"operation": operation, "path": path}
    return asked | {"parameters": parameters} if parameters else asked


def _read(source: str) -> list[dict[str, Any]]:
    text = terminal.stdin_text() if source == "-" else arguments.file_text(source)
    if text.lstrip().startswith("["):
        found: list[dict[str, Any]] = arguments.json_object(f'{{"requests":{text}}}', source)["requests"]
        return found
    return [
        _line(number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _line(number: int, line: str) -> dict[str, Any]:
    try:
        operation, path, *rest = shlex.split(line)
    except ValueError:
        raise LocalError(
            f"line {number} is not of the form OPERATION PATH [KEY=VALUE]...",
            hint="such as: read secret/data/app/db",
        ) from None
    parameters = dict(pair.partition("=")[::2] for pair in rest)
    return _request(operation, path, parameters)


def _show(run: Session, answer: dict[str, Any]) -> None:
    rows = answer["results"]
    if len(rows) == 1:
        run.show(rows[0], output.pairs(shown(rows[0])))
        return
    lines = [
        (
            "yes" if row["allowed"] else "no",
            row["operation"],
            row["path"],
            row["rule"] or "-",
            row["explanation"],
        )
        for row in rows
    ]
    run.show(answer, output.table(("Allowed", "Operation", "Path", "Rule", "Why"), lines))


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A decision as people see it."""
    return {
        "Allowed": "yes" if row["allowed"] else "no",
        "Rule": row["rule"] or "",
        "Policies": row["policies"],
        "Why": row["explanation"],
    }
