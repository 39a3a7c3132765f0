"""What an operation answers. None instead of a response means "done, nothing to say" (a read: nothing there)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from ml_secrets.contract.context import Context
    from ml_secrets.contract.login import Login
    from ml_secrets.contract.request import Caller
    from ml_secrets.registry.changes import Wanted
    from ml_secrets.storage.interface import Transaction


class Same:
    """An object as a part of `Response.state`: it is equal to itself alone. For what is replaced, and never changed."""

    __slots__ = ("_object",)

    def __init__(self, what: object) -> None:
        self._object = what

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self._object is other._object

    def __hash__(self) -> int:
        return id(self._object)


class Waits(msgspec.Struct, frozen=True):
    """To be kept waiting, for at most so many seconds, until there is news of `topic` (registry/changes.py)."""

    topic: tuple[str, str]
    seconds: int


class Response(msgspec.Struct):
    """The answer to one request.

    data: may hold `msgspec.Raw` where stored JSON goes out as it is.
    login: asks the pipeline to issue a token; auth: an issued token as the wire shows it. caller: who a login inside a
    request recognised.
    wrap_info: replaces everything else once wrapped.
    lease_id, lease_duration (seconds), renewable: the lease of what is answered.
    status: overrides the dialect's choice where the contract names a number (health).
    content: (media type, bytes) of an answer that is no JSON at all.
    accessor: names what the answer holds where that can be revoked without being seen (a secret id); it is shown beside
    the answer's wrapping.
    follows: the answer is a stream of these changes, for as long as the caller stays and may.

    For conditional and repeated reads:

    etag: names this state of what was read.
    state: ids and numbers, nothing secret. Whenever this operation gives an answer of this state in this mount, its `data`
    is the same, to the last byte. The audit log then has to hash it only once.
    again, until: for as long as nothing is written and the time (seconds since 1970) is before `until`, the same request has
    the same answer; `again` makes its `data` anew as JSON, from this mount's part of the store for names made by us, and
    the caller's token. It keeps nothing secret itself.
    waits: who has this state already (`etag`) asks to be kept waiting until it changes.

    For slow operations:

    record: how one ends. It runs in a write transaction, with the caller looked at afresh, and gives the real answer.
    """

    data: Mapping[str, Any] | None = None
    warnings: list[str] = []
    login: Login | None = None
    auth: dict[str, Any] | None = None
    caller: Caller | None = None
    wrap_info: dict[str, Any] | None = None
    lease_id: str = ""
    lease_duration: int = 0
    renewable: bool = False
    status: int | None = None
    etag: str = ""
    state: Hashable = None
    content: tuple[str, bytes] | None = None
    accessor: str = ""
    again: Callable[[Transaction, str], bytes] | None = None
    until: float = math.inf
    record: Callable[[Context], Response | None] | None = None
    waits: Waits | None = None
    follows: Wanted | None = None
