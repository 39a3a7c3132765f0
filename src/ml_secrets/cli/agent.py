"""`ml-secrets agent`: the process that stays, and keeps files and programs in fresh secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import output
from ml_secrets.cli.arguments import file_text
from ml_secrets.cli.command import Noun
from ml_secrets.cli.declaring import at_fault
from ml_secrets.cli.log import log_of
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.agent.resident.config import Config

_CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="Its configuration: ours (TOML), or a Vault agent's (HCL, JSON).",
)


@click.group(
    "agent",
    cls=Noun,
    example="ml-secrets agent check --config agent.toml\nml-secrets agent run --config agent.toml",
)
def agent() -> None:
    """Keep files, programs and other processes on this machine in fresh secrets."""


@agent.verb("run", example="ml-secrets agent run --config /etc/ml-secrets/agent.toml")
@_CONFIG
@click.option("--once", is_flag=True, help="Log in, write everything, and end.")
@session
def run(run: Session, config: Path, *, once: bool) -> int:
    """Run an agent until it is told to stop. SIGHUP has it read its configuration anew.

    The exit code is that of the program it runs, where there is one that ended by itself.
    """
    from ml_secrets.agent.resident.agent import Agent  # noqa: PLC0415 - help loads no client

    with at_fault():
        return Agent(_reader(run, config, once=once), log_of("agent")).run()


@agent.verb("check", example="ml-secrets agent check --config agent.hcl --format json")
@_CONFIG
@session
def check(run: Session, config: Path) -> None:
    """Check a configuration and its templates, and show what would be done. Asks no server."""
    with at_fault():
        run.show(_described(_reader(run, config, once=False)()))


@agent.verb("convert", example="ml-secrets agent convert db.env.ctmpl > db.env.j2")
@click.option("--left", default="{{", show_default=True, metavar="TEXT", help="What begins an action.")
@click.option("--right", default="}}", show_default=True, metavar="TEXT", help="What ends one.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@session
def convert(run: Session, file: Path, left: str, right: str) -> None:
    """Convert a Vault agent's template (Go) to ours (Jinja2), or say which line cannot be.

    What comes out is printed, and nothing else is done.
    """
    from ml_secrets.agent.resident.go import converted  # noqa: PLC0415 - as above
    from ml_secrets.agent.resident.template import Template  # noqa: PLC0415 - as above

    with at_fault():
        text = converted(file_text(str(file)), str(file), left, right)
        template = Template(text, str(file))
    secrets = sorted(str(one) for one in template.references)
    run.show({"template": text, "secrets": secrets}, text.removesuffix("\n"))


@agent.verb("health", example="ml-secrets agent health --socket /run/app/agent.sock")
@click.option("--socket", "at", metavar="PATH", help="The agent's socket.")
@click.option("--tcp", metavar="HOST:PORT", help="Where it listens on loopback.")
@session
def health(run: Session, at: str | None, tcp: str | None) -> int:
    """Ask a running agent how it is. Exit code: 0 all is there and fresh, 2 it is not, 1 nobody answers.

    States: fine, troubled (something stays as it was; see problems), starting, stale.
    """
    from ml_secrets.agent.resident.probe import probe  # noqa: PLC0415 - as above

    if (at is None) == (tcp is None):
        raise click.UsageError("say one of --socket and --tcp")
    with at_fault():
        serves, report = probe(at, tcp)
    run.show(report)
    return output.OK if serves else output.SERVER


def _reader(run: Session, file: Path, *, once: bool) -> Callable[[], Config]:
    from dataclasses import replace  # noqa: PLC0415 - as above

    from ml_secrets.agent.resident.load import load  # noqa: PLC0415 - as above

    path = file.absolute()

    def read() -> Config:
        found = load(path)
        server = replace(
            found.server,
            address=run.address or found.server.address,
            namespace=run.namespace or found.server.namespace,
        )
        return replace(found, server=server, once=once or found.once)

    return read


def _described(config: Config) -> dict[str, Any]:
    """What is asked for: names and paths, never a value."""
    program = config.program
    return {
        "server": config.server.address or "as the surroundings say",
        "login": config.method.name,
        "sinks": [str(one.place.path) for one in config.sinks],
        "files": [str(one.place.path) for one in config.wanted],
        "secrets": sorted({str(one) for wanted in config.wanted for one in wanted.template.references}),
        "program": [] if program is None else list(program.command),
        "variables": [] if program is None else list(program.variables),
        "listeners": [str(one.socket or one.tcp) for one in config.listeners],
        "aws": "" if config.aws is None else config.aws.tcp,
        "notes": list(config.notes),
    }
