"""Response wrapping: the answer stays here, and the caller gets a one-time token for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ml_secrets.contract.response import Response
from ml_secrets.domain.instant import rfc3339
from ml_secrets.domain.token import WRAPPING_POLICY, TokenEntry
from ml_secrets.errors import Invalid
from ml_secrets.registry.wrapping import Wrapped

if TYPE_CHECKING:
    from ml_secrets.contract.request import Request
    from ml_secrets.registry.tokens import Tokens
    from ml_secrets.registry.unit import Unit
    from ml_secrets.registry.wrapping import Wrapping

LONGEST: Final = 10 * 365 * 86_400
"""No answer waits longer (in seconds): a TTL of hundreds of years is a mistake."""


def wrap(
    unit: Unit,
    tokens: Tokens,
    wrapping: Wrapping,
    request: Request,
    answer: bytes,
    *,
    wrapped_accessor: str = "",
) -> Response:
    """Keep `answer` (the JSON of the whole envelope) under a new single-use token that may do nothing but unwrap."""
    ttl = request.wrap_ttl or 0
    if not 0 < ttl <= LONGEST:
        raise Invalid("the wrapping TTL must be between one second and ten years")
    entry = TokenEntry(
        accessor=tokens.new_accessor(),
        policies=(WRAPPING_POLICY,),
        path=request.path,
        created=unit.now,
        expires=unit.now + ttl,
        creation_ttl=ttl,
        explicit_max_ttl=ttl,
        renewable=False,
        uses_left=1,
    )
    token = tokens.issue(unit, entry)
    wrapping.keep(unit, tokens.key_of(token), Wrapped(answer, request.path, unit.now, ttl, wrapped_accessor))
    info = {
        "token": token,
        "accessor": entry.accessor,
        "ttl": ttl,
        "creation_time": rfc3339(unit.now),
        "creation_path": request.path,
    }
    return Response(wrap_info=info | ({"wrapped_accessor": wrapped_accessor} if wrapped_accessor else {}))
