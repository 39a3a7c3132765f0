"""psycopg 3: connections, and pools of them, that log in with the user and password of now. Fields: see sqlalchemy.py."""

from __future__ import annotations

import asyncio
from typing import Any

from ml_secrets.integrations.source import Source, another_login, library, logged_in, login_of, source


def connect(what: str | Source, conninfo: str = "", **settings: Any) -> Any:
    """A connection: `connect("db/train", host="db.example", dbname="app")`."""
    psycopg = library("psycopg")
    return logged_in(source(what), lambda login: psycopg.connect(conninfo, **settings, **login))[0]


def connection_class(what: str | Source) -> Any:
    """For a pool: `ConnectionPool("host=db.example dbname=app", connection_class=connection_class("db/train"))`.

    Each connection that the pool makes logs in anew. After a rotation `pool.check()`, or its `max_lifetime`, replaces old ones.
    """
    kept = source(what)

    class LiveConnection(library("psycopg").Connection):  # type: ignore[misc]
        @classmethod
        def connect(cls, conninfo: str = "", **settings: Any) -> Any:
            plain = super().connect
            return logged_in(kept, lambda login: plain(conninfo, **{**settings, **login}))[0]

    return LiveConnection


def async_connection_class(what: str | Source) -> Any:
    """The same for `AsyncConnectionPool`."""
    kept = source(what)

    class AsyncLiveConnection(library("psycopg").AsyncConnection):  # type: ignore[misc]
        @classmethod
        async def connect(cls, conninfo: str = "", **settings: Any) -> Any:
            plain = super().connect
            secret = await asyncio.to_thread(kept.get)
            try:
                return await plain(conninfo, **{**settings, **login_of(secret)})
            except Exception:
                another = await asyncio.to_thread(another_login, kept, secret)
                if another is None:
                    raise
            return await plain(conninfo, **{**settings, **login_of(another)})

    return AsyncLiveConnection
