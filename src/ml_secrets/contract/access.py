"""What the system engine and the token method may reach beyond their own data. `server/assemble.py` fills it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ml_secrets.contract.engine import Engine
    from ml_secrets.contract.login import Login
    from ml_secrets.contract.request import Caller, Request
    from ml_secrets.contract.response import Response
    from ml_secrets.domain.audit_chain import Head
    from ml_secrets.domain.mount import Mount
    from ml_secrets.domain.token import TokenEntry
    from ml_secrets.registry.changes import Changes
    from ml_secrets.registry.counters import Counters
    from ml_secrets.registry.cursors import Cursors
    from ml_secrets.registry.lockouts import Lockouts
    from ml_secrets.registry.mounts import Mounts
    from ml_secrets.registry.policies import Policies
    from ml_secrets.registry.quotas import Quotas
    from ml_secrets.registry.tokens import Tokens
    from ml_secrets.registry.unit import Unit
    from ml_secrets.registry.webhooks import Webhooks
    from ml_secrets.registry.wrapping import Wrapping
    from ml_secrets.storage.interface import Transaction


class SealControl(Protocol):
    """Opening and closing the store. Every answer is the bare JSON object of the wire contract."""

    @property
    def initialized(self) -> bool: ...
    @property
    def sealed(self) -> bool: ...
    def status(self) -> dict[str, Any]: ...
    def initialize(self, request: Mapping[str, Any]) -> dict[str, Any]: ...
    def unseal(self, key: str, *, reset: bool) -> dict[str, Any]: ...
    def seal(self) -> None: ...
    def rotate(self) -> None: ...
    def key_status(self) -> dict[str, Any]: ...
    def rotation(self, unit: Unit) -> Rotation:
        """When the encryption key is rotated by itself."""

    def set_rotation(self, unit: Unit, rotation: Rotation) -> None: ...

    @property
    def open_to_shares(self) -> Collection[str]:
        """Which of "rekey" and "generate-root" may be used without a token; else they need `sudo`."""

    def rekey_target(self, *, recovery: bool) -> RekeyControl:
        """The rekey attempt. `recovery` tells which key the caller means; Invalid for one that this seal has not."""

    @property
    def rootmaking(self) -> RootControl: ...
    def verify(self) -> dict[str, Any]:
        """Whether every row of the store opens and is accounted for."""

    def snapshot(self, unit: Unit) -> bytes:
        """The whole store, sealed as it is, as a backup file."""


class Rotation(msgspec.Struct, frozen=True):
    """The encryption key is rotated by itself after so many writes or seconds (0: age does not matter)."""

    enabled: bool = True
    max_operations: int = 2**31
    interval: int = 90 * 24 * 3600


class RekeyControl(Protocol):
    """New key shares, agreed to by the holders of the old ones. `trusted` callers may cancel without the nonce."""

    def status(self) -> dict[str, Any]: ...
    def start(self, shares: int, threshold: int, *, verify: bool) -> dict[str, Any]: ...
    def cancel(self, nonce: str, *, trusted: bool) -> None: ...
    def update(self, unit: Unit, key: str, nonce: str) -> dict[str, Any]: ...
    def verify_status(self) -> dict[str, Any]: ...
    def verify(self, unit: Unit, key: str, nonce: str) -> dict[str, Any]: ...
    def verify_restart(self, nonce: str, *, trusted: bool) -> dict[str, Any]: ...


class RootControl(Protocol):
    """A root token from key shares."""

    def status(self) -> dict[str, Any]: ...
    def start(self, password: str) -> dict[str, Any]: ...
    def cancel(self, nonce: str, *, trusted: bool) -> None: ...
    def update(self, unit: Unit, key: str, nonce: str) -> dict[str, Any]: ...


class BackupControl(Protocol):
    """Backups that the server makes by itself."""

    def status(self) -> dict[str, Any]: ...
    def made(self) -> list[dict[str, Any]]:
        """Those that there are, the newest last. Raises `Invalid` on a server that makes none."""

    def make(self) -> dict[str, Any]:
        """One more, now: its name, size, rows and commits, once it is verified."""

    def gauges(self) -> dict[str, int]:
        """Numbers for the metrics."""

    def run_if_due(self) -> bool:
        """One round, if it is time. For upkeep."""


class AuditControl(Protocol):
    """The audit devices."""

    def table(self, unit: Unit) -> dict[str, Any]: ...
    def enable(
        self, unit: Unit, path: str, *, kind: str, description: str, options: dict[str, str], local: bool
    ) -> None: ...
    def disable(self, unit: Unit, path: str) -> None: ...
    def hash(self, path: str, text: str) -> str: ...
    def verification_key(self, path: str) -> bytes: ...
    def head(self, path: str) -> Head: ...
    def headers(self, unit: Unit) -> dict[str, dict[str, bool]]: ...
    def set_headers(self, unit: Unit, headers: Mapping[str, Mapping[str, bool]]) -> None: ...
    @property
    def degraded(self) -> list[str]:
        """Paths of devices that cannot write now."""

    @property
    def failed(self) -> bool:
        """There are devices, and none can write: nothing may be served."""


class SystemAccess(Protocol):
    """The rest of the server."""

    tokens: Tokens
    policies: Policies
    mounts: Mounts
    wrapping: Wrapping
    quotas: Quotas
    lockouts: Lockouts
    counters: Counters
    changes: Changes
    cursors: Cursors
    webhooks: Webhooks
    seal: SealControl
    backups: BackupControl
    settings: Settings

    @property
    def audit(self) -> AuditControl:
        """The audit devices."""

    def engine(self, mount: Mount) -> Engine:
        """The engine that answers on a mount."""

    def canonical(self, unit: Unit, path: str) -> str:
        """A path as rules see it: names without case in lower case."""

    def kinds(self, *, auth: bool) -> Mapping[str, Engine]:
        """Every engine (or auth method) in this build, by type name."""

    def mount_ttls(self, mount: Mount) -> tuple[int, int]:
        """(default, maximum) lease TTL in seconds on that mount."""

    def issue(self, unit: Unit, request: Request, mount: Mount, login: Login) -> Response:
        """The token for a login, as the wire shows it (`Response.auth`)."""

    def end_token(self, unit: Unit, key: str) -> int:
        """Revoke a token, its descendants and all that hangs on them; how many ended."""

    def end_token_alone(self, unit: Unit, key: str) -> None:
        """Revoke a token; its children live on as orphans."""

    def end_tokens_below(self, unit: Unit, prefix: str) -> None:
        """Revoke every token that was made below a path ("auth/userpass/"), batch tokens too."""

    def caller_of(self, unit: Unit, token: str) -> Caller | None:
        """The caller that a token stands for."""

    def renewal(self, unit: Unit, entry: TokenEntry) -> tuple[TokenEntry, int]:
        """A token as its auth method would make it now, and its mount's maximum TTL. Raises `Invalid` when it would not."""

    def auth_of(self, token: str, entry: TokenEntry, *, now: float, warnings: Iterable[str] = ()) -> Response:
        """A token as a login answer."""

    def store_of(self, unit: Unit, mount: Mount) -> Transaction:
        """A mount's part of the store for names chosen by people."""

    def opaque_of(self, unit: Unit, mount: Mount) -> Transaction:
        """A mount's part of the store for names made by us."""

    def wipe(self, unit: Unit, mount: Mount) -> None:
        """Remove a mount's data."""


class Settings(Protocol):
    """What the operator set, and what names this server."""

    version: str
    build_date: str
    cluster_name: str
    cluster_id: str
    default_lease_ttl: int
    max_lease_ttl: int
    storage_type: str
    outbound_networks: Sequence[str]
    shown: dict[str, Any]
