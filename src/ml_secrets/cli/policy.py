"""`ml-secrets policy`: what tokens may do, as text on the server. What it comes to: policy_lint.py, policy_explain.py, policy_simulate.py."""

from __future__ import annotations

import click

from ml_secrets.cli import arguments, policy_explain, policy_lint, policy_simulate, terminal
from ml_secrets.cli.command import Noun
from ml_secrets.cli.policy_texts import ACL, record
from ml_secrets.cli.session import Session, session


@click.group("policy", cls=Noun, example="ml-secrets policy write team-a team-a.hcl")
def policy() -> None:
    """Read, write, check, explain and simulate policies."""


@policy.verb("list", example="ml-secrets policy list")
@session
def list_(run: Session) -> None:
    """List the policies."""
    run.show_keys(sorted(run.keys(ACL)))


@policy.verb("read", example="ml-secrets policy read team-a")
@click.argument("name")
@session
def read(run: Session, name: str) -> None:
    """Print a policy."""
    found = record(run, name)
    run.show(found, str(found.get("policy", "")).rstrip("\n"))


@policy.verb(
    "write",
    example="ml-secrets policy write team-a team-a.hcl\ncat team-a.hcl | ml-secrets policy write team-a -",
)
@click.argument("name")
@click.argument("source", metavar="FILE | -")
@session
def write(run: Session, name: str, source: str) -> None:
    """Write a policy (HCL or JSON). It counts from the next request on."""
    run.write(f"{ACL}/{name}", {"policy": text_of(source)})
    run.done(f"Written: policy {name}")


@policy.verb("delete", example="ml-secrets policy delete team-a")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.argument("name")
@session
def delete(run: Session, name: str, *, yes: bool) -> None:
    """Delete a policy. Tokens that have it lose its rights at once."""
    terminal.confirm(f"Delete the policy {name}?", yes=yes)
    run.delete(f"{ACL}/{name}")
    run.done(f"Deleted, if it was there: policy {name}")


def text_of(source: str) -> str:
    """A policy's text from a file or stdin."""
    return terminal.stdin_text() if source == "-" else arguments.file_text(source)


for part in (policy_explain, policy_lint, policy_simulate):
    part.declare(policy)
