"""`ml-secrets policy explain`: why one thing is allowed or not, by the rules the server goes by (domain/acl.py).

By policies in files it works without a server. Of one's own token our server is asked, which shows everybody their own
rules; another server is asked for the texts, which takes the right to read them.
"""

from __future__ import annotations

from typing import Any

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Command, Noun
from ml_secrets.cli.policy_simulate import own, shown
from ml_secrets.cli.policy_texts import ROOT, Text, filed, parse, stored
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import Refusal


def declare(policy: Noun) -> None:
    """Give the noun `policy` its verb `explain`."""
    policy.add_command(explain)


@click.command(
    "explain",
    cls=Command,
    example="ml-secrets policy explain read secret/data/app/db\nml-secrets policy explain --policy team-a list secret/metadata/team-a\nml-secrets policy explain --file team-a.hcl update secret/data/team-a/db",
)
@click.option(
    "--policy",
    "names",
    multiple=True,
    metavar="NAME",
    help="By this policy. May be repeated. Default: those of your token.",
)
@click.option(
    "--file", "files", multiple=True, metavar="FILE", help="By the policy in this file. May be repeated."
)
@click.argument(
    "capability", type=click.Choice(("create", "read", "update", "patch", "delete", "list", "scan", "sudo"))
)
@click.argument("path")
@session
def explain(run: Session, capability: str, path: str, names: tuple[str, ...], files: tuple[str, ...]) -> int:
    """Say whether something is allowed, which rule decides it, and what is missing.

    Exit code: 0 allowed, 1 not allowed.
    """
    texts = [filed(name) for name in files] + [stored(run, name) for name in names]
    row = _decided(texts, capability, path) if texts else _of_own_token(run, capability, path)
    run.show(row, output.pairs(shown(row)))
    return output.OK if row["allowed"] else output.LOCAL


def _of_own_token(run: Session, capability: str, path: str) -> dict[str, Any]:
    try:
        return own(run, capability, path)
    except Refusal:  # a server that is not ours, or a right that is none of a request's ("sudo")
        found = run.read("auth/token/lookup-self").data
        names = {*(found.get("policies") or []), *(found.get("identity_policies") or [])}
        texts = [stored(run, name) for name in sorted(names - {ROOT})]
        return _decided(texts, capability, path, root=ROOT in names)


def _decided(texts: list[Text], capability: str, path: str, *, root: bool = False) -> dict[str, Any]:
    from ml_secrets.domain.acl import Acl  # noqa: PLC0415 - only here
    from ml_secrets.domain.advice import explain as words  # noqa: PLC0415 - as above
    from ml_secrets.domain.capability import Capability  # noqa: PLC0415 - as above

    decision = Acl.compile([parse(text) for text in texts], root=root).check(
        path.strip("/"), Capability(capability)
    )
    return {
        "allowed": decision.allowed,
        "rule": decision.rule.pattern if decision.rule else "",
        "policies": list(decision.policies),
        "explanation": words(decision),
    }
