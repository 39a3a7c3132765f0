"""A login inside a request (OpenBao's inline auth): who asks logs in and acts in one, and is forgotten.

 1  the login goes the whole way of a request of its own (handle.py): limited, run, recorded, committed. What it costs (a
    use of a secret id, a failure towards a lockout) is spent, whatever becomes of the request around it.
 2  it issues no token. It leaves a `Caller` in the answer, with the rights, the lifetime and the metadata of a login.
 3  the request around it goes its own way, as from that caller.

Nothing is stored: no row, no lease, no way to find the caller again. Nothing can hang on it either, so it is of the kind
of a batch token, which has no children, no cubbyhole and no renewal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from ml_secrets.contract.request import Caller
from ml_secrets.errors import Unauthenticated

if TYPE_CHECKING:
    from ml_secrets.contract.request import Request
    from ml_secrets.domain.token import TokenEntry
    from ml_secrets.pipeline.outcome import Outcome
    from ml_secrets.registry.tokens import Tokens
    from ml_secrets.registry.unit import Unit

NO_LOGIN: Final = "the login inside the request leads to none: its path is written like auth/approle/login"
ENDED: Final = "the login inside the request has ended meanwhile: send the request again"


def lend(unit: Unit, tokens: Tokens, entry: TokenEntry) -> Caller:
    """The caller of one request. Its token is a name for the audit log, which no store has."""
    token = tokens.new_token()
    lent = replace(
        entry,
        accessor="",
        kind="batch",
        renewable=False,
        period=0,
        uses_left=0,
        generation=tokens.generation(unit),
    )
    return Caller(tokens.key_of(token), lent, token)


def enter(request: Request, login: Outcome) -> Outcome | None:
    """Let the request around a login go on as whoever logged in. Returns the answer instead where that was refused."""
    if login.error is not None:
        return replace(login, inside=True)
    assert login.response is not None  # a login that is not refused has recognised somebody
    assert login.response.caller is not None
    request.caller = login.response.caller
    return None


def still(unit: Unit, tokens: Tokens, caller: Caller) -> Caller:
    """The caller, for as long as the login lasts. Raises `Unauthenticated` after it: a request may wait for long."""
    if not tokens.lives(unit, caller.entry):
        raise Unauthenticated("permission denied", hint=ENDED)
    return caller
