"""One request, made with care and sent until there is an answer that counts.

On a broken connection, and on 429, 502, 503 and 504, wait (what the server asks for, else full jitter under a cap that
doubles) and send again, while tries and time last: five tries, and more while the client's patience lasts. What may have been carried out already is sent again only if that
does no harm; a sealed server gets one more chance and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.client.faults import error_of, retry_after
from ml_secrets.client.messages import (
    LARGEST_ANSWER,
    Flow,
    Lost,
    Misdirected,
    NotSent,
    Pause,
    Request,
    Response,
)
from ml_secrets.client.settings import check_text
from ml_secrets.errors import Invalid, MlSecretsError, Sealed, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.client.session import Session
    from ml_secrets.sensitive import Sensitive

MOST_SEALED_TRIES: Final = 2
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
SNAPSHOTS: Final = frozenset({"sys/storage/raft/snapshot", "sys/storage/snapshot"})
LARGEST_SNAPSHOT: Final = 1 << 40
"""A backup is as large as the store."""
HEALTH: Final = "sys/health"
"""Its status is its answer: 429 is a standby, 501 an empty store, 503 a sealed one."""
_UNDECIDED: Final = "the server may or may not have carried it out: look before you repeat it"


class Patience(msgspec.Struct, frozen=True):
    """How often to try, and for how long at most. The client's timeout holds as well.

    `lasting`: there may be more tries, for as long as the client's own patience lasts.
    """

    tries: int = 5
    seconds: float = float("inf")
    lasting: bool = False


PATIENCE: Final = Patience(lasting=True)


def make(
    method: str,
    path: str,
    *,
    params: Mapping[str, Any] | None = None,
    body: Sensitive | None = None,
    wrap_ttl: str | int | None = None,
    headers: Mapping[str, str] | None = None,
    repeatable: bool = False,
) -> Request:
    """A request. Raises `Invalid` for a path that a server would have to guess about."""
    query = {name: _query_text(value) for name, value in (params or {}).items() if value is not None}
    sent = dict(headers or {})
    if wrap_ttl is not None:
        sent["X-Vault-Wrap-TTL"] = check_text(str(wrap_ttl), "wrap_ttl")
    path = check_path(path)
    largest = LARGEST_SNAPSHOT if path in SNAPSHOTS else LARGEST_ANSWER
    return Request(method, path, query, sent, body, repeatable=repeatable or method == "GET", largest=largest)


def _query_text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def check_path(path: str) -> str:
    """The path without outer slashes. Raises `Invalid` for empty, `.` and `..` segments."""
    plain = path.strip("/") if isinstance(path, str) else ""  # None, say, out of os.environ.get
    if not plain or any(segment in ("", ".", "..") for segment in plain.split("/")):
        raise Invalid(
            f"{path!r} is no path",
            hint="write it like secret/data/team/name, without empty, '.' and '..' segments",
        )
    return plain


def attempt(session: Session, request: Request, patience: Patience = PATIENCE) -> Flow[Response]:
    """Send a request until there is an answer that counts, or no more tries, or no more time."""
    began, number = session.clock(), 0
    deadline = began + min(session.settings.timeout, patience.seconds)
    patient_until = began + session.settings.patience if patience.lasting else began
    while True:
        number += 1
        request.timeout = max(deadline - session.clock(), 0.001)
        try:
            response: Response = yield request
        except Misdirected:
            raise
        except Unreachable as error:
            failure: MlSecretsError = error.with_traceback(None)
            again, wished = request.repeatable or isinstance(error, NotSent), None
        else:
            if response.status < 300 or response.status == 304 or _tells_health(request):
                return response
            failure = error_of(request, response)
            again, wished = _worth_another(request, response, failure, number), retry_after(response)
        pause = _pause(number, wished, session.draw())
        next_at = session.clock() + pause
        tired = number >= patience.tries and next_at >= patient_until
        if not again or tired or next_at >= deadline:
            raise _final(request, failure)
        yield Pause(pause)


def _tells_health(request: Request) -> bool:
    return request.path == HEALTH and request.method == "GET"


def _worth_another(request: Request, response: Response, failure: MlSecretsError, number: int) -> bool:
    if response.status == 429:
        return True  # refused before anything was done
    if isinstance(failure, Sealed):
        return number < MOST_SEALED_TRIES
    return response.status in (502, 503, 504) and request.repeatable


def _pause(number: int, wished: float | None, draw: float) -> float:
    """Seconds to wait: what the server asked for, or a random part of a cap that doubles."""
    cap = min(FIRST_PAUSE * 2 ** (number - 1), LONGEST_PAUSE)
    return draw * cap if wished is None else wished + draw * FIRST_PAUSE


def _final(request: Request, failure: MlSecretsError) -> MlSecretsError:
    if isinstance(failure, Lost) and not request.repeatable:
        failure.hint = _UNDECIDED
    return failure
