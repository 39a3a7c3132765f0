"""The verbs of `ml-secrets operator` that take key shares: unseal, rekey, generate-root.

Shares are asked for one by one on a terminal, else read from the lines of stdin; never from the command line without a
warning. Several people can each give theirs from their own machine: an attempt goes on where it stands.

Vault's paths for an attempt are tried first, then OpenBao's, which has closed the former by default.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import output, terminal
from ml_secrets.cli.command import Command
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import Denied, MlSecretsError, NotFound, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_secrets.cli.command import Noun

_REKEY = (("sys/rekey", "init"), ("sys/rotate/root", "init"))
_REKEY_RECOVERY = (("sys/rekey-recovery-key", "init"), ("sys/rotate/recovery", "init"))
_GENERATE = (("sys/generate-root", "attempt"), ("sys/generate-root-token", "attempt"))


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
    if state.get("sealed"):
        rows["Unseal Progress"] = f"{state.get('progress')}/{state.get('t')}"
    run.show(state, output.pairs(rows))


def _give_shares(run: Session) -> dict[str, Any]:
    """On a terminal one share (others have theirs); from stdin as many as are needed."""
    state: dict[str, Any] = {}
    for share in terminal.secret_lines("key share"):
        state = run.write("sys/unseal", {"key": share}).data
        if not state.get("sealed") or terminal.is_terminal():
            break
    if not state:
        raise LocalError("a key share was expected on stdin, and stdin is empty", hint="one a line")
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
@click.option("--recovery", is_flag=True, help="With an automatic seal: make new recovery shares.")
@_attempt_options
@session
def rekey(run: Session, key_shares: int, key_threshold: int, *, recovery: bool, **how: Any) -> None:
    """Make new key shares for the same data. The present shares are needed; the new ones are shown once."""
    attempt = Attempt.find(run, _REKEY_RECOVERY if recovery else _REKEY)
    if attempt.told(how):
        return
    state = attempt.begin({"secret_shares": key_shares, "secret_threshold": key_threshold}, how)
    if how["only_start"]:
        run.show(state)
        return
    made = attempt.gather(state)
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
    attempt = Attempt.find(run, _GENERATE)
    if attempt.told(how):
        return
    state = attempt.begin({}, how)
    if how["only_start"]:
        run.show(state)
        return
    made = attempt.gather(state)
    encoded = made.get("encoded_token") or made.get("encoded_root_token") or ""
    if state.get("otp"):
        run.show({"root_token": decode_token(encoded, state["otp"])})
    else:
        run.show({"encoded_token": encoded})
        run.note(
            "next: whoever began has the one-time password: ml-secrets operator generate-root --decode ENCODED"
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something that takes several people's shares. `start` and `update` are its API paths."""

    run: Session
    start: str
    update: str

    @classmethod
    def find(cls, run: Session, families: Sequence[tuple[str, str]]) -> Attempt:
        """The attempt under the first family of paths that the server has open."""
        refusal: MlSecretsError = Unsupported("the server does not know this")
        for top, start in families:
            try:
                run.read(f"{top}/{start}")
            except (Unsupported, NotFound, Denied) as error:
                refusal = error
            else:
                return cls(run, f"{top}/{start}", f"{top}/update")
        raise refusal

    def told(self, how: dict[str, Any]) -> bool:
        """Handle --status and --cancel."""
        if how["status"]:
            self.run.show(self.run.read(self.start).data)
        elif how["cancel"]:
            self.run.delete(self.start, {"nonce": how["nonce"]} if how["nonce"] else None)
            self.run.done("Cancelled")
        return bool(how["status"] or how["cancel"])

    def begin(self, body: dict[str, Any], how: dict[str, Any]) -> dict[str, Any]:
        """Start, or join the attempt under way that has the nonce."""
        if not how["nonce"]:
            return self.run.write(self.start, body).data
        return {**self.run.read(self.start).data, "nonce": how["nonce"]}

    def gather(self, state: dict[str, Any]) -> dict[str, Any]:
        """Give shares until it is complete."""
        needed = int(state.get("required") or state.get("t") or 0)
        for share in terminal.secret_lines("key share"):
            made = self.run.write(self.update, {"key": share, "nonce": state["nonce"]}).data
            if made.get("complete"):
                return made
            self.run.note(f"{made.get('progress', '?')} of {needed} key shares given")
        raise LocalError(
            "more key shares are needed",
            hint=f"give it up with --cancel, or go on with --nonce {state['nonce']}",
        )


def decode_token(encoded: str, password: str) -> str:
    """The token behind a one-time pad. The errors show neither."""
    try:
        mixed = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        pad = password.encode("ascii")
        return bytes(left ^ right for left, right in zip(mixed, pad, strict=True)).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError):
        raise LocalError(
            "the encoded token and the one-time password do not belong together",
            hint="copy both whole, from the same attempt",
        ) from None
