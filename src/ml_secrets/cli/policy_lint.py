"""`ml-secrets policy lint`: rules that do nothing, or something else than they seem to (domain/lint.py).

Files are looked at without a server. Beside what is mounted, our server looks, since it knows every operation; another
server is asked for its mounts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Command
from ml_secrets.cli.policy_texts import ACL, ROOT, Text, filed, parse, stored
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_secrets.cli.command import Noun

_LINT = "sys/policies/lint"


def declare(policy: Noun) -> None:
    """Give the noun `policy` its verb `lint`."""
    policy.add_command(lint)


@click.command(
    "lint",
    cls=Command,
    example="ml-secrets policy lint team-a.hcl\nml-secrets policy lint --with-mounts --all\nml-secrets policy lint --mount secret",
)
@click.option("--with-mounts", is_flag=True, help="Compare with what is mounted on the server, too.")
@click.option("--all", "everything", is_flag=True, help="Every policy on the server.")
@click.option(
    "--mount",
    metavar="PATH",
    help="The rules that reach into this mount, of every policy on the server that you may read.",
)
@click.argument("sources", nargs=-1, metavar="[FILE | -]...")
@session
def lint(
    run: Session, sources: tuple[str, ...], *, with_mounts: bool, everything: bool, mount: str | None
) -> int:
    """Find rules that do nothing, or mean something else than they seem to.

    They can never decide anything, give nothing, or no request can meet them.

    Exit code: 0 nothing found, 1 something found.
    """
    if [bool(sources), everything, mount is not None].count(True) != 1:
        raise click.UsageError("name policy files (- is stdin), or give --all or --mount")
    if mount is not None:
        findings = run.write(_LINT, {"mount": mount}).data["findings"]
    else:
        texts = _all(run) if everything else [filed(source) for source in sources]
        findings = _beside_mounts(run, texts) if with_mounts else _here(texts, None)
    rows = [(found["policy"], str(found["line"] or "-"), found["path"], found["text"]) for found in findings]
    text = output.table(("Policy", "Line", "Path", "What"), rows) if rows else "Nothing to complain about"
    run.show(findings, text)
    return output.LOCAL if findings else output.OK


def _all(run: Session) -> list[Text]:
    return [stored(run, name) for name in run.keys(ACL) if name != ROOT]


def _beside_mounts(run: Session, texts: Sequence[Text]) -> list[dict[str, Any]]:
    """Our server's findings; another's mounts, compared here. A text that ours refuses is refused here in better words."""
    try:
        return [
            found
            for name, text in texts
            for found in run.write(_LINT, {"name": name, "policy": text}).data["findings"]
        ]
    except Refusal:
        return _here(texts, _mounts(run))


def _here(texts: Sequence[Text], mounts: dict[str, str] | None) -> list[dict[str, Any]]:
    from ml_secrets.domain.lint import lint as findings_of  # noqa: PLC0415 - only here

    return [finding.shown() for finding in findings_of([parse(text) for text in texts], mounts=mounts)]


def _mounts(run: Session) -> dict[str, str]:
    """Path -> kind, as the linter wants it; login methods under auth/."""
    engines = {path: _kind(mount) for path, mount in run.read("sys/mounts").data.items()}
    logins = {f"auth/{path}": str(mount.get("type", "")) for path, mount in run.read("sys/auth").data.items()}
    return engines | logins


def _kind(mount: dict[str, Any]) -> str:
    version = (mount.get("options") or {}).get("version")
    return "kv-v2" if mount.get("type") == "kv" and version == "2" else str(mount.get("type", ""))
