"""HTTP: a header with the token of now, for httpx and for clients that take a function.

A 401 has the token asked for anew, and the request sent once more if there is another. A token goes to the host that the
request was made for: httpx leaves it out where a redirect leads elsewhere.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

from ml_secrets.integrations.source import Source, library, source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from ml_secrets.client.secret import Secret


def bearer(what: str | Source, *, httpx: Any = None) -> Any:
    """`httpx.Client(auth=bearer("openai/api-key"))`: Authorization: Bearer. For an `AsyncClient`, too."""
    return header(what, "Authorization", "Bearer {}", httpx=httpx)


def header(what: str | Source, name: str, form: str = "{}", *, httpx: Any = None) -> Any:
    """The same in a header of this name: `header("anthropic/api-key", "x-api-key")`. `httpx`: the module, if it is another."""
    return _kind(httpx or library("httpx"))(source(what), lambda _: {name: form})


def in_place_of(what: str | Source, placeholder: str, *, httpx: Any = None) -> Any:
    """The same in each header that has the placeholder: for clients that take a key as text alone, and know best where it goes."""

    def forms(headers: Any) -> dict[str, str]:
        return {
            name: form.replace(placeholder, "{}") for name, form in headers.items() if placeholder in form
        }

    return _kind(httpx or library("httpx"))(source(what), forms)


def token(what: str | Source) -> Callable[[], str]:
    """A function that gives the value of now, for clients that ask for one."""
    kept = source(what)
    return lambda: kept.get().reveal()


def async_token(what: str | Source) -> Callable[[], Awaitable[str]]:
    """The same for clients that await it. Where it is not at hand a thread asks, and the event loop goes on."""
    kept = source(what)

    async def give() -> str:
        secret = await asyncio.to_thread(kept.get)
        return secret.reveal()

    return give


@cache
def _kind(httpx: Any) -> Any:
    class LiveAuth(httpx.Auth):  # type: ignore[misc]
        """Puts the value into headers of each request: into those that `forms` names, in the form that it says."""

        def __init__(self, kept: Source, forms: Callable[[Any], dict[str, str]]) -> None:
            self._source = kept
            self._forms = forms

        def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            """Send; after a 401 ask anew, and send once more where that gives another value."""
            secret, forms = self._source.get(), self._forms(request.headers)
            response = yield _signed(request, forms, secret)
            if response.status_code == 401:
                another = self._source.refresh()
                if not _same(secret, another):
                    yield _signed(request, forms, another)

        async def async_auth_flow(self, request: Any) -> Any:
            """The same for tasks."""
            to_thread = asyncio.to_thread
            secret, forms = await to_thread(self._source.get), self._forms(request.headers)
            response = yield _signed(request, forms, secret)
            if response.status_code == 401:
                another = await to_thread(self._source.refresh)
                if not _same(secret, another):
                    yield _signed(request, forms, another)

    return LiveAuth


def _signed(request: Any, forms: dict[str, str], secret: Secret) -> Any:
    for name, form in forms.items():
        request.headers[name] = form.format(secret.reveal())
    return request


def _same(one: Secret, other: Secret) -> bool:
    return one.keys() == other.keys() and all(one[field] == other[field] for field in one)
