"""The SDK. `Client` and `AsyncClient` drive the flows; nothing is loaded before it is used.

settings    where the server is, and who we are to it
messages    what a flow asks for: requests, pauses, other flows
flows       one call: tokens, retries, errors
lookup      secrets by name; kv: the KV operations
action      a method written once, for both clients: calls and kv_calls have them all
cache       what is kept, for how long, for whom
live        handles that are always current; following: how they are kept so; leased, lease: credentials that end, and hold: what processes share of them; ending: until when they last
transport   HTTP, and deadline its end in time; embedded: the store in this process
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as in ml_secrets/__init__.py: `typing` costs more to import than all the rest here
if TYPE_CHECKING:
    from typing import Any, Final

    from ml_secrets.client.aio import AsyncClient
    from ml_secrets.client.answer import Answer
    from ml_secrets.client.client import Client
    from ml_secrets.client.ending import EndsEarly
    from ml_secrets.client.events import Event
    from ml_secrets.client.live import AsyncLiveSecret, LiveSecret
    from ml_secrets.client.login import Login, approle, userpass
    from ml_secrets.client.secret import Secret

_PLACES: Final = {
    "Answer": "answer",
    "AsyncClient": "aio",
    "AsyncLiveSecret": "live",
    "Client": "client",
    "EndsEarly": "ending",
    "Event": "events",
    "LiveSecret": "live",
    "Login": "login",
    "Secret": "secret",
    "approle": "login",
    "userpass": "login",
}

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncLiveSecret",
    "Client",
    "EndsEarly",
    "Event",
    "LiveSecret",
    "Login",
    "Secret",
    "approle",
    "userpass",
]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{place}"), name)
    return found
