"""Answers of an ml-secrets server that come in pages, and what is said where another server cannot give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_secrets.cli.failures import LocalError
from ml_secrets.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.cli.session import Session


def pages(run: Session, verb: str, path: str, fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pages of an answer to `read`, `list` or `scan`; none where there is nothing."""
    fields = dict(fields)
    while True:
        try:
            answer = getattr(run.client, verb)(path, params=fields)
        except NotFound as error:
            refuse_others(error)
            return
        if fields and any("ignored these unrecognized" in text for text in answer.warnings):
            raise _refusal()
        yield answer.data
        if not answer.data.get("next"):
            return
        fields["cursor"] = answer.data["next"]


def refuse_others(error: NotFound) -> None:
    """Raise where the server has no such path: then it was not the secret that is not there."""
    if any("versioned K/V" in text for text in error.warnings):
        raise _refusal() from None


def _refusal() -> LocalError:
    return LocalError("this server has no such call", hint="ml-secrets has it, Vault and OpenBao have not")


def counted(count: int, noun: str) -> str:
    """1 secret, 2 secrets."""
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"
