"""A request as every dialect hands it to the pipeline, and the caller it turned out to come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.contract.operation import Verb
    from ml_secrets.domain.token import TokenEntry


class Request(msgspec.Struct):
    """One call. `path` is canonical (decoded once, no `.`, `..` or empty segment) and has no leading slash.

    `fields` holds each member of the JSON body (or each query parameter of a read) as raw JSON, so that what an
    engine stores is what the client sent.
    `wrap_ttl` is in seconds; None when no wrapping was asked for.
    `inside`: it is a login that came inside another request; it gives a caller, and no token. `login`: the one inside this
    request, to be done first; `caller`: who that turned out to be.
    `name` tells a plain read from any other, its token included, without showing it; empty for what is no plain read.
    """

    id: str
    verb: Verb
    path: str
    token: str | None = None
    fields: dict[str, msgspec.Raw] = {}
    remote_address: str = ""
    remote_port: int = 0
    headers: Mapping[str, str] = {}
    wrap_ttl: int | None = None
    help: bool = False
    name: bytes = b""
    inside: bool = False
    login: Request | None = None
    caller: Caller | None = None


class Caller(msgspec.Struct):
    """Who asks: a live token. `key` is the token's HMAC, its name in the store; `token` is kept for this request only."""

    key: str
    entry: TokenEntry
    token: str
