"""What an operation answers. None instead of a response means "done, nothing to say" (a read: nothing there)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from ml_secrets.contract.context import Context
    from ml_secrets.contract.login import Login
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

    `data` may hold `msgspec.Raw` where stored JSON goes out as it is. `login` asks the pipeline to issue a token;
    `auth` is the issued token as the wire shows it. `wrap_info` replaces everything else once wrapped.
    `status` overrides the dialect's choice where the contract names a number (health). `content` is (media type,
    bytes) for answers that are no JSON at all. `etag` names this state of what was read, for conditional requests. `lease_id`, `lease_duration` (seconds) and `renewable` describe a lease.
    `state` (ids and numbers, nothing secret) says: whenever this operation gives an answer of this state in this mount,
    its `data` is the same, to the last byte. The audit log then has to hash it only once.
    `again` says that, for as long as nothing is written and the time is before `until` (seconds since 1970), the same
    request has the same answer, and makes its `data` anew as JSON, from this mount's part of the store for names made by
    us, and the caller's token. It keeps nothing secret itself.
    `accessor` names what the answer holds where that can be revoked without being seen (a secret id); it is shown
    beside the answer's wrapping. `record` is how a slow operation ends: it runs in a write transaction, with the caller
    looked at afresh, and gives the real answer.
    `waits` says that who has this state already (`etag`) asks to be kept waiting until it changes.
    """

    data: Mapping[str, Any] | None = None
    warnings: list[str] = []
    login: Login | None = None
    auth: dict[str, Any] | None = None
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
