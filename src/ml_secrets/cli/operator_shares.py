"""The verbs of `ml-secrets operator` that take key shares: unseal, rekey, generate-root.

Shares are asked for one by one on a terminal, else read from the lines of stdin; never from the command line without a
warning. Several people can each give theirs from their own machine: an attempt goes on where it stands.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import output, terminal
from ml_secrets.cli.command import Command
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.cli.command import Noun

_REKEY = ("sys/rekey/init", "sys/rekey/update")
_GENERATE = ("sys/generate-root/attempt", "sys/generate-root/update")


def declare(operator: Noun) -> None:
    """Give the noun `operator` its verbs with shares."""
    operator.add_command(unseal)
    operator.add_command(rekey)
    operator.add_command(generate_root)


def _verb(name: str, example: str) -> Callable[[Callable[..., Any]], click.Command]:
    return click.command(name, cls=Command, example=example)


@_verb("unseal", "ml-secrets operator unseal\nml-secrets operator unseal < shares.txt")
@click.option("--reset", is_flag=True, help="Forget the shares given so far.")
@click.argument("share", required=False, metavar="[SHARE | -]")
@session
def unseal(run: Session, share: str | None, *, reset: bool) -> None:
    """Give one key share (on stdin: one a line) until the server opens."""
    if reset:
        state = run.write("sys/unseal", {"reset": True}).data
    elif share and share != "-":
        state = run.write("sys/unseal", {"key": terminal.given("key share", share)}).data
    else:
        state = _give_shares(run)
    rows = {"Sealed": state.get("sealed"), "Total Shares": state.get("n"), "Threshold": state.get("t")}
    run.show(
        state,
        output.pairs(
            rows
            | (
                {"Unseal Progress": f"{state.get('progress')}/{state.get('t')}"}
                if state.get("sealed")
                else {}
            )
        ),
    )


def _give_shares(run: Session) -> dict[str, Any]:
    """On a terminal one share (others have theirs); from stdin as many as are needed."""
    state: dict[str, Any] = {}
    for share in terminal.secret_lines("key share"):
        state = run.write("sys/unseal", {"key": share}).data
        if not state.get("sealed") or terminal.is_terminal():
            break
    if not state:
        raise LocalError("a key share was expected on stdin, and stdin is empty")
    return state


def _attempt_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What every attempt with shares knows."""
    for option in (
        click.option("--nonce", metavar="NONCE", help="Join the attempt that has this nonce."),
        click.option("--cancel", is_flag=True, help="Give the attempt up (with --nonce)."),
        click.option("--status", is_flag=True, help="Only tell how far it is."),
        click.option(
            "--init", "only_start", is_flag=True, help="Only begin, and show the nonce for the others."
        ),
    ):
        function = option(function)
    return function


@_verb(
    "rekey",
    "ml-secrets operator rekey --key-shares 5 --key-threshold 3\nml-secrets operator rekey --nonce 2dbd10f1 < share.txt",
)
@click.option(
    "--key-shares",
    "-n",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="How many key shares to make.",
)
@click.option(
    "--key-threshold",
    "-t",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How many of them unseal.",
)
@_attempt_options
@session
def rekey(run: Session, key_shares: int, key_threshold: int, **how: Any) -> None:
    """Make new key shares for the same data. The present shares are needed; the new ones are shown once."""
    if _told(run, _REKEY[0], how):
        return
    state = _begin(run, _REKEY[0], {"secret_shares": key_shares, "secret_threshold": key_threshold}, how)
    if how["only_start"]:
        run.show(state)
        return
    made = _gather(run, _REKEY[1], state)
    keys = made.get("keys_base64") or []
    text = "\n".join(f"Key {number}: {key}" for number, key in enumerate(keys, start=1))
    run.show(made, f"{text}\n\nThese are shown once; the old shares are void.")


@_verb(
    "generate-root",
    "ml-secrets operator generate-root\nml-secrets operator generate-root --nonce 2dbd10f1 < share.txt",
)
@click.option(
    "--decode",
    metavar="ENCODED",
    help="Decode a finished attempt's token; its one-time password comes from stdin.",
)
@_attempt_options
@session
def generate_root(run: Session, decode: str | None, **how: Any) -> None:
    """Make a root token from key shares, for when none is left. Revoke it when the work is done."""
    if decode:
        run.show({"token": decode_token(decode, terminal.secret("one-time password"))})
        return
    if _told(run, _GENERATE[0], how):
        return
    state = _begin(run, _GENERATE[0], {}, how)
    if how["only_start"]:
        run.show(state)
        return
    made = _gather(run, _GENERATE[1], state)
    encoded = made.get("encoded_token") or made.get("encoded_root_token") or ""
    if state.get("otp"):
        run.show({"root_token": decode_token(encoded, state["otp"])})
    else:
        run.show({"encoded_token": encoded})
        run.note(
            "next: whoever began has the one-time password: ml-secrets operator generate-root --decode ENCODED"
        )


def _told(run: Session, attempt: str, how: dict[str, Any]) -> bool:
    """Handle --status and --cancel."""
    if how["status"]:
        run.show(run.read(attempt).data)
    elif how["cancel"]:
        run.delete(attempt, {"nonce": how["nonce"]} if how["nonce"] else None)
        run.done("Cancelled")
    return bool(how["status"] or how["cancel"])


def _begin(run: Session, attempt: str, body: dict[str, Any], how: dict[str, Any]) -> dict[str, Any]:
    """Start an attempt, or join the one under way."""
    if not how["nonce"]:
        return run.write(attempt, body).data
    state = run.read(attempt).data
    if state.get("nonce") != how["nonce"]:
        raise LocalError("no attempt with that nonce is under way", hint="see --status")
    return state


def _gather(run: Session, update: str, state: dict[str, Any]) -> dict[str, Any]:
    """Give shares until the attempt is complete."""
    needed = int(state.get("required") or state.get("t") or 0)
    with terminal.progress("Key shares", needed) as step:
        for share in terminal.secret_lines("key share"):
            made = run.write(update, {"key": share, "nonce": state.get("nonce", "")}).data
            step()
            if made.get("complete"):
                return made
            run.note(f"{made.get('progress', '?')} of {needed} key shares given")
    raise LocalError("more key shares are needed", hint=f"others go on with --nonce {state.get('nonce', '')}")


def decode_token(encoded: str, password: str) -> str:
    """The token behind a one-time pad. The errors show neither."""
    try:
        mixed = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        pad = password.encode("ascii")
        return bytes(left ^ right for left, right in zip(mixed, pad, strict=True)).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError):
        raise LocalError("the encoded token and the one-time password do not belong together") from None
