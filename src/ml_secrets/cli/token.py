"""`ml-secrets token`: tokens, how long they live and what they may do."""

from __future__ import annotations

from typing import Any

import click

from ml_secrets.cli import output, terminal
from ml_secrets.cli.arguments import data
from ml_secrets.cli.command import Noun
from ml_secrets.cli.session import Session, session


@click.group("token", cls=Noun, example="ml-secrets token create --policy team-a --ttl 1h")
def token() -> None:
    """Make, look up, renew and revoke tokens; see what they may do."""


@token.verb(
    "create",
    example="ml-secrets token create --policy team-a --ttl 1h\nml-secrets token create --role ci --field token",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="NAME",
    help="A policy of the token. May be repeated. Default: your own.",
)
@click.option("--ttl", metavar="TTL", help="How long it lives.")
@click.option(
    "--explicit-max-ttl", metavar="TTL", help="How long it lives at most, however often it is renewed."
)
@click.option("--period", metavar="TTL", help="Renewable for ever, each time for so long. Needs sudo.")
@click.option(
    "--use-limit", "num_uses", type=click.IntRange(1), metavar="N", help="Works for so many requests."
)
@click.option("--display-name", metavar="NAME", help="A name for the audit log.")
@click.option(
    "--metadata", "meta", multiple=True, metavar="KEY=VALUE", help="A note on the token. May be repeated."
)
@click.option(
    "--type", "kind", type=click.Choice(("service", "batch")), help="batch: not stored, cannot be renewed."
)
@click.option("--orphan", "no_parent", is_flag=True, help="Lives on when your token ends.")
@click.option("--no-default-policy", is_flag=True, help="Without the policy named default.")
@click.option(
    "--read-only", is_flag=True, help="It reads and lists what its policies let it, and changes nothing."
)
@click.option("--renewable/--no-renewable", default=None, help="Whether it can be renewed.")
@click.option("--role", metavar="NAME", help="By the rules of a token role.")
@session
def create(run: Session, role: str | None, **given: Any) -> None:
    """Make a token."""
    body = {name: value for name, value in given.items() if value}
    body |= {"renewable": given["renewable"]} if given["renewable"] is not None else {}
    body |= {"type": body.pop("kind")} if "kind" in body else {}
    body |= {"policies": list(given["policies"])} if given["policies"] else {}
    body |= {"meta": data(given["meta"])} if given["meta"] else {}
    run.show_answer(run.write(f"auth/token/create/{role}" if role else "auth/token/create", body, wrap=True))


@token.verb(
    "lookup", example="ml-secrets token lookup\nml-secrets token lookup --accessor yq8eJnJdVfBNbeJbbTXP8vBZ"
)
@click.option("--accessor", metavar="ACCESSOR", help="The token that has this accessor.")
@click.argument("other", required=False, metavar="[TOKEN | -]")
@session
def lookup(run: Session, accessor: str | None, other: str | None) -> None:
    """Show a token: your own, or one from stdin (-)."""
    run.show_answer(
        run.write(*_target("lookup", accessor, other))
        if accessor or other
        else run.read("auth/token/lookup-self")
    )


@token.verb("renew", example="ml-secrets token renew --increment 1h")
@click.option("--accessor", metavar="ACCESSOR", help="The token that has this accessor.")
@click.option("--increment", metavar="TTL", help="From now, for so long. Default: as at first.")
@click.argument("other", required=False, metavar="[TOKEN | -]")
@session
def renew(run: Session, accessor: str | None, increment: str | None, other: str | None) -> None:
    """Renew a token: your own, or one from stdin (-)."""
    path, body = _target("renew", accessor, other)
    run.show_answer(run.write(path, body | ({"increment": increment} if increment else {})))


@token.verb(
    "revoke",
    example="ml-secrets token revoke --self\nml-secrets token revoke --accessor yq8eJnJdVfBNbeJbbTXP8vBZ",
)
@click.option("--self", "own", is_flag=True, help="Your own token.")
@click.option("--accessor", metavar="ACCESSOR", help="The token that has this accessor.")
@click.option("--orphan", is_flag=True, help="Its children live on.")
@click.argument("other", required=False, metavar="[TOKEN | -]")
@session
def revoke(run: Session, accessor: str | None, other: str | None, *, own: bool, orphan: bool) -> None:
    """Revoke a token and everything that came from it."""
    if [own, bool(accessor), bool(other)].count(True) != 1:
        raise click.UsageError("say which one: --self, --accessor, or - for a token on stdin")
    if orphan and not other:
        raise click.UsageError("--orphan takes the token itself, on stdin (-)")
    path, body = _target("revoke", accessor, other)
    run.write("auth/token/revoke-orphan" if orphan else path, body)
    run.done("Revoked, if it was there")


@token.verb("capabilities", example="ml-secrets token capabilities secret/data/app/db sys/mounts")
@click.option(
    "--accessor", metavar="ACCESSOR", help="Of the token that has this accessor. Default: your own."
)
@click.option("--token", "other", metavar="-", type=click.Choice(("-",)), help="Of a token on stdin.")
@click.argument("paths", nargs=-1, required=True)
@session
def capabilities(run: Session, paths: tuple[str, ...], accessor: str | None, other: str | None) -> None:
    """Show what a token may do at each path."""
    body: dict[str, Any] = {"paths": list(paths)}
    if other:
        found = run.write("sys/capabilities", body | {"token": terminal.secret("token")}).data
    elif accessor:
        found = run.write("sys/capabilities-accessor", body | {"accessor": accessor}).data
    else:
        found = run.write("sys/capabilities-self", body).data
    rights = {path: found.get(path, []) for path in paths}
    run.show(
        rights,
        output.table(("Path", "Capabilities"), [(path, ", ".join(names)) for path, names in rights.items()]),
    )


def _target(verb: str, accessor: str | None, other: str | None) -> tuple[str, dict[str, Any]]:
    """Path and body for a token: by accessor, given, or one's own."""
    if accessor and other:
        raise click.UsageError("--accessor and a token do not go together")
    if accessor:
        return f"auth/token/{verb}-accessor", {"accessor": accessor}
    if other:
        return f"auth/token/{verb}", {"token": terminal.given("token", other)}
    return f"auth/token/{verb}-self", {}
