"""One request as the audit log tells it: Vault's `request` and `response` records, with names and types as observed.

What never changes for a token or a mount is written once and kept as bytes; a read costs two hashes a secret value and
little else. Every record is one JSON object on one line, without characters that could move a terminal's cursor.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from ml_secrets.audit.script import Script, one_line
from ml_secrets.contract.operation import Verb
from ml_secrets.domain.instant import rfc3339
from ml_secrets.errors import Denied, MlSecretsError, Refusal, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.audit.hashing import Hasher
    from ml_secrets.contract.engine import Engine
    from ml_secrets.contract.login import Login
    from ml_secrets.contract.operation import Operation
    from ml_secrets.contract.request import Caller, Request
    from ml_secrets.contract.response import Response
    from ml_secrets.domain.acl import Decision
    from ml_secrets.domain.mount import Mount
    from ml_secrets.domain.token import TokenEntry

_OPERATIONS: Final = {
    Verb.READ: "read",
    Verb.LIST: "list",
    Verb.SCAN: "scan",
    Verb.WRITE: "update",
    Verb.PATCH: "patch",
    Verb.DELETE: "delete",
}
_REMEMBERED: Final = 4096
_LONGEST_REMEMBERED: Final = 2048
"""Bytes of an answer's record. The bulk of longer ones is in their hashes, which take long anyway."""
_NOTHING: Final[frozenset[str]] = frozenset()
_STRANGER: Final = b'"token_type":"default"}'
_ALLOWED: Final = b'"policy_results":{"allowed":true},'
_REFUSED: Final = b'"policy_results":{"allowed":false},'
_encode = msgspec.json.Encoder().encode


class Way(Protocol):
    """Where a request led, as far as is known."""

    @property
    def mount(self) -> Mount | None: ...
    @property
    def engine(self) -> Engine | None: ...
    @property
    def operation(self) -> Operation | None: ...


class Seen(Protocol):
    """What the pipeline knows about a request (its `Visit`)."""

    @property
    def request(self) -> Request: ...
    @property
    def route(self) -> Way: ...
    @property
    def caller(self) -> Caller | None: ...
    @property
    def decision(self) -> Decision | None: ...
    @property
    def capability(self) -> str: ...
    @property
    def admitted(self) -> bool: ...
    @property
    def response(self) -> Response | None: ...
    @property
    def login(self) -> Login | None: ...


