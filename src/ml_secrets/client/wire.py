"""A request as it stands on the wire, whatever carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from urllib.parse import quote, urlencode

from ml_secrets.client import inline

if TYPE_CHECKING:
    from ml_secrets.client.messages import Request, Response

_MEDIA_TYPES: Final = {"PATCH": "application/merge-patch+json"}
_Raised = TypeVar("_Raised", bound=BaseException)


class Transport(Protocol):
    """Sends one request, once."""

    def send(self, request: Request) -> Response: ...

    def close(self) -> None: ...


class AsyncTransport(Protocol):
    """The same for tasks."""

    async def send(self, request: Request) -> Response: ...

    async def close(self) -> None: ...


def target_of(request: Request) -> str:
    """The request's path and query as they stand on the wire."""
    target = "/v1/" + quote(request.path, safe="/-._~")
    return f"{target}?{urlencode(request.query)}" if request.query else target


def headers_of(request: Request, namespace: str) -> dict[str, str]:
    """The request's headers. The token, or the login, is in there: keep the result out of frames that raise."""
    headers = {
        "X-Vault-Request": "true",
        "Accept-Encoding": "identity",
        "User-Agent": "ml-secrets-python",
        **request.headers,
    }
    if request.body is not None:
        headers["Content-Type"] = _MEDIA_TYPES.get(request.method, "application/json")
    if namespace:
        headers["X-Vault-Namespace"] = namespace
    if request.token is not None:
        headers["X-Vault-Token"] = request.token.reveal()
    if request.login is not None:
        headers |= inline.headers_of(request.login)
    return headers


def body_of(request: Request) -> bytes:
    """The request's body; empty when it has none."""
    return b"" if request.body is None else request.body.reveal_bytes()


def frameless(error: _Raised, handled: BaseException | None) -> _Raised:
    """The error, with no frames of its own and none of what it came from: below us they hold the token and the body.

    What comes up from there is not always ours: Ctrl-C in a notebook, a task that is cancelled, a signal handler's.
    `handled` is what the caller was handling when it called (sys.exception()): that keeps its frames.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = {id(handled)}
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            waiting += [one.__cause__, one.__context__]
    return error
