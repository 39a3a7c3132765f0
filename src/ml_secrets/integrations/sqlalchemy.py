"""SQLAlchemy: each new connection of an engine logs in with the user and password of now.

The fields of the secret: `username` (or `user`) and `password`. The URL of the engine has neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ml_secrets.errors import MlSecretsError
from ml_secrets.integrations.source import Source, library, logged_in, same_login, source

if TYPE_CHECKING:
    from collections.abc import Callable

_LOGIN: Final = "ml_secrets.login"


def attach(engine: Any, what: str | Source) -> Any:
    """Have the engine log in so; gives it back.

    A connection of the pool that logged in with what is no more is replaced when it is taken out next; who holds one keeps
    it. A login that fails is tried once more with credentials asked for anew, if they are others.

    engine = attach(create_engine("postgresql+psycopg://db.example/app"), "db/train")
    """
    kept, dialect = source(what), engine.dialect
    event, exc = library("sqlalchemy.event"), library("sqlalchemy.exc")

    def connect(_dialect: Any, record: Any, cargs: Any, cparams: dict[str, Any]) -> Any:
        made, secret = logged_in(kept, lambda login: dialect.connect(*cargs, **{**cparams, **login}))
        if record is not None:
            record.info[_LOGIN] = secret
        return made

    def take_out(_connection: Any, record: Any, _proxy: Any) -> None:
        if _LOGIN in record.info and not _holds(kept, record.info[_LOGIN]):
            raise exc.DisconnectionError("another login by now")

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "checkout", take_out)
    return engine


def _holds(kept: Source, used: Any) -> bool:
    """Is that login still the one? A server of secrets that is away is no reason to give up a connection that is there."""
    try:
        return same_login(kept.get(), used)
    except MlSecretsError:
        return True


def creator(what: str | Source, connect: Callable[..., Any], **settings: Any) -> Callable[[], Any]:
    """For `create_engine(..., creator=creator("db/train", psycopg.connect, host="db.example", dbname="app"))`."""
    kept = source(what)
    return lambda: logged_in(kept, lambda login: connect(**settings, **login))[0]
