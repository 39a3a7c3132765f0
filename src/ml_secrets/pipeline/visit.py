"""What the pipeline has learnt about one request so far. The audit log tells it as it stood when the request ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from ml_secrets.contract.context import Context
    from ml_secrets.contract.login import Login
    from ml_secrets.contract.request import Caller, Request
    from ml_secrets.contract.response import Response
    from ml_secrets.domain.acl import Decision
    from ml_secrets.pipeline.devices import Bundle
    from ml_secrets.pipeline.route import Route


class Visit(msgspec.Struct):
    """One request on its way.

    capability: the right it needs ("create", "read", …). counted: a use of its token has been spent, if it counts them;
    spent: the key of a token whose last use this was. tolled: its quota has counted it. admitted: it
    may do what it asks for. recorded: the audit log has it as
    done. brief: it is on the event loop, where it may not read much. bundle: it changes something together with others,
    and is recorded with them. context: what its operation is handed, in the unit that it was last in. now: the moment that a read saw the store, in seconds since 1970; stamp: which state of it
    that was (`Units.stamp`).
    """

    request: Request
    route: Route
    caller: Caller | None = None
    decision: Decision | None = None
    capability: str = ""
    response: Response | None = None
    login: Login | None = None
    counted: bool = False
    spent: str = ""
    tolled: bool = False
    brief: bool = False
    admitted: bool = False
    recorded: bool = False
    bundle: Bundle | None = None
    context: Context | None = None
    now: float = 0.0
    stamp: int = 0
