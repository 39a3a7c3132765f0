"""A server's refusal as an error of ours. Each says what to do next: the server's own hint, or one from here.

The wire distinguishes some refusals by text only (a bad token from a missing right, a lost check-and-set from other bad
input). Those texts are compared here and nowhere else; everything above matches classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from ml_secrets import errors
from ml_secrets.client.encoding import Unreadable, decode
from ml_secrets.client.inline import FAILED
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
_CONFLICTS: Final = ("check-and-set parameter did not match", "there is a secret at ")
"""What is a conflict, though Vault's wire calls it a bad request."""
_NO_LOGIN: Final = "failed to perform inline authentication"
_MOST_SECONDS: Final = 3600.0


def error_of(request: Request, response: Response) -> errors.MlSecretsError:
    """The error that `response` stands for. Its status is not a success."""
    if response.status < 400:
        return _misdirected(response)
    body = _read(response)
    texts = _texts(body.get("errors"))
    said = _Said(request, response, body, texts, _plain("; ".join(texts)), _hint(response, body))
    if _of_login(said):
        hint = said.hint or "check what you log in with, and where; a secret id may be used up"
        return errors.Unauthenticated(said.message or "the login was refused", hint=hint)
    if response.status in (401, 403):
        return _forbidden(said)
    if response.status == 404:
        return _missing(said)
    if response.status == 429:
        wait = retry_after(response) or 1.0
        return errors.Limited(
            said.message or "too many requests", hint=said.hint or "ask less often", retry_after=wait
        )
    return _failed(said) if response.status >= 500 else _bad(said)


@dataclass(slots=True)
class _Said:
    """A refusal taken apart. `texts` as they came, `message` fit to be shown; "" where the server said nothing."""

    request: Request
    response: Response
    body: dict[str, Any] = field(repr=False)
    texts: list[str]
    message: str
    hint: str


def _hint(response: Response, body: dict[str, Any]) -> str:
    """The server's; in a header where the body may say nothing more."""
    given = body.get("hint", "")
    return (given if isinstance(given, str) else "") or unquote(response.headers.get("x-ml-secrets-hint", ""))


def _of_login(said: _Said) -> bool:
    """The login inside the request was refused. OpenBao says so by a header, or by the text alone."""
    if said.request.login is None or said.response.status in (429, 503):
        return False
    return bool(said.response.headers.get(FAILED)) or said.message.startswith(_NO_LOGIN)


def _failed(said: _Said) -> errors.MlSecretsError:
    status = said.response.status
    if status == 503 and "sealed" in said.message.lower():
        return errors.Sealed(
            said.message, hint=said.hint or "an operator has to unseal it: `ml-secrets operator unseal`"
        )
    if status in (502, 503, 504):
        return errors.Unreachable(
            said.message or f"the server is not available ({status})",
            hint=said.hint or "try again in a while",
        )
    where = f"{said.request.method} {said.request.path}"
    return errors.Fault(
        said.message or f"the server failed ({status}) at {where}", hint=said.hint or "its log says why"
    )


def _bad(said: _Said) -> errors.MlSecretsError:
    status, message, hint, data = said.response.status, said.message, said.hint, said.body.get("data")
    if status in (409, 412) or any(sign in message for sign in _CONFLICTS):
        return errors.Conflict(
            message, hint=hint or "somebody wrote in between: read it again and decide anew", data=data
        )
    if status == 405:
        return errors.Unsupported(message or "the path does not take this verb", hint=hint)
    if status == 413:
        return errors.TooLarge(message or "the request is larger than the server takes", hint=hint)
    message = message or f"the server refused {said.request.method} {said.request.path} ({status})"
    return errors.Invalid(message, hint=hint, data=data, warnings=_texts(said.body.get("warnings")))


def _forbidden(said: _Said) -> errors.MlSecretsError:
    message = said.message or "permission denied"
    if said.request.token is None and said.request.login is None:
        return errors.Unauthenticated(
            message, hint=said.hint or "log in with `ml-secrets login`, or set ML_SECRETS_TOKEN"
        )
    if (
        said.response.status == 401
        or said.texts == ["permission denied"]
        or any(sign in message for sign in _BAD_TOKEN)
    ):
        return errors.Unauthenticated(
            message, hint=said.hint or "the token is unknown or has expired: log in again"
        )
    advice = f'ask for a policy with: path "{said.request.path}" {{ capabilities = ["{_capability(said.request)}"] }}'
    return errors.Denied(message, hint=said.hint or advice)


def _capability(request: Request) -> str:
    asked = next((verb for verb in ("list", "scan") if request.query.get(verb) == "true"), "")
    return asked or _CAPABILITIES.get(request.method, "read")


def _missing(said: _Said) -> errors.MlSecretsError:
    warnings = _texts(said.body.get("warnings"))
    versioned = any("versioned K/V" in text for text in warnings)
    advice = (
        "this is a KV version 2 mount: client.kv.get(name) adds data/ to the path by itself"
        if versioned
        else ""
    )
    data = said.body.get("data")
    return errors.NotFound(
        said.message or f"nothing at {said.request.path}",
        hint=said.hint or advice,
        data=data if isinstance(data, dict) else None,
        warnings=warnings,
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


def _texts(found: Any) -> list[str]:
    """The texts of a list; none of what a gateway puts there instead."""
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def _plain(text: str) -> str:
    """Go's list of one error as that error."""
    found = re.fullmatch(r"1 error occurred:\n\t\* (.*?)\s*", text, re.DOTALL)
    return found[1] if found else text.strip()