class Scribe:
    """Writes records with one device's hashes. `headers` (name -> {"hmac": bool}) are the request headers to record."""

    def __init__(
        self, hasher: Hasher, *, hmac_accessor: bool, headers: Mapping[str, Mapping[str, bool]]
    ) -> None:
        self._hasher = hasher
        self._hmac_accessor = hmac_accessor
        self.headers = headers
        self._tokens: OrderedDict[str, _TokenPart] = OrderedDict()
        self._mounts: OrderedDict[str, _MountPart] = OrderedDict()
        self._grants: dict[tuple[str, ...], bytes] = {}
        self._answers: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    def both(self, seen: Seen, time: bytes, error: MlSecretsError | None) -> tuple[bytes, bytes]:
        """The `request` and the `response` record of a request. Whoever was refused has the reason in both."""
        part = self._token(seen.caller) if seen.caller is not None else None
        auth, request, end = self._auth(seen, part, error), self._request(seen, part), _end(error)
        issued = self._issued(seen)
        answered = auth if part is not None else self._auth_of_login(seen, issued) or auth
        asked_end = end
        if seen.admitted and error is not None:
            auth, asked_end = self._auth(seen, part, None), _end(None)
        asked = b'{"time":"%b","type":"request","auth":%b,"request":%b%b' % (time, auth, request, asked_end)
        return one_line(asked), one_line(
            _response_line(time, answered, request, self._response(seen, error, issued), end)
        )

    def addition(self, seen: Seen, time: bytes, error: MlSecretsError | None) -> bytes:
        """Another `response` record to a request whose first one said that it was done."""
        part = self._token(seen.caller) if seen.caller is not None else None
        auth, request = self._auth(seen, part, error), self._request(seen, part)
        response = self._response(seen, error, self._issued(seen))
        return one_line(_response_line(time, auth, request, response, _end(error)))

    def script(self, seen: Seen) -> Script | None:
        """Both records of an answered read, to be made again; None when they show what differs from request to request."""
        if self.headers or seen.caller is None:
            return None
        part = self._token(seen.caller)
        start, end = self._asked(seen, part)
        answered = self._response(seen, None, self._issued(seen))
        return Script(self._auth(seen, part, None), start, end, answered)

    # ── who ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _auth(self, seen: Seen, part: _TokenPart | None, error: MlSecretsError | None) -> bytes:
        refused, decision = isinstance(error, Denied | Unauthenticated), seen.decision
        if part is None:
            return b"{%b%b" % (_REFUSED if refused else _ALLOWED if _is_public(seen) else b"", _STRANGER)
        if refused or (decision is not None and not decision.allowed):
            return part.start + _REFUSED + part.end
        if decision is None:
            return part.start + _ALLOWED + part.end
        return part.start + self._granting(decision.policies) + part.end

    def _granting(self, policies: tuple[str, ...]) -> bytes:
        found = self._grants.get(policies)
        if found is None:
            rows = [{"name": name, "namespace_id": "root", "type": "acl"} for name in policies]
            found = b'"policy_results":{"allowed":true,"granting_policies":%b},' % _encode(rows)
            if len(self._grants) >= _REMEMBERED:
                self._grants.clear()
            self._grants[policies] = found
        return found

    def _token(self, caller: Caller) -> _TokenPart:
        part = self._tokens.get(caller.key)
        if part is None or part.entry is not caller.entry:
            part = self._tokens[caller.key] = self._token_part(caller)
            if len(self._tokens) > _REMEMBERED:
                self._tokens.popitem(last=False)
        return part

    def _token_part(self, caller: Caller) -> _TokenPart:
        entry = caller.entry
        token, accessor = self._hasher.token(caller.key, caller.token, entry.accessor)
        if not self._hmac_accessor:
            accessor = entry.accessor
        policies = list(entry.policies)
        start: dict[str, Any] = {
            "client_token": token,
            "accessor": accessor,
            "display_name": entry.display_name,
        }
        start |= {"policies": policies, "token_policies": policies}
        end: dict[str, Any] = {"metadata": entry.meta, "entity_id": entry.entity_id, "token_type": entry.kind}
        end |= {"token_ttl": entry.creation_ttl, "token_issue_time": rfc3339(int(entry.created))}
        client = b'"client_id":%b,' % _encode(entry.entity_id) if entry.entity_id else b""
        names = b'"client_token":%b,"client_token_accessor":%b,' % (_encode(token), _encode(accessor))
        return _TokenPart(
            entry, _encode(_filled(start))[:-1] + b",", _encode(_filled(end))[1:], client, names
        )

    def _issued(self, seen: Seen) -> dict[str, Any]:
        """The token that this request issued, hashed; empty for none."""
        response = seen.response
        return {} if response is None or response.auth is None else self._hashed_auth(response.auth)

    def _auth_of_login(self, seen: Seen, issued: dict[str, Any]) -> bytes | None:
        """Who the token that this request issued belongs to: what a login answers, under the name the login gave."""
        login = seen.login
        if login is None:
            return None
        shown: dict[str, Any] = {"display_name": login.display_name}
        shown |= issued or {"metadata": login.metadata, "token_type": "default"}
        return b"{" + _ALLOWED + _encode(_filled(shown))[1:]

    def _hashed_auth(self, auth: Mapping[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {"client_token": self._hasher.text(str(auth.get("client_token", "")))}
        shown["accessor"] = self._accessor(str(auth.get("accessor", "")))
        for name in (
            "policies",
            "token_policies",
            "identity_policies",
            "metadata",
            "entity_id",
            "token_type",
        ):
            shown[name] = auth.get(name)
        shown["token_ttl"] = auth.get("lease_duration")
        return _filled(shown)

    def _accessor(self, accessor: str) -> str:
        return self._hasher.text(accessor) if accessor and self._hmac_accessor else accessor

    # ── what ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _request(self, seen: Seen, part: _TokenPart | None) -> bytes:
        request = seen.request
        start, end = self._asked(seen, part)
        return b'{"id":%b,%b"remote_address":%b,"remote_port":%d%b}' % (
            _encode(request.id),
            start,
            _encode(request.remote_address),
            request.remote_port,
            end,
        )

    def _asked(self, seen: Seen, part: _TokenPart | None) -> tuple[bytes, bytes]:
        """A request but for its id and where it came from: what stands between the two, and what follows."""
        request, route = seen.request, seen.route
        mount, operation = route.mount, route.operation
        names, client = (
            (part.names, part.client) if part is not None else (self._stranger(request.token), b"")
        )
        data, end = b"", b""
        if request.fields:
            plain = operation.plain if operation is not None else _NOTHING
            keys = mount.audit_non_hmac_request_keys if mount is not None else ()
            data = b'"data":%b,' % _encode(self._hasher.members(request.fields, plain, keys))
        if request.wrap_ttl is not None:
            end = b',"wrap_ttl":%d' % request.wrap_ttl
        if self.headers and request.headers:
            end += self._recorded_headers(request.headers)
        start = b'%b"operation":"%b",%b%b"namespace":{"id":"root"},"path":%b,%b' % (
            client,
            (seen.capability or _OPERATIONS[request.verb]).encode(),
            self._mount(seen, mount).asked if mount is not None else b"",
            names,
            _encode(request.path),
            data,
        )
        return start, end

    def _stranger(self, token: str | None) -> bytes:
        return b'"client_token":"%b",' % self._hasher.text(token).encode() if token else b""

    def _mount(self, seen: Seen, mount: Mount) -> _MountPart:
        part = self._mounts.get(mount.uuid)
        if part is None or part.mount is not mount:
            engine = seen.route.engine
            part = self._mounts[mount.uuid] = _mount_part(mount, engine.version if engine is not None else "")
            if len(self._mounts) > _REMEMBERED:
                self._mounts.popitem(last=False)
        return part

    def _recorded_headers(self, headers: Mapping[str, str]) -> bytes:
        found = {
            name: [self._hasher.text(headers[name]) if how.get("hmac") else headers[name]]
            for name, how in self.headers.items()
            if name in headers
        }
        return b',"headers":' + _encode(found) if found else b""

    # ── and then ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _response(self, seen: Seen, error: MlSecretsError | None, issued: dict[str, Any]) -> bytes:
        mount, operation = seen.route.mount, seen.route.operation
        part = self._mount(seen, mount) if mount is not None else None
        parts = [part.answered] if part is not None else []
        if error is not None:
            if isinstance(error, Refusal) and error.data is not None:
                parts.append(self._hashed(error.data, operation, mount))
            return b"{" + b",".join(parts) + b"}"
        response = seen.response
        if response is not None:
            if response.data is not None:
                parts.append(self._answered(part, operation, response))
            if (
                response.auth is not None
                or response.wrap_info is not None
                or response.lease_id
                or response.warnings
                or response.content
            ):
                parts.append(_encode(self._extras(response, issued))[1:-1])
        return b"{" + b",".join(parts) + b"}"

    def _answered(self, part: _MountPart | None, operation: Operation | None, response: Response) -> bytes:
        """The answer's data, hashed. Of an answer that names its state the record (what the log shows, no more) is kept.

        A mount of which anything changed has another `part`, so the name covers the keys that it shows plain.
        """
        mount, data = part.mount if part is not None else None, response.data or {}
        if response.state is None or operation is None:
            return self._hashed(data, operation, mount)
        name = (part, operation.template, response.state)
        found = self._answers.get(name)
        if found is None:
            found = self._hashed(data, operation, mount)
            if len(found) <= _LONGEST_REMEMBERED:
                self._answers[name] = found
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        return found

    def _hashed(self, data: Mapping[str, Any], operation: Operation | None, mount: Mount | None) -> bytes:
        """Members of an answer, but for those that the operation or the mount shows plain."""
        plain = operation.plain_response if operation is not None else _NOTHING
        keys = mount.audit_non_hmac_response_keys if mount is not None else ()
        return b'"data":' + _encode(self._hasher.members(data, plain, keys))

    def _extras(self, response: Response, issued: dict[str, Any]) -> dict[str, Any]:
        extras: dict[str, Any] = {"auth": issued} if issued else {}
        if response.wrap_info is not None:
            info = dict(response.wrap_info)
            info["token"] = self._hasher.text(str(info.get("token", "")))
            for name in ("accessor", "wrapped_accessor"):
                info[name] = self._accessor(str(info.get(name, "")))
            extras["wrap_info"] = _filled(info)
        if response.lease_id:
            extras["secret"] = {"lease_id": response.lease_id}
        if response.warnings:
            extras["warnings"] = response.warnings
        if response.content is not None:
            media_type, content = response.content
            extras["content"] = {"type": media_type, "body": self._hasher.octets(content)}
        return extras


class _TokenPart:
    """What a token contributes to every record, as JSON."""

    __slots__ = ("client", "end", "entry", "names", "start")

    def __init__(self, entry: TokenEntry, start: bytes, end: bytes, client: bytes, names: bytes) -> None:
        self.entry = entry
        self.start = start
        self.end = end
        self.client = client
        self.names = names


class _MountPart:
    """What a mount contributes to every record, as JSON."""

    __slots__ = ("answered", "asked", "mount")

    def __init__(self, mount: Mount, asked: bytes, answered: bytes) -> None:
        self.mount = mount
        self.asked = asked
        self.answered = answered


def _mount_part(mount: Mount, version: str) -> _MountPart:
    named: dict[str, str] = {
        "mount_point": mount.path,
        "mount_type": mount.kind,
        "mount_accessor": mount.accessor,
    }
    kind = {"mount_class": "auth" if mount.is_auth else "secret"}
    asked = _filled({**named, "mount_running_version": version, **kind})
    answered = _filled({**named, "mount_running_plugin_version": version, **kind})
    return _MountPart(mount, _encode(asked)[1:-1] + b",", _encode(answered)[1:-1])


def _response_line(time: bytes, auth: bytes, request: bytes, response: bytes, end: bytes) -> bytes:
    return b'{"time":"%b","type":"response","auth":%b,"request":%b,"response":%b%b' % (
        time,
        auth,
        request,
        response,
        end,
    )


def _is_public(seen: Seen) -> bool:
    return seen.route.operation is not None and seen.route.operation.public


def _end(error: MlSecretsError | None) -> bytes:
    """The error and, for a refusal of rights, why: what our decision rests on."""
    if error is None:
        return b"}"
    end = b',"error":' + _encode(error.message or _name(error))
    if error.hint and isinstance(error, Denied | Unauthenticated):
        end += b',"reason":' + _encode(error.hint)
    return end + b"}"


def _name(error: MlSecretsError) -> str:
    """The class in words ("not found"), where the wire has no text."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()


def _filled(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without empty members, as Vault leaves them out."""
    return {name: value for name, value in members.items() if value}
