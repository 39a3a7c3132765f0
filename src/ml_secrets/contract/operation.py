"""One operation of an engine: verb, path template, fields, and what the pipeline must know before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.contract.context import Context
    from ml_secrets.contract.fields import Field
    from ml_secrets.contract.response import Response


class Verb(StrEnum):
    """What a request does. WRITE becomes the capability `create` or `update` by the operation's `exists` hook."""

    READ = "read"
    LIST = "list"
    SCAN = "scan"
    WRITE = "write"
    PATCH = "patch"
    DELETE = "delete"


class Shape(StrEnum):
    """How the wire shows `Response.data`: in an envelope, bare, or in an envelope and repeated beside it.

    A FILE has `Response.content`; a STREAM goes on as long as the connection lasts (`Response.follows`).
    """

    ENVELOPE = "envelope"
    BARE = "bare"
    REPEATED = "repeated"
    FILE = "file"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Operation:
    """A declared operation. Made by the decorators of `Engine`, never by hand.

    template: path below the mount; `{name}` is one segment, `{path:path}` one or more.
    plain, plain_response: request and response fields that the audit log shows as they are (all others are HMAC'd).
    public: needs no token. while_sealed: runs without a key. sudo: needs `sudo` beside the verb's capability.
    changes: runs in a write transaction (default: WRITE, PATCH, DELETE do).
    slow: burns CPU or waits on purpose (password hashing): never run on the event loop, runs in a read transaction;
    what it has to write, it answers as `Response.record`.
    short: of a change, that it reads and writes a few rows and thinks little, whatever it is sent and the store holds: it
    may be made on the event loop, and only its commit waits in a thread.
    any_field: its fields are the caller's own (what is to be wrapped), so that none of them is unrecognised.
    folded: path arguments in which upper and lower case are one (role and user names). They are lower case from the
    first step on, so that no rule, audit line or row sees another spelling.
    exists: tells create from update; None means every write is an update.
    role: of a login, the role that it asks for ("": none that there is), which a quota may name; None: it knows no roles.
    """

    verb: Verb
    template: str
    run: Callable[..., Response | None]
    fields: tuple[Field, ...]
    summary: str
    details: str
    plain: frozenset[str]
    plain_response: frozenset[str]
    public: bool
    while_sealed: bool
    sudo: bool
    changes: bool
    slow: bool
    short: bool
    any_field: bool
    folded: frozenset[str]
    shape: Shape
    exists: Callable[[Context, dict[str, str]], bool] | None
    role: Callable[[Context], str] | None = None
