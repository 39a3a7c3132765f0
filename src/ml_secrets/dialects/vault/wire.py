"""Bytes to `Request`, `Outcome` to bytes.

Rules: the path is decoded once and strictly (domain/path.py) and that one text is what is routed, authorised, stored
and audited; two token headers, or a token beside another bearer, are refused; a body is one JSON object without
repeated keys. Whatever cannot be read is `Invalid`, and its text never shows what was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote

import msgspec

from ml_secrets.contract.operation import Shape, Verb
from ml_secrets.contract.request import Request
from ml_secrets.dialects.vault import inline
from ml_secrets.dialects.vault.faults import status_of, texts_of
from ml_secrets.dialects.vault.headers import WrongMedia, read_headers
from ml_secrets.dialects.vault.request_ids import request_id
from ml_secrets.domain.duration import parse_duration
from ml_secrets.domain.path import request_path
from ml_secrets.domain.value import repeats_member
from ml_secrets.errors import Invalid, Limited, NotFound, TooLarge, Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_secrets.contract.response import Response
    from ml_secrets.dialects.vault.headers import Headers
    from ml_secrets.errors import MlSecretsError
    from ml_secrets.pipeline.outcome import Outcome

PREFIX: Final = b"/v1/"
_VERBS: Final = {
    "GET": Verb.READ,
    "POST": Verb.WRITE,
    "PUT": Verb.WRITE,
    "LIST": Verb.LIST,
    "SCAN": Verb.SCAN,
    "PATCH": Verb.PATCH,
    "DELETE": Verb.DELETE,
}
_QUERY_VERBS: Final = (Verb.READ, Verb.LIST, Verb.SCAN, Verb.DELETE)
_MOST_TEXTS: Final = 100_000
_READABLE: Final = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}"
"""What a header shows as it is, beside letters and digits; the rest is percent-encoded UTF-8."""
HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
JSON: Final = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode


class HttpRequest(msgspec.Struct):
    """One HTTP request as the edge read it. Header names are lower case."""

    method: str
    raw_path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    client: tuple[str, int]
    body: bytes = b""


class HttpResponse(msgspec.Struct):
    """What goes back."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes = b""


def blank(http: HttpRequest) -> Request:
    """A request of which nothing is known yet but its id and where it came from."""
    return Request(
        id=request_id(),
        verb=_VERBS.get(http.method, Verb.READ),
        path="",
        remote_address=http.client[0],
        remote_port=http.client[1],
    )


def token_of(http: HttpRequest) -> str | None:
    """The token alone, for who must know it ahead of the body. Raises `Invalid` for headers that contradict themselves."""
    return read_headers(http.headers).token


def read(http: HttpRequest, request: Request) -> None:
    """Fill `request` from the HTTP request. Raises a Refusal for what cannot be read."""
    headers = _read_headers(http, request)
    if http.method not in _VERBS and http.method != "HEAD":
        raise Unsupported
    if not http.raw_path.startswith(PREFIX):
        raise NotFound
    query = _read_query(http.query) if http.query else {}
    if query:
        _read_verb(request, query)
    request.path, folder = request_path(http.raw_path[len(PREFIX) :])
    if folder and request.verb not in (Verb.LIST, Verb.SCAN):
        raise Invalid(
            "cannot write to a path ending in '/'"
            if request.verb is Verb.WRITE
            else "the path must not end in '/'",
            hint="leave it out; a folder can be listed",
        )
    if http.method == "HEAD" and request.path != "sys/health":
        raise Unsupported
    if headers.wrap_ttl:
        request.wrap_ttl = _read_wrap_ttl(headers.wrap_ttl)
    if query and request.verb in _QUERY_VERBS:
        # `?version=` is how some clients say "none"
        request.fields = {name: msgspec.Raw(_encode(value)) for name, value in query.items() if value}
    if http.body:
        if request.verb is Verb.PATCH:
            _check_patch(headers.media_type)
        request.fields |= read_body(http.body, headers.media_type)
    request.help = bool(query) and query.get("help", "") in ("1", "true")


def _read_headers(http: HttpRequest, request: Request) -> Headers:
    headers = read_headers(http.headers)
    request.token, request.headers = headers.token, headers.plain
    if inline.PATH in headers.plain:
        request.login = inline.read_login(http.headers, request, blank(http))
    return headers


def _check_patch(media_type: str) -> None:
    """A patch is a merge patch, and says so."""
    if not media_type:
        raise Invalid("mime: no media type", hint="send Content-Type: application/merge-patch+json")
    if not media_type.startswith("application/merge-patch+json"):
        raise WrongMedia("PATCH needs Content-Type: application/merge-patch+json")


