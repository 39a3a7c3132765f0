"""The local endpoint of the AWS Secrets Manager Agent (and of the Lambda extension), in front of secrets of a kv mount.

    GET /secretsmanager/get?secretId=NAME     also versionId, versionStage (AWSCURRENT, AWSPREVIOUS), refreshNow=true
    GET /v1/NAME                              the same
    GET /ping                                 "healthy", or 503

Callers show the token that is in a file of ours, as X-Aws-Parameters-Secrets-Token or X-Vault-Token. The answer is that of
GetSecretValue: a secret whose only field is the text "value" is that text, any other is its fields in JSON. It is read through the proxy,
so it is as fresh, and kept as close by.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, unquote

from ml_secrets.agent.resident.http import Asked, Reply
from ml_secrets.agent.resident.logins import read_secret
from ml_secrets.client.encoding import decode, members, part
from ml_secrets.client.lookup import data_path, mount_version
from ml_secrets.errors import MlSecretsError
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.agent.resident.config import Aws
    from ml_secrets.agent.resident.doors import Behind
    from ml_secrets.agent.resident.placing import Placing
    from ml_secrets.agent.resident.proxy import Proxy

_TOKEN_HEADERS: Final = ("x-aws-parameters-secrets-token", "x-vault-token")
_KNOWN: Final = ("secretId", "versionId", "versionStage", "refreshNow")
_ARN: Final = "arn:aws:secretsmanager:local:000000000000:secret:"
_OUR_ARN: Final = re.compile(r"arn:aws:secretsmanager:[^:]*:[0-9]*:secret:(.+)-[0-9A-Za-z]{6}", re.ASCII)
_VERSION: Final = "00000000-0000-0000-0000-"
_STAGES: Final = {"AWSCURRENT": 0, "AWSPREVIOUS": 1}


class _Refused(Exception):  # noqa: N818 - an answer
    def __init__(self, status: int, kind: str, text: str) -> None:
        super().__init__()
        self.told = (status, kind, text)


class AwsEndpoint:
    """The endpoint, behind its guard."""

    def __init__(self, aws: Aws, work: Behind, proxy: Proxy) -> None:
        self._aws = aws
        self._work = work
        self._proxy = proxy
        self._token: Sensitive | None = None

    def prepare(self, placing: Placing) -> None:
        """Have the token that callers show: the one in its file, else a new one written there."""
        place = self._aws.token
        if place.path.exists():
            self._token = read_secret(place.path, place.owner)
            return
        self._token = Sensitive(secrets.token_hex(32))
        placing.write([(place, self._token)])

    def answer(self, asked: Asked) -> Reply:
        """What was asked for."""
        if asked.path == "/ping":
            serves = self._work.health().serves
            return _text(200 if serves else 503, "healthy" if serves else "not yet, or not any more")
        if not self._shows_token(asked):
            return _text(403, "Bad Token")
        if asked.method != "GET":
            return _text(405, "Not allowed")
        try:
            return self._value(_parameters(asked, self._aws.prefix))
        except _Refused as refused:
            return refusal(*refused.told)

    def _shows_token(self, asked: Asked) -> bool:
        wanted = b"" if self._token is None else self._token.reveal_bytes()
        shown = [
            value.encode("latin-1") for name in _TOKEN_HEADERS if (value := asked.header(name)) is not None
        ]
        return bool(wanted) and any(hmac.compare_digest(one, wanted) for one in shown)

    def _value(self, given: Mapping[str, str]) -> Reply:
        name = _name(given["secretId"])
        fresh = given.get("refreshNow", "false").lower() in {"true", "1"}
        version, back = _version(given)
        found = self._read(name, version, fresh=fresh)
        if back:
            found = self._read(name, _number(found) - 1, fresh=fresh)
        current = _number(found) if not (version or back) else _number(self._read(name, 0, fresh=False))
        return Reply(200, _described(name, found, current), {"content-type": "application/json"})

    def _read(self, name: str, version: int, *, fresh: bool) -> Sensitive:
        """The server's answer to a read of it."""
        mount = self._aws.mount
        try:
            path = data_path(
                self._work.client.run(mount_version(self._work.client.session, mount)), mount, name
            )
        except MlSecretsError:
            raise _Refused(502, "ConnectionError", "the secrets cannot be read just now") from None
        headers = (("cache-control", "no-cache"),) if fresh else ()
        target = f"/v1/{quote(path)}" + (f"?version={version}" if version else "")
        reply = self._proxy.answer(Asked("GET", target, headers, Sensitive(b"")), own_token=True)
        if reply.status == 200:
            return reply.body
        known = {
            404: (400, "ResourceNotFoundException", "there is no such secret, or no such version of it"),
            403: (400, "AccessDeniedException", "the agent may not read that"),
            400: (400, "InvalidParameterException", "that is no name of a secret"),
        }
        raise _Refused(*known.get(reply.status, (502, "ConnectionError", "the server is away")))


