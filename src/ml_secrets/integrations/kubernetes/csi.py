"""`ml-secrets csi`: a provider of Kubernetes' Secrets Store CSI driver, on a socket of the node.

The driver asks for a volume's files when a pod starts, and again when it looks for rotation; it writes them itself. Each question
brings the pod's own Secret to log in by: the provider has no identity, and keeps nothing between two questions.

Who reaches the socket may ask; that is the driver, by the folder's rights. What it asks with is the pod's own.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.agent.gather import gather
from ml_secrets.agent.resident.sockets import moved_in, remove
from ml_secrets.client import Client
from ml_secrets.errors import (
    Conflict,
    Denied,
    Incomplete,
    Invalid,
    Limited,
    MlSecretsError,
    NotFound,
    Sealed,
    Unauthenticated,
    Unreachable,
    Unsupported,
)
from ml_secrets.integrations.kubernetes import csi_mount
from ml_secrets.integrations.kubernetes.csi_wire import SERVICE, messages
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ml_secrets.agent.gather import Value
    from ml_secrets.agent.reference import Reference
    from ml_secrets.integrations.kubernetes.csi_mount import Asked, Object

_AT_ONCE: Final = 16
_TIMEOUT: Final = 30.0
_LARGEST: Final = 4 << 20
_LONGEST: Final = 2000  # bytes of what keeps a volume from being mounted: gRPC has it in a header
_GRACE: Final = 5.0
_CODES: Final[dict[type[MlSecretsError], str]] = {
    Invalid: "INVALID_ARGUMENT",
    Unauthenticated: "UNAUTHENTICATED",
    Denied: "PERMISSION_DENIED",
    NotFound: "NOT_FOUND",
    Conflict: "FAILED_PRECONDITION",
    Limited: "UNAVAILABLE",
    Sealed: "UNAVAILABLE",
    Unreachable: "UNAVAILABLE",
    Unsupported: "UNIMPLEMENTED",
}
"""What gRPC calls our errors; any other is INTERNAL."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What is answered. `told` passes a line on to the log."""

    address: str
    namespace: str
    version: str
    told: Callable[[str], None]
    _key: bytes = field(default_factory=lambda: os.urandom(32))

    def answer_version(self, _: Any, __: Any) -> Any:
        """Which provider this is. The driver asks it for health, too."""
        return messages()["VersionResponse"](
            version="v1alpha1", runtime_name="ml-secrets", runtime_version=self.version
        )

    def answer_mount(self, request: Any, context: Any) -> Any:
        """A volume's files, all of them or none; why not is the pod's event, and has no value in it."""
        pod = ""
        try:
            asked = csi_mount.read(request.attributes)
            pod = asked.pod
            answer = self._mounted(asked, request.secrets)
        except MlSecretsError as error:
            problem, code = str(error), _code(error)
        except Exception as error:  # noqa: BLE001 - gRPC would tell the driver, and a log, what it says: it may hold a value
            problem, code = f"something unexpected happened ({type(error).__name__})", "INTERNAL"
        else:
            self.told(f"{pod}: {len(answer.files)} files")
            return answer
        import grpc  # noqa: PLC0415 - an extra

        problem = _short(problem)
        self.told(f"{pod}: refused: {problem}")
        context.abort(grpc.StatusCode[code], f"ml-secrets: {problem}")
        return None

    def _mounted(self, asked: Asked, secrets: str) -> Any:
        if asked.address not in {"", self.address}:
            raise Invalid("where the server is, the provider says", hint="leave the address out")
        who = csi_mount.login(secrets, asked.auth_path)
        keys: dict[str, Any] = {"token" if isinstance(who, Sensitive) else "login": who}
        namespace = asked.namespace or self.namespace or None
        with Client(self.address, namespace=namespace, cache_ttl=0, timeout=_TIMEOUT, **keys) as client:
            values = gather(client, (one for of in asked.objects for one in of.content.references))
        return self._filled(asked.objects, values)

    def _filled(self, objects: tuple[Object, ...], values: Mapping[Reference, Value]) -> Any:
        needed = (len(values[one].reveal_bytes()) for of in objects for one in of.content.references)
        if sum(needed) > _LARGEST:  # before any of it is written out
            raise _too_large()
        answer = messages()["MountResponse"]()
        for one in objects:
            content = one.content.filled(values).reveal_bytes()
            answer.files.add(path=one.name, mode=one.mode, contents=content)
            answer.object_version.add(id=one.name, version=self._version(one, values, content))
        if answer.ByteSize() > _LARGEST:
            raise _too_large()
        return answer

    def _version(self, one: Object, values: Mapping[Reference, Value], content: bytes) -> str:
        """The versions of the secrets in it. Where a mount keeps none, a digest that nobody but this process can make: it lands in the cluster."""
        versions = [values[reference].version for reference in one.content.references]
        if all(versions):
            return ".".join(str(version) for version in versions)
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()[:32]


def _too_large() -> Invalid:
    return Invalid(
        f"the files are larger than {_LARGEST >> 20} MiB together", hint="the driver takes no more"
    )


def _short(problem: str) -> str:
    whole = problem.encode(errors="replace")
    return problem if len(whole) <= _LONGEST else f"{whole[:_LONGEST].decode(errors='ignore')} …"


def _code(error: MlSecretsError) -> str:
    """What gRPC calls it. Several that failed for one reason are called by that."""
    if isinstance(error, Incomplete):
        codes = {_code(one) for one in error.errors.values()}
        return codes.pop() if len(codes) == 1 else "FAILED_PRECONDITION"
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), "INTERNAL")


def serve(provider: Provider, socket: Path) -> None:
    """Serve until SIGTERM or SIGINT. Raises `Invalid` where the libraries are missing, and what keeps the socket from being made."""
    try:
        import grpc  # noqa: PLC0415 - an extra

        made = messages()
    except ModuleNotFoundError as error:
        raise Invalid(f"the CSI provider needs {error.name}", hint="pip install 'ml-secrets[csi]'") from None
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    server = grpc.server(ThreadPoolExecutor(_AT_ONCE), options=[("grpc.max_receive_message_length", 1 << 20)])
    answers = {
        "Version": (provider.answer_version, "VersionRequest"),
        "Mount": (provider.answer_mount, "MountRequest"),
    }
    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(
            function,
            request_deserializer=made[asked].FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
        for name, (function, asked) in answers.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    moved_in(socket, lambda at: server.add_insecure_port(f"unix:{at}"), 0o600, None)
    inode = socket.lstat().st_ino
    server.start()
    provider.told(f"listening at {socket}")
    signal.sigwait(ends)
    remove(socket, inode)
    server.stop(_GRACE).wait()
    provider.told("ended")