def _read_query(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise Invalid("the query string is malformed") from None
    query = dict(pairs)
    if len(query) != len(pairs):
        raise Invalid(
            "a parameter came twice"
        )  # which one counts, the two ends of a proxy may see differently
    return query


def _read_verb(request: Request, query: dict[str, str]) -> None:
    if request.verb is not Verb.READ:
        return
    for name, verb in (("list", Verb.LIST), ("scan", Verb.SCAN)):
        flag = query.pop(name, "")
        if flag.lower() in ("true", "1", "t"):
            request.verb = verb
        elif flag and flag.lower() not in ("false", "0", "f"):
            raise Invalid(f"query parameter {name!r} must be true or false")


def _read_wrap_ttl(text: str) -> int:
    try:
        seconds = parse_duration(text)
    except Invalid as error:
        raise Invalid(f"error parsing X-Vault-Wrap-TTL header: {error.message}", hint=error.hint) from None
    if not seconds:
        raise Invalid("requested wrap TTL must be greater than zero", hint="for example 10m")
    return seconds


def read_body(body: bytes, media_type: str = "") -> dict[str, msgspec.Raw]:
    """The members of a JSON object, each as raw JSON. `null` and nothing are an empty object."""
    if media_type.startswith("application/x-www-form-urlencoded") and body[:1] not in b"{[ \t\r\n":
        return {name: msgspec.Raw(_encode(value)) for name, value in _read_query(body).items()}
    if not body.strip():
        return {}
    if body.count(b'"') > 2 * _MOST_TEXTS:
        raise Invalid(
            "refused JSON input due to high complexity", hint=f"send at most {_MOST_TEXTS} texts in one body"
        )
    try:
        fields = _fields(body) or {}
        repeated = repeats_member(body, fields)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise Invalid(
            "failed to decode JSON input: the body must be one JSON object",
            hint="check its syntax, and that it is UTF-8",
        ) from None
    if repeated:
        raise Invalid("failed to decode JSON input: a member of the body came twice")
    return fields


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def write(outcome: Outcome, request: Request) -> HttpResponse:
    """The HTTP response of an outcome. A read whose ETag the client already has is answered 304, without a body."""
    if outcome.error is not None:
        return _write_error(outcome, outcome.error)
    response = outcome.response
    if response is None:
        return HttpResponse(204, HEADERS)
    if response.follows is not None:  # who writes an answer as a whole cannot go on with it
        unsupported = Unsupported("there are no events here", hint="ask a server: `ml-secrets server`")
        return _write_error(outcome, unsupported)
    etag = ((b"etag", b'"%b"' % response.etag.encode()),) if response.etag and not response.wrap_info else ()
    if etag and has_already(request, response):
        return HttpResponse(304, (*HEADERS, *etag))
    if response.content is None:
        kind, body = JSON, envelope(outcome)
    else:
        kind, body = (b"content-type", response.content[0].encode()), response.content[1]
    return HttpResponse(response.status or 200, (*HEADERS, kind, *etag), body)


def has_already(request: Request, response: Response) -> bool:
    """The client says that it has this very state."""
    return bool(response.etag) and request.headers.get("if-none-match") == f'"{response.etag}"'


def envelope(outcome: Outcome) -> bytes:
    """The JSON body of a successful outcome."""
    response = outcome.response
    if response is None:
        return b""
    if outcome.shape is Shape.BARE and not response.wrap_info:
        return _encode(response.data or {})
    body: dict[str, Any] = {
        "request_id": "" if response.wrap_info else outcome.request_id,
        "lease_id": response.lease_id,
        "renewable": response.renewable,
        "lease_duration": response.lease_duration,
        "data": response.data,
        "wrap_info": response.wrap_info,
        "warnings": response.warnings or None,
        "auth": response.auth,
        "mount_type": outcome.mount_kind,
    }
    if outcome.shape is Shape.REPEATED and response.data and not response.wrap_info:
        body |= {key: value for key, value in response.data.items() if key not in body}
    return _encode(body)


def _write_error(outcome: Outcome, error: MlSecretsError) -> HttpResponse:
    if (
        isinstance(error, NotFound)
        and outcome.verb is Verb.PATCH
        and not error.message
        and error.data is None
    ):
        return HttpResponse(
            404, HEADERS
        )  # the peers' answer to a patch of nothing, which their clients take apart
    status = status_of(error)
    headers: list[tuple[bytes, bytes]] = [*HEADERS, JSON]
    if isinstance(error, Limited):
        headers.append((b"retry-after", str(max(1, round(error.retry_after))).encode()))
    if outcome.inside:
        headers.append(inline.FAILED)
    if isinstance(error, TooLarge):
        headers.append((b"connection", b"close"))
    data = getattr(error, "data", None)
    warnings = list(getattr(error, "warnings", ()))
    body: dict[str, Any] = {"errors": texts_of(error)}
    if data is not None or warnings:
        told = body if error.message else {}
        body = told | {
            "request_id": outcome.request_id,
            "lease_id": "",
            "renewable": False,
            "lease_duration": 0,
            "data": data,
            "wrap_info": None,
            "warnings": warnings or None,
            "auth": None,
        }
    if error.hint and isinstance(error, NotFound) and len(body) == 1:
        headers.append(hint_header(error.hint))
    elif error.hint:
        body["hint"] = error.hint
    return HttpResponse(status, headers, _encode(body))


def hint_header(hint: str) -> tuple[bytes, bytes]:
    """Of a 404 Vault's clients say that nothing is there, unless there is more than `errors` in the body: so this is not."""
    return (b"x-ml-secrets-hint", quote(hint, safe=_READABLE).encode())
