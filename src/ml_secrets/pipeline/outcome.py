"""What `handle` returns, always: an answer or an error, with what a dialect needs to write it down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ml_secrets.contract.operation import Shape, Verb

if TYPE_CHECKING:
    from ml_secrets.contract.response import Response
    from ml_secrets.errors import MlSecretsError


class Outcome(msgspec.Struct):
    """Exactly one of `response` and `error` counts; both None means done, nothing to say.

    inside: it is the login inside a request that ended so, and the request was not served.
    """

    request_id: str
    response: Response | None = None
    error: MlSecretsError | None = None
    shape: Shape = Shape.ENVELOPE
    verb: Verb = Verb.READ
    mount_kind: str = ""
    inside: bool = False
