"""A request as every dialect hands it to the pipeline, and the caller it turned out to come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec

    from ml_secrets.contract.operation import Verb
    from ml_secrets.domain.token import TokenEntry


@dataclass(slots=True)
class Request:
    """One call. `path` is canonical (decoded once, no `.`, `..` or empty segment) and has no leading slash.

    `fields` holds each member of the JSON body (or each query parameter of a read) as raw JSON, so that what an
    engine stores is what the client sent.
    `wrap_ttl` is in seconds; None when no wrapping was asked for.
    """

    id: str
    verb: Verb
    path: str
    token: str | None = None
    fields: dict[str, msgspec.Raw] = field(default_factory=dict)
    remote_address: str = ""
    remote_port: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    wrap_ttl: int | None = None
    help: bool = False


@dataclass(slots=True)
class Caller:
    """Who asks: a live token. `key` is the token's HMAC, its name in the store; `token` is kept for this request only."""

    key: str
    entry: TokenEntry
    token: str
