"""A server's refusal as an error of ours. Each says what to do next: the server's own hint, or one from here.

The wire distinguishes some refusals by text only (a bad token from a missing right, a lost check-and-set from other bad
input). Those texts are compared here and nowhere else; everything above matches classes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ml_secrets import errors
from ml_secrets.client.encoding import Unreadable, decode
from ml_secrets.client.messages import Misdirected

if TYPE_CHECKING:
    from ml_secrets.client.messages import Request, Response

_CAPABILITIES: Final = {
    "GET": "read",
    "POST": "update",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_BAD_TOKEN: Final = ("invalid token", "bad token")
_MOST_SECONDS: Final = 3600.0


def error_of(request: Request, response: Response) -> errors.MlSecretsError:
    """The error that `response` stands for. Its status is not a success."""
    body = _read(response)
    texts = [text for text in body.get("errors") or [] if isinstance(text, str)]
    message = _plain("; ".join(texts))
    hint = body.get("hint") if isinstance(body.get("hint"), str) else ""
    where = f"{request.method} {request.path}"
    status = response.status
    if status < 400:
        return _misdirected(response)
    if status in (401, 403):
        return _forbidden(request, texts, message, hint or "")
    if status == 404:
        return _missing(request, body, message, hint or "")
    if status == 429:
        return errors.Limited(
            message or "too many requests", hint=hint or "slow down", retry_after=retry_after(response) or 1.0
        )
    if status == 503 and "sealed" in message.lower():
        return errors.Sealed(
            message, hint=hint or "an operator has to unseal it: `ml-secrets operator unseal`"
        )
    if status in (502, 503, 504):
        return errors.Unreachable(
            message or f"the server is not available ({status})", hint=hint or "try again in a while"
        )
    if status >= 500:
        return errors.Fault(
            message or f"the server failed ({status}) at {where}", hint=hint or "its log says why"
        )
    return _bad(status, body, message or f"the server refused {where} ({status})", hint or "")


def _bad(status: int, body: dict[str, Any], message: str, hint: str) -> errors.MlSecretsError:
    data, warnings = body.get("data"), body.get("warnings") or ()
    if "check-and-set parameter did not match" in message:
        return errors.Conflict(
            message, hint=hint or "somebody wrote in between: read it again and decide anew", data=data
        )
    if status == 405:
        return errors.Unsupported(message or "the path does not take this verb", hint=hint)
    if status == 409 or status == 412:
        return errors.Conflict(message, hint=hint, data=data)
    if status == 413:
        return errors.TooLarge(message or "the request is larger than the server takes", hint=hint)
    return errors.Invalid(message, hint=hint, data=data, warnings=warnings)


def _forbidden(request: Request, texts: list[str], message: str, hint: str) -> errors.MlSecretsError:
    if request.token is None:
        return errors.Unauthenticated(
            message or "no token", hint=hint or "log in with `ml-secrets login`, or set ML_SECRETS_TOKEN"
        )
    if texts == ["permission denied"] or any(sign in message for sign in _BAD_TOKEN):
        return errors.Unauthenticated(
            message, hint=hint or "the token is unknown or has expired: log in again"
        )
    capability = _capability(request)
    advice = f'ask for a policy with: path "{request.path}" {{ capabilities = ["{capability}"] }}'
    return errors.Denied(message or "permission denied", hint=hint or advice)


def _capability(request: Request) -> str:
    for verb in ("list", "scan"):
        if request.query.get(verb) == "true":
            return verb
    return _CAPABILITIES.get(request.method, "read")


def _missing(request: Request, body: dict[str, Any], message: str, hint: str) -> errors.MlSecretsError:
    warnings = [text for text in body.get("warnings") or [] if isinstance(text, str)]
    data = body.get("data") if isinstance(body.get("data"), dict) else None
    advice = next((text for text in warnings if "versioned K/V" in text), "")
    if advice:
        advice = "this is a KV version 2 mount: client.kv.get(name) adds data/ to the path by itself"
    return errors.NotFound(
        message or f"nothing at {request.path}", hint=hint or advice, data=data, warnings=warnings
    )


def _misdirected(response: Response) -> errors.MlSecretsError:
    target = urlsplit(response.headers.get("location", ""))
    place = f"{target.scheme}://{target.netloc.rpartition('@')[2]}" if target.netloc else target.path
    hint = "set ML_SECRETS_ADDR to it if you trust it: a token follows nobody by itself"
    return Misdirected(f"the server points to {place!r} ({response.status})", hint=hint)


def retry_after(response: Response) -> float | None:
    """The seconds of a Retry-After header; None when there is none that can be read."""
    text = response.headers.get("retry-after", "")
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text, re.ASCII):
        return min(float(text), _MOST_SECONDS)
    return None


def _read(response: Response) -> dict[str, Any]:
    try:
        body = decode(response.body)
    except Unreadable:
        return {}
    return body if isinstance(body, dict) else {}


def _plain(text: str) -> str:
    """Go's list of one error as that error."""
    found = re.fullmatch(r"1 error occurred:\n\t\* (.*?)\s*", text, re.DOTALL)
    return found[1] if found else text.strip()
