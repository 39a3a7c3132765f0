"""`ml-secrets operator`: what the people who run a server do. The verbs with key shares are in operator_shares.py."""

from __future__ import annotations

from typing import Any

import click

from ml_secrets.cli import operator_backup, operator_shares, output
from ml_secrets.cli.command import Noun
from ml_secrets.cli.operator_backups import backups
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import Conflict


@click.group("operator", cls=Noun, example="ml-secrets operator init\nml-secrets operator unseal")
def operator() -> None:
    """Initialise, unseal, seal, rekey, verify, back up and restore a server."""


@operator.verb(
    "init",
    example="ml-secrets operator init --key-shares 5 --key-threshold 3\nml-secrets operator init --status",
)
@click.option(
    "--key-shares",
    "-n",
    type=click.IntRange(1),
    help="How many key shares to make. Default: 5.",
)
@click.option(
    "--key-threshold",
    "-t",
    type=click.IntRange(1),
    help="How many of them unseal. Default: 3.",
)
@click.option(
    "--recovery-shares",
    type=click.IntRange(1),
    help="With a seal that opens by itself: how many recovery shares to make. Default: 5.",
)
@click.option(
    "--recovery-threshold",
    type=click.IntRange(1),
    help="With a seal that opens by itself: how many of them are needed. Default: 3.",
)
@click.option("--status", is_flag=True, help="Only tell: exit code 0 initialised, 2 not.")
@session
def init(run: Session, *, status: bool, **counts: Any) -> int | None:
    """Initialise a server: make its keys and its first root token. They are shown once."""
    if status:
        done = bool(run.read("sys/init").data.get("initialized"))
        run.show({"initialized": done}, "Initialised" if done else "Not initialised")
        return output.OK if done else output.SERVER
    state = run.read("sys/seal-status").data
    if state.get("initialized"):
        raise Conflict(
            "the server is initialised already", hint="if it is sealed: ml-secrets operator unseal"
        )
    asked = _counts(counts, automatic=state.get("type") not in (None, "shamir"))
    made = run.write("sys/init", asked).data
    document = _key_document(made, asked)
    run.show(document, _key_text(document), fields=document)
    return None


def _counts(given: dict[str, Any], *, automatic: bool) -> dict[str, Any]:
    """What to ask of the server: key shares, or recovery shares where the seal opens by itself; 5 and 3 where nothing is said."""
    names = {"key_shares": "secret_shares", "key_threshold": "secret_threshold"}
    asked = {names.get(name, name): count for name, count in given.items() if count}
    kind = "recovery" if automatic else "secret"
    usual = {f"{kind}_shares": 5, f"{kind}_threshold": 3}
    return usual | asked if asked.keys() <= usual.keys() else asked


def _key_document(made: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """The new keys under the names that Vault's CLI prints."""
    return {
        "unseal_keys_b64": made.get("keys_base64") or [],
        "unseal_keys_hex": made.get("keys") or [],
        "unseal_shares": asked.get("secret_shares", 0),
        "unseal_threshold": asked.get("secret_threshold", 0),
        "recovery_keys_b64": made.get("recovery_keys_base64") or [],
        "recovery_keys_hex": made.get("recovery_keys") or [],
        "root_token": made.get("root_token", ""),
    }


def _key_text(document: dict[str, Any]) -> str:
    lines = [f"Unseal Key {number}: {key}" for number, key in enumerate(document["unseal_keys_b64"], start=1)]
    lines += [
        f"Recovery Key {number}: {key}" for number, key in enumerate(document["recovery_keys_b64"], start=1)
    ]
    advice = "These are shown once. Give each share to another person, and keep none of them beside the data."
    return "\n".join([*lines, "", f"Initial Root Token: {document['root_token']}", "", advice])


@operator.verb("seal", example="ml-secrets operator seal")
@session
def seal(run: Session) -> None:
    """Make the server forget its keys. It serves nothing until it is unsealed again."""
    run.write("sys/seal")
    run.done("Sealed")


@operator.verb("rotate", example="ml-secrets operator rotate")
@session
def rotate(run: Session) -> None:
    """Encrypt what is written from now on with a new key. Needs no shares."""
    run.write("sys/rotate")
    _show_key(run)


@operator.verb("key-status", example="ml-secrets operator key-status")
@session
def key_status(run: Session) -> None:
    """Show the encryption key's number and age."""
    _show_key(run)


def _show_key(run: Session) -> None:
    found = run.read("sys/key-status").data
    titles = {"term": "Key Term", "install_time": "Install Time", "encryptions": "Encryption Count"}
    run.show(found, output.pairs({title: found[name] for name, title in titles.items() if name in found}))


operator_shares.declare(operator)
operator_backup.declare(operator)
operator.add_command(backups)
