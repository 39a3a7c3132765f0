"""`ml-secrets secrets`: the secrets engines and where they are mounted."""

from __future__ import annotations

import time
from typing import Any

import click

from ml_secrets.cli import mount_trash, mounts
from ml_secrets.cli.command import Noun
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.session import Session, session

_TABLE = "sys/mounts"
_THING = "secrets engine"
_PATIENCE = 30.0


@click.group("secrets", cls=Noun, example="ml-secrets secrets enable kv --version 2 --path team-a")
def secrets() -> None:
    """Enable, tune, move and disable secrets engines."""


mounts.declare(secrets, table=_TABLE, thing=_THING, example="team-a")
mount_trash.declare(secrets)


@secrets.verb(
    "enable",
    example="ml-secrets secrets enable kv --version 2 --path team-a\nml-secrets secrets enable kv --version 1 --path legacy",
)
@click.option("--path", metavar="PATH", help="Where to mount it. Default: the name of its type.")
@click.option("--version", type=click.Choice(("1", "2")), help="Of the kv engine: 2 keeps versions.")
@click.option("--local", is_flag=True, help="Not replicated.")
@click.option("--seal-wrap", is_flag=True, help="Wrapped by the seal a second time, where the seal can.")
@mounts.settings
@click.argument("kind", metavar="TYPE")
@session
def enable(run: Session, kind: str, path: str | None, version: str | None, **given: Any) -> None:
    """Enable a secrets engine."""
    given["options"] += (f"version={version}",) if version else ()
    mounts.enable(run, table=_TABLE, thing=_THING, kind=kind, path=path, given=given)


@secrets.verb("move", example="ml-secrets secrets move team-a team-b")
@click.argument("source")
@click.argument("destination")
@session
def move(run: Session, source: str, destination: str) -> None:
    """Move an engine with all its data to another path. Its leases are revoked."""
    started = run.client.write(
        "sys/remount", {"from": source, "to": destination}
    ).data  # its warning says "queued"; we wait
    deadline = time.monotonic() + _PATIENCE
    while (state := _state(run, started.get("migration_id", ""))) not in {"success", ""}:
        if state == "failure" or time.monotonic() > deadline:
            raise LocalError(
                f"the move is not done: {state}", hint="ml-secrets secrets list shows where the engine is now"
            )
        time.sleep(0.1)
    run.done(f"Moved {source.strip('/')}/ to {destination.strip('/')}/")


def _state(run: Session, migration: str) -> str:
    if not migration:
        return ""
    info = run.read(f"sys/remount/status/{migration}").data.get("migration_info") or {}
    return str(info.get("status", ""))
