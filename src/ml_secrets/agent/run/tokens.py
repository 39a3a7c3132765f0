"""The tokens of a run: ours, renewed while it lasts; and the command's own, if it is to have one, made for it and revoked with it.

The command's token is a child of ours: it may do what ours may, and ends with it. It lives `LIFE` seconds and is renewed, so that it
is gone soon even where nobody is left to revoke it.
"""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from ml_secrets.client.near import QuickClient
from ml_secrets.client.tokens import look_up, tend
from ml_secrets.errors import Fault, Limited, MlSecretsError, Refusal, Sealed
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_secrets.client import Client

LIFE: Final = 900
FIRST: Final = 0.3
"""The command's own start comes first."""
LONGEST_SLEEP: Final = 15.0
LEFT: Final = (
    f"the server is away: the command's token is revoked once it is back, or ends by itself within {LIFE} s"
)
_AT_THE_END: Final = 3.0
_NAME: Final = "ml-secrets-run"


def make_for_command(client: Client) -> Sensitive:
    """A token for the command. Raises `Denied` where ours may make none."""
    asked = {"display_name": _NAME, "ttl": f"{LIFE}s", "renewable": True}
    answer = client.write("auth/token/create", asked)
    return Sensitive((answer.auth or {})["client_token"])


def client_with(client: Client, token: Sensitive, *, timeout: float | None = None) -> QuickClient:
    """A client of the same server, as somebody else."""
    settings = client.settings
    return QuickClient(
        settings.address,
        token,
        namespace=settings.namespace,
        verify=settings.verify,
        timeout=timeout or settings.timeout,
        patience=0,
        cache_ttl=0,
    )


def revoke(client: Client, token: str) -> bool:
    """Revoke it. False where the server could not be asked just now."""
    try:
        with client_with(client, Sensitive(token), timeout=_AT_THE_END) as own:
            own.write("auth/token/revoke-self")
    except (Fault, Limited, Sealed):
        return False
    except Refusal:  # it has ended
        return True
    return True


class Lasting(Thread):
    """Renews the tokens of these clients in time, until the process ends. `tended` is called each time: a login may have made others."""

    def __init__(self, clients: Sequence[Client], tended: Callable[[], None]) -> None:
        super().__init__(name="ml-secrets lasting", daemon=True)
        self._clients = clients
        self._all_tended = tended
        self._never = Event()

    def run(self) -> None:
        """Ask of each how long it lives, then renew it whenever two thirds of that are over."""
        self._never.wait(FIRST)
        unknown = list(self._clients)
        while True:
            unknown = [client for client in unknown if not _looked_up(client)]
            waits = [_tended(client) for client in self._clients]
            self._all_tended()
            self._never.wait(min([LONGEST_SLEEP, *waits]) if not unknown else 1.0)


def _looked_up(client: Client) -> bool:
    """Is it known when it ends? A refusal is an answer, too."""
    if client.session.token is None or client.session.renew_at:
        return True
    try:
        client.run(look_up(client.session))
    except MlSecretsError as error:
        return isinstance(error, Refusal)
    return True


def _tended(client: Client) -> float:
    """Renew what is due. Returns seconds until it has to be looked at again."""
    session = client.session
    try:
        client.run(tend(session))
    except MlSecretsError:
        return 1.0
    return max(0.2, session.renew_at - session.clock()) if session.renew_at else LONGEST_SLEEP
