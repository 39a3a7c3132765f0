"""`ml-secrets audit`: the devices that record every request. Reading their logs is in audit_logs.py."""

from __future__ import annotations

import click

from ml_secrets.cli import arguments, audit_logs, output
from ml_secrets.cli.command import Noun
from ml_secrets.cli.session import Session, session


@click.group(
    "audit", cls=Noun, example="ml-secrets audit enable file file_path=/var/log/ml-secrets/audit.log"
)
def audit() -> None:
    """Enable audit devices; verify, follow and report on their logs."""


@audit.verb("list", example="ml-secrets audit list")
@session
def list_(run: Session) -> None:
    """List the audit devices."""
    found = run.read("sys/audit").data
    rows = [
        (
            path,
            device.get("type", ""),
            output.cell(device.get("description")),
            output.cell(device.get("options")),
        )
        for path, device in sorted(found.items())
    ]
    run.show(found, output.table(("Path", "Type", "Description", "Options"), rows))


@audit.verb(
    "enable",
    example="ml-secrets audit enable file file_path=/var/log/ml-secrets/audit.log\nml-secrets audit enable --path second socket address=127.0.0.1:9000 socket_type=tcp",
)
@click.option("--path", metavar="PATH", help="The device's name. Default: its type.")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@click.argument("kind", metavar="TYPE")
@click.argument("options", nargs=-1, metavar="[KEY=VALUE]...")
@session
def enable(run: Session, kind: str, options: tuple[str, ...], path: str | None, description: str) -> None:
    """Enable an audit device. It must be able to write, or it is refused."""
    place = (path or kind).strip("/")
    run.write(
        f"sys/audit/{place}", {"type": kind, "description": description, "options": arguments.data(options)}
    )
    run.done(f"Enabled the {kind} audit device at {place}/")


@audit.verb("disable", example="ml-secrets audit disable file")
@click.argument("path")
@session
def disable(run: Session, path: str) -> None:
    """Disable an audit device. What it wrote stays."""
    run.delete(f"sys/audit/{path.strip('/')}")
    run.done(f"Disabled the audit device at {path.strip('/')}/, if it was there")


audit_logs.declare(audit)