def refusal(status: int, kind: str, text: str) -> Reply:
    """As AWS has it."""
    body = Sensitive(json.dumps({"__type": kind, "message": text}))
    return Reply(status, body, {"content-type": "application/json"})


def _text(status: int, text: str) -> Reply:
    return Reply(status, Sensitive(text), {"content-type": "text/plain"})


# ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────────────


def _parameters(asked: Asked, prefix: str) -> dict[str, str]:
    path, _, query = asked.target.partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    if path.startswith(prefix) and "secretId" not in given:
        given["secretId"] = unquote(path.removeprefix(prefix))
    elif path != "/secretsmanager/get":
        raise _Refused(404, "ResourceNotFoundException", "there is no such path here")
    if not set(given) <= set(_KNOWN) or not given.get("secretId"):
        raise _Refused(
            400, "InvalidParameterException", f"secretId names the secret; known are {', '.join(_KNOWN)}"
        )
    if given.get("refreshNow", "0").lower() not in {"true", "false", "0", "1"}:
        raise _Refused(400, "InvalidParameterException", "refreshNow is true or false")
    return given


def _name(id_: str) -> str:
    """The secret's name: as it is, or out of an ARN that we gave."""
    found = _OUR_ARN.fullmatch(id_)
    name = found[1] if found else id_
    if not name or any(part in {"", ".", ".."} for part in name.split("/")) or not name.isprintable():
        raise _Refused(400, "InvalidParameterException", "that is no name of a secret")
    return name


def _version(given: Mapping[str, str]) -> tuple[int, int]:
    """The version by number, 0 for the newest; and by how many to go back from there."""
    stage, id_ = given.get("versionStage", "AWSCURRENT"), given.get("versionId", "")
    if stage not in _STAGES:
        raise _Refused(400, "ResourceNotFoundException", f"known stages are {', '.join(_STAGES)}")
    number = id_.removeprefix(_VERSION)
    if id_ and not (
        id_.startswith(_VERSION) and re.fullmatch(r"[0-9]{12}", number, re.ASCII) and int(number)
    ):
        raise _Refused(400, "ResourceNotFoundException", "there is no such version")
    return int(number or 0), 0 if id_ else _STAGES[stage]


# ── what is answered ────────────────────────────────────────────────────────────────────────────────────────────────


def _number(found: Sensitive) -> int:
    told = part(found, "data", "metadata", "version")
    number: int = 1 if told is None else decode(told)
    return number


def _described(name: str, found: Sensitive, current: int) -> Sensitive:
    """GetSecretValue's answer."""
    number = _number(found)
    labels = {current: ["AWSCURRENT"], current - 1: ["AWSPREVIOUS"]}
    about: dict[str, Any] = {
        "ARN": f"{_ARN}{name}-{hashlib.sha256(name.encode()).hexdigest()[:6]}",
        "Name": name,
        "VersionId": f"{_VERSION}{number:012d}",
        "SecretString": _secret_string(found).reveal(),
        "VersionStages": labels.get(number, []),
        "CreatedDate": _created(found),
    }
    return Sensitive(json.dumps(about))


def _secret_string(found: Sensitive) -> Sensitive:
    fields = (
        part(found, "data", "data") if part(found, "data", "metadata") is not None else part(found, "data")
    )
    if fields is None:
        raise _Refused(400, "ResourceNotFoundException", "that version is deleted")
    tree = decode(fields)
    return members(fields)["value"] if list(tree) == ["value"] and isinstance(tree["value"], str) else fields


def _created(found: Sensitive) -> str:
    """Seconds, as text: so the agent has it."""
    told = part(found, "data", "metadata", "created_time")
    return "0" if told is None else str(round(datetime.fromisoformat(decode(told)).timestamp(), 3))
