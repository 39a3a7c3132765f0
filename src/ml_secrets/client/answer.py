"""`Answer`: what a generic call returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ml_secrets.client.encoding import Unreadable, conceal, decode
from ml_secrets.client.messages import Lost
from ml_secrets.redaction.known import KNOWN
from ml_secrets.sensitive import MASK, Sensitive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.client.messages import Response


@dataclass(slots=True, repr=False)
class Answer:
    """A server's answer. It prints the names of its fields, never their values.

    `data` is {} where the server had nothing to say (204). Answers without the usual envelope (sys/health,
    sys/seal-status) have their whole body in `data`; answers that are not JSON (metrics, certificates) in `content`.
    `auth` holds the new token after a login, `wrap_info` the wrapping token when one was asked for.
    """

    status: int
    data: dict[str, Any] = field(default_factory=dict)
    auth: dict[str, Any] | None = None
    wrap_info: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)
    lease_id: str = ""
    lease_duration: int = 0
    renewable: bool = False
    request_id: str = ""
    content: bytes = b""
    media_type: str = ""

    def handed(self) -> Iterator[tuple[str, Sensitive]]:
        """What of it is surely secret, for guards to know: tokens, leased credentials, the fields of a KV secret."""
        for about, name in ((self.auth, "client_token"), (self.wrap_info, "token")):
            if about and about.get(name):
                yield "a token", Sensitive(str(about[name]))
        inner = self.data.get("data")
        if not isinstance(inner, dict) or not isinstance(self.data.get("metadata"), dict):
            inner = self.data if self.lease_id else {}
        for name, value in inner.items():
            yield f"an answer's {name}", Sensitive(value) if isinstance(value, str) else conceal(value)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name!r}: {MASK}" for name in self.data)
        return f"Answer(status={self.status}, data={{{shown}}}, warnings={self.warnings!r})"


def read_answer(response: Response) -> Answer:
    """A successful response as an `Answer`. Raises `Lost` when the body is not what its header says."""
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not response.body:
        return Answer(response.status, media_type=media_type)
    if media_type != "application/json":
        return Answer(response.status, content=response.body.reveal_bytes(), media_type=media_type)
    try:
        body = decode(response.body)
    except Unreadable:
        body = None
    if not isinstance(body, dict):
        del body
        raise Lost(
            "the server's answer is not a JSON object",
            hint="is the address that of a Vault-compatible server?",
        )
    if "data" not in body or "request_id" not in body:
        return Answer(response.status, data=body, media_type=media_type)
    answer = Answer(
        status=response.status,
        data=body["data"] if isinstance(body["data"], dict) else {},
        auth=body.get("auth"),
        wrap_info=body.get("wrap_info"),
        warnings=body.get("warnings") or [],
        lease_id=body.get("lease_id") or "",
        lease_duration=body.get("lease_duration") or 0,
        renewable=bool(body.get("renewable")),
        request_id=body.get("request_id") or "",
        media_type=media_type,
    )
    if KNOWN.watching:
        KNOWN.know(answer.handed())
    return answer
