"""`ml-secrets wrap` and `unwrap`: hand a secret over by a token that can be used once."""

from __future__ import annotations

import click

from ml_secrets.cli import arguments, terminal
from ml_secrets.cli.command import Command
from ml_secrets.cli.session import Session, session


@click.command("wrap", cls=Command, example="ml-secrets wrap --wrap-ttl 10m password=-")
@click.argument("data", nargs=-1, required=True, metavar="KEY=VALUE...")
@session
def wrap(run: Session, data: tuple[str, ...]) -> None:
    """Wrap data into a single-use token.

    It lives for 5 minutes, unless --wrap-ttl says otherwise.
    """
    run.wrap_ttl = run.wrap_ttl or "5m"
    run.show_answer(run.write("sys/wrapping/wrap", arguments.data(data), wrap=True))


@click.command(
    "unwrap", cls=Command, example="ml-secrets unwrap < wrapping-token\nml-secrets unwrap --field password -"
)
@click.argument("token", required=False, metavar="[TOKEN | -]")
@session
def unwrap(run: Session, token: str | None) -> None:
    """Take the content out of a wrapping token, once.

    The token comes from stdin, or is asked for.
    """
    run.show_answer(run.write("sys/wrapping/unwrap", {"token": terminal.given("wrapping token", token)}))
