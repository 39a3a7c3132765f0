"""SQLAlchemy: each new connection of an engine logs in with the user and password of now.

The fields of the secret: `username` (or `user`) and `password`. The URL of the engine has neither.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from ml_secrets.integrations.source import Source, library, logged_in, source

if TYPE_CHECKING:
    from collections.abc import Callable


def attach(engine: Any, what: str | Source) -> Any:
    """Have the engine log in so; gives it back. After a rotation its pool is made anew: who holds a connection keeps it.

    A login that fails is tried once more with credentials asked for anew, if they are others.

    engine = attach(create_engine("postgresql+psycopg://db.example/app"), "db/train")
    """
    kept, dialect, alive = source(what), engine.dialect, weakref.ref(engine)

    def connect(_dialect: Any, _record: Any, cargs: Any, cparams: dict[str, Any]) -> Any:
        return logged_in(kept, lambda login: dialect.connect(*cargs, **{**cparams, **login}))

    def renew(_: object) -> None:
        found = alive()
        if found is not None:
            found.dispose(close=False)

    library("sqlalchemy.event").listen(engine, "do_connect", connect)
    kept.on_change(renew)
    return engine


def creator(what: str | Source, connect: Callable[..., Any], **settings: Any) -> Callable[[], Any]:
    """For `create_engine(..., creator=creator("db/train", psycopg.connect, host="db.example", dbname="app"))`."""
    kept = source(what)
    return lambda: logged_in(kept, lambda login: connect(**settings, **login))
