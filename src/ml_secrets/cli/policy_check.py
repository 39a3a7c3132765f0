"""`ml-secrets policy lint` and `explain`: what a policy really says, by the rules the server goes by (domain/acl.py).

Both work on files without a server. Where a server is asked, it is for the mounts, the policies and the token's names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import output
from ml_secrets.cli.arguments import file_text
from ml_secrets.cli.command import Command
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.session import Session, session
from ml_secrets.cli.terminal import stdin_text
from ml_secrets.errors import Invalid, NotFound

if TYPE_CHECKING:
    from ml_secrets.cli.command import Noun
    from ml_secrets.domain.policy import Policy

_ACL = "sys/policies/acl"
_ROOT = "root"


def declare(policy: Noun) -> None:
    """Give the noun `policy` its verbs lint and explain."""
    policy.add_command(lint)
    policy.add_command(explain)


@click.command(
    "lint",
    cls=Command,
    example="ml-secrets policy lint team-a.hcl\nml-secrets policy lint --with-mounts --all",
)
@click.option("--with-mounts", is_flag=True, help="Compare with what is mounted on the server, too.")
@click.option("--all", "everything", is_flag=True, help="Every policy on the server.")
@click.argument("sources", nargs=-1, metavar="[FILE | -]...")
@session
def lint(run: Session, sources: tuple[str, ...], *, with_mounts: bool, everything: bool) -> int:
    """Find rules that can never decide anything, or mean something else than they seem to.

    Exit code: 0 nothing found, 1 something found.
    """
    from ml_secrets.domain.lint import lint as findings_of  # noqa: PLC0415 - only here

    if bool(sources) == everything:
        raise click.UsageError("name policy files (- is stdin), or give --all")
    policies = (
        [_stored(run, name) for name in run.keys(_ACL) if name != _ROOT]
        if everything
        else [_filed(source) for source in sources]
    )
    findings = findings_of(policies, mounts=_mounts(run) if with_mounts else None)
    rows = [(finding.policy, str(finding.line or "-"), finding.pattern, finding.text) for finding in findings]
    text = output.table(("Policy", "Line", "Path", "What"), rows) if rows else "Nothing to complain about"
    run.show([finding.shown() for finding in findings], text)
    return output.LOCAL if findings else output.OK


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
    from ml_secrets.domain.acl import Acl  # noqa: PLC0415 - only here
    from ml_secrets.domain.advice import explain as words  # noqa: PLC0415 - as above
    from ml_secrets.domain.capability import Capability  # noqa: PLC0415 - as above

    policies = [_filed(name) for name in files] + [_stored(run, name) for name in names]
    root = False
    if not policies:
        own = _own_names(run)
        root = _ROOT in own
        policies = [_stored(run, name) for name in own if name != _ROOT]
    decision = Acl.compile(policies, root=root).check(path.strip("/"), Capability(capability))
    rule = decision.rule.pattern if decision.rule else ""
    document = {
        "allowed": decision.allowed,
        "rule": rule,
        "policies": list(decision.policies),
        "explanation": words(decision),
    }
    rows = {
        "Allowed": "yes" if decision.allowed else "no",
        "Rule": rule,
        "Policies": list(decision.policies),
        "Why": document["explanation"],
    }
    run.show(document, output.pairs(rows))
    return output.OK if decision.allowed else output.LOCAL


def _filed(source: str) -> Policy:
    return parse(
        "stdin" if source == "-" else Path(source).stem, stdin_text() if source == "-" else file_text(source)
    )


def _stored(run: Session, name: str) -> Policy:
    try:
        return parse(name, str(run.read(f"{_ACL}/{name}").data.get("policy", "")))
    except NotFound:
        raise NotFound(f"there is no policy named {name}", hint="see ml-secrets policy list") from None


def parse(name: str, text: str) -> Policy:
    """A policy from its text."""
    from ml_secrets.domain.policy import parse_policy  # noqa: PLC0415 - only here

    try:
        return parse_policy(name, text)
    except Invalid as error:
        raise LocalError(f"{name}: {error.message}", hint=error.hint) from None
    except ModuleNotFoundError:
        raise LocalError(
            "reading policies needs a parser that is not installed", hint="pip install 'ml-secrets[server]'"
        ) from None


def _own_names(run: Session) -> list[str]:
    found = run.read("auth/token/lookup-self").data
    return sorted({*(found.get("policies") or []), *(found.get("identity_policies") or [])})


def _mounts(run: Session) -> dict[str, str]:
    """Path -> kind, as the linter wants it; login methods under auth/."""
    engines = {path: _kind(mount) for path, mount in run.read("sys/mounts").data.items()}
    logins = {f"auth/{path}": str(mount.get("type", "")) for path, mount in run.read("sys/auth").data.items()}
    return engines | logins


def _kind(mount: dict[str, Any]) -> str:
    version = (mount.get("options") or {}).get("version")
    return "kv-v2" if mount.get("type") == "kv" and version == "2" else str(mount.get("type", ""))
