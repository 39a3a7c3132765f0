"""Anthropic's clients: a key that is looked up at each request.

The client takes a key as text alone, so it is given one that is none; its HTTP client puts the real one in its place, in
whichever header that is.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from ml_secrets.integrations.http import in_place_of
from ml_secrets.integrations.source import Source, library

_NONE: Final = "from-ml-secrets"


def client(what: str | Source, **settings: Any) -> Any:
    """`client("anthropic/api-key")` is `anthropic.Anthropic` with the key of now. `settings` are its own."""
    anthropic = library("anthropic")
    http = anthropic.DefaultHttpxClient(auth=_auth(what, anthropic.DefaultHttpxClient))
    return anthropic.Anthropic(api_key=_NONE, http_client=http, **settings)


def async_client(what: str | Source, **settings: Any) -> Any:
    """The same as `anthropic.AsyncAnthropic`."""
    anthropic = library("anthropic")
    http = anthropic.DefaultAsyncHttpxClient(auth=_auth(what, anthropic.DefaultAsyncHttpxClient))
    return anthropic.AsyncAnthropic(api_key=_NONE, http_client=http, **settings)


def _auth(what: str | Source, kind: type) -> Any:
    """In the HTTP library that this version is made with: httpx, or what has come after it."""
    module = next(base.__module__ for base in kind.__mro__ if base.__module__.startswith("httpx"))
    return in_place_of(what, _NONE, httpx=import_module(module.partition(".")[0]))
