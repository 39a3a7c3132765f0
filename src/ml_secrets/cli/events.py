"""`ml-secrets events`: changes of secrets as they happen, one line each. Never a value."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Noun
from ml_secrets.cli.events_webhook import webhook
from ml_secrets.cli.events_which import of_changes
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from ml_secrets.client import Event


@click.group("events", cls=Noun, example="ml-secrets events tail --path secret/team-a")
def events() -> None:
    """Be told of changes of secrets as they happen; have other programs told."""


events.add_command(webhook)


@events.verb(
    "tail",
    example="ml-secrets events tail --path secret/team-a\nml-secrets events tail --kind write --kind remove --format json",
)
@of_changes
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many.")
@session
def tail(run: Session, path: str, kinds: tuple[str, ...], count: int | None) -> None:
    """Tell of each change of a secret that you may read or list, until interrupted.

    "missed" says that there may have been changes which cannot be told any more.
    """
    for event in islice(run.client.events(path, kinds=kinds), count):
        _tell(run, event)


def _tell(run: Session, event: Event) -> None:
    """One line for each: for programs one JSON object."""
    if run.field is not None or run.chosen_format() == "yaml":
        run.show(asdict(event))
    elif run.chosen_format() == "json":
        click.echo(output.as_line(asdict(event)))
    elif not event.path:
        click.echo(f"{event.kind}: read again what you hold")
    else:
        version = f" version {event.version}" if event.version else ""
        click.echo(output.visible(f"{event.time} {event.kind} {event.mount}/{event.path}{version}"))
