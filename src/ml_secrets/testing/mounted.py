"""One engine on one mount over a store in memory, with a clock to turn: what an engine's own tests need, no server.

Requests come in as HTTP does and answers go out as HTTP does, through the same dialect as in a server; there are no
tokens, policies or audit devices here. `SystemAccess` is cut down to what engines other than `system` ask of it.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ml_secrets.barrier.view import View
from ml_secrets.contract.bind import bind, unrecognised
from ml_secrets.contract.context import Context
from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Caller, Request
from ml_secrets.dialects.vault import wire
from ml_secrets.domain.mount import Mount
from ml_secrets.domain.token import TokenEntry
from ml_secrets.errors import NotFound, Refusal, Unsupported
from ml_secrets.pipeline.outcome import Outcome
from ml_secrets.registry.changes import Changes
from ml_secrets.registry.unit import Unit
from ml_secrets.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.contract.access import SystemAccess
    from ml_secrets.contract.engine import Engine
    from ml_secrets.contract.response import Response
    from ml_secrets.storage.interface import Transaction

DEFAULT_TTL, MAX_TTL = 2_764_800, 2_764_800


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded; None for an empty one."""
        return json.loads(self.body) if self.body else None

    @property
    def data(self) -> Any:
        """`data` of the envelope."""
        return self.json["data"]

    @property
    def errors(self) -> list[str]:
        """The texts of an error."""
        return list(self.json["errors"])


class Mounted:
    """An engine at a mount. `now` is the clock, to be turned at will; randomness is a counter."""

    def __init__(self, engine: Engine, *, now: float = 1_700_000_000.0, path: str = "secret/") -> None:
        self.engine = engine
        self.now = now
        self.storage = MemoryStorage()
        self.mount = Mount(
            path=path, kind=engine.kind, accessor=f"{engine.kind}_00000000", uuid="mount-under-test"
        )
        self.caller = caller("caller-1")
        self.changes = Changes()
        self._counter = itertools.count(1)

    def random(self, size: int) -> bytes:
        """Bytes that never repeat."""
        return next(self._counter).to_bytes(size, "big")

    def mount_ttls(self, mount: Mount) -> tuple[int, int]:
        """(default, maximum) lease TTL in seconds."""
        return mount.default_lease_ttl or DEFAULT_TTL, mount.max_lease_ttl or MAX_TTL

    def ask(
        self, method: str, path: str, body: object = None, *, query: str = "", media_type: str = ""
    ) -> Answer:
        """Send a request below the mount. `body` is JSON text as bytes, or a value to be written as JSON."""
        sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if method == "PATCH" and not media_type:
            media_type = "application/merge-patch+json"
        headers = [(b"content-type", media_type.encode())] if media_type else []
        raw_path = wire.PREFIX + self.mount.path.encode() + path.encode()
        http = wire.HttpRequest(method, raw_path, query.encode(), headers, ("127.0.0.1", 1), sent)
        request = wire.blank(http)
        try:
            wire.read(http, request)
            response, error = self.call(request), None
        except Refusal as refused:
            response, error = None, refused
        if response is None and error is None and request.verb in (Verb.READ, Verb.LIST, Verb.SCAN):
            error = NotFound()
        answer = wire.write(
            Outcome(request.id, response, error, verb=request.verb, mount_kind=self.engine.kind), request
        )
        return Answer(
            answer.status, {name.decode(): value.decode() for name, value in answer.headers}, answer.body
        )

    def call(self, request: Request) -> Response | None:
        """Run the operation of a request in one transaction; an exception rolls it back."""
        below = request.path[len(self.mount.path) :]
        operation, captures, known = self.engine.match(below, request.verb)
        if operation is None:
            raise Unsupported("unsupported operation") if known else NotFound("unsupported path")
        with self.storage.begin(write=operation.changes) as tx:
            context = self.context(tx, request)
            if operation.exists is not None:
                operation.exists(context, captures)
            response = operation.run(context, **bind(operation, captures, request))
        unknown = unrecognised(operation, request)
        if unknown and response is not None and response.data is not None:
            response.warnings.append(f"Endpoint ignored these unrecognized parameters: [{' '.join(unknown)}]")
        return response

    def exists(self, path: str) -> bool:
        """Whether a write to `path` would be an update, as policies ask."""
        operation, captures, _ = self.engine.match(path, Verb.WRITE)
        if operation is None or operation.exists is None:
            raise NotFound("no write there that can create")
        with self.storage.begin(write=False) as tx:
            return operation.exists(
                self.context(tx, Request("", Verb.WRITE, self.mount.path + path)), captures
            )

    def context(self, tx: Transaction, request: Request) -> Context:
        """What the operation is given."""
        return Context(
            request=request,
            mount=self.mount,
            store=View(tx, f"mount/{self.mount.uuid}/"),
            opaque=View(tx, f"open/mount/{self.mount.uuid}/"),
            now=self.now,
            random=self.random,
            caller=self.caller,
            unit=Unit(tx, self.now),
            access=cast("SystemAccess", self),
        )

    def rows(self) -> dict[str, bytes]:
        """Everything this mount has in the store."""
        found: dict[str, bytes] = {}
        with self.storage.begin(write=False) as tx:
            for top in (f"mount/{self.mount.uuid}/", f"open/mount/{self.mount.uuid}/"):
                _collect(tx, top, top, found)
        return found


def caller(key: str, *, kind: str = "service") -> Caller:
    """Somebody with a token."""
    entry = TokenEntry(
        accessor=key, policies=("default",), path="auth/token/create", created=0.0, expires=None, kind=kind
    )
    return Caller(key, entry, "token-of-" + key)


def _collect(tx: Transaction, top: str, folder: str, found: dict[str, bytes]) -> None:
    for name in tx.list(folder):
        if name.endswith("/"):
            _collect(tx, top, folder + name, found)
        else:
            value = tx.get(folder + name)
            if value is not None:
                found[(folder + name).removeprefix(top)] = value
