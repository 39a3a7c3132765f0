"""The texts of policies, from files and from the server, to be looked at here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_secrets.cli.arguments import file_text
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.terminal import stdin_text
from ml_secrets.errors import Invalid, NotFound

if TYPE_CHECKING:
    from ml_secrets.cli.session import Session
    from ml_secrets.domain.policy import Policy

ACL = "sys/policies/acl"
ROOT = "root"


class Text(NamedTuple):
    """A policy that is not parsed yet."""

    name: str
    text: str


def filed(source: str) -> Text:
    """The policy in a file, under the file's name without its ending; "-" is stdin."""
    return Text("stdin", stdin_text()) if source == "-" else Text(Path(source).stem, file_text(source))


def record(run: Session, name: str) -> dict[str, Any]:
    """What the server has of a policy."""
    try:
        return run.read(f"{ACL}/{name}").data
    except NotFound:
        raise NotFound(f"there is no policy named {name}", hint="see ml-secrets policy list") from None


def stored(run: Session, name: str) -> Text:
    """A policy on the server."""
    return Text(name, str(record(run, name).get("policy", "")))


def parse(policy: Text) -> Policy:
    """A policy from its text."""
    from ml_secrets.domain.policy import parse_policy  # noqa: PLC0415 - only here

    try:
        return parse_policy(policy.name, policy.text)
    except Invalid as error:
        raise LocalError(f"{policy.name}: {error.message}", hint=error.hint) from None
    except ModuleNotFoundError:
        raise LocalError(
            "reading policies needs a parser that is not installed", hint="pip install 'ml-secrets[server]'"
        ) from None
