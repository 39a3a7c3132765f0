"""`ml-secrets lease`: what was handed out for a time."""

from __future__ import annotations

import click

from ml_secrets.cli.command import Noun
from ml_secrets.cli.session import Session, session


@click.group(
    "lease", cls=Noun, example="ml-secrets lease lookup auth/userpass/login/ada/2Fxq0h8TnQ5hWJpXcV1yB4sL"
)
def lease() -> None:
    """Look up, renew and revoke leases."""


@lease.verb("lookup", example="ml-secrets lease lookup auth/userpass/login/ada/2Fxq0h8TnQ5hWJpXcV1yB4sL")
@click.argument("lease_id")
@session
def lookup(run: Session, lease_id: str) -> None:
    """Show when a lease ends, and whether it can be renewed."""
    run.show_answer(run.write("sys/leases/lookup", {"lease_id": lease_id}))


@lease.verb(
    "renew", example="ml-secrets lease renew --increment 1h auth/userpass/login/ada/2Fxq0h8TnQ5hWJpXcV1yB4sL"
)
@click.option("--increment", metavar="TTL", help="From now, for so long. Default: as at first.")
@click.argument("lease_id")
@session
def renew(run: Session, lease_id: str, increment: str | None) -> None:
    """Renew a lease."""
    run.show_answer(
        run.write(
            "sys/leases/renew", {"lease_id": lease_id} | ({"increment": increment} if increment else {})
        )
    )


@lease.verb(
    "revoke",
    example="ml-secrets lease revoke auth/userpass/login/ada/2Fxq0h8TnQ5hWJpXcV1yB4sL\nml-secrets lease revoke --prefix auth/userpass/login",
)
@click.option("--prefix", is_flag=True, help="Revoke every lease that begins with LEASE_ID.")
@click.option("--force", is_flag=True, help="With --prefix: forget them even where revoking fails.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it is done.")
@click.argument("lease_id")
@session
def revoke(run: Session, lease_id: str, *, prefix: bool, force: bool, no_wait: bool) -> None:
    """Revoke a lease, and with it what was handed out."""
    if force and not prefix:
        raise click.UsageError("--force goes with --prefix")
    if prefix:
        run.write(f"sys/leases/revoke-{'force' if force else 'prefix'}/{lease_id}", {"sync": not no_wait})
    else:
        run.write("sys/leases/revoke", {"lease_id": lease_id, "sync": not no_wait})
    run.done(f"Revoked every lease under {lease_id}" if prefix else f"Revoked: {lease_id}")
