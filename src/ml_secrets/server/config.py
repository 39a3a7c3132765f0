"""What an operator sets: our TOML, or a Vault / OpenBao configuration file in HCL or JSON.

Both are read into one `Config`. A setting that would change behaviour and that this server does not honour is an error
that names it; one that has no meaning here (and no effect on safety) is listed in `Config.ignored` and logged at start.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.domain.duration import parse_duration
from ml_secrets.domain.outbound import read_networks
from ml_secrets.domain.tree import parse
from ml_secrets.errors import Invalid
from ml_secrets.server import config_backup

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.server.config_backup import BackupSettings

DEFAULT_TTL: Final = 768 * 3600
MOST_BYTES: Final = 32 * 1024 * 1024
_HARMLESS: Final = frozenset(
    {"disable_mlock", "ui", "api_addr", "cluster_addr", "disable_cache", "disable_clustering", "pid_file", "plugin_directory",
     "raw_storage_endpoint", "introspection_endpoint", "enable_response_header_hostname", "enable_response_header_raft_node_id",
     "telemetry", "service_registration", "log_format", "disable_performance_standby", "disable_sealwrap", "max_request_duration",
     "unsafe_allow_api_audit_creation", "allow_audit_log_prefixing"}
)  # fmt: skip
_LISTENER_HARMLESS: Final = frozenset(
    {"cluster_address", "tls_min_version", "tls_disable_client_certs", "telemetry", "purpose",
     "profiling", "inflight_requests_logging"}
)  # fmt: skip

_EVERY_SETTING: Final = "see docs/reference/configuration.md for every setting"
_LISTENER_SHARES: Final = {
    "disable_unauthed_rekey_endpoints": "rekey",
    "disable_unauthed_generate_root_endpoints": "generate-root",
}


@dataclass(slots=True)
class Listener:
    """Where the server listens. Without `tls_cert_file` it speaks plain HTTP.

    max_request_size: the largest body, in bytes. max_request_duration: how many seconds a request may wait for its turn.
    """

    address: str = "127.0.0.1:8200"
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    tls_client_ca_file: Path | None = None
    tls_require_client_cert: bool = False
    max_request_size: int = MOST_BYTES
    max_request_duration: int = 90

    @property
    def scheme(self) -> str:
        """How clients speak to it."""
        return "http" if self.tls_cert_file is None else "https"

    @property
    def exposed(self) -> bool:
        """Other machines reach it, and what they send can be read on the way."""
        host, _ = host_and_port(self.address)
        return self.tls_cert_file is None and not _loopback(host)

    @property
    def url(self) -> str:
        """Where a client on this machine reaches it. Who listens everywhere listens on the loopback address, too."""
        host, port = host_and_port(self.address)
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        return f"{self.scheme}://[{host}]:{port}" if ":" in host else f"{self.scheme}://{host}:{port}"


def host_and_port(address: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:8200", "[::1]:8200" or ":8200" (every address)."""
    host, colon, port = address.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or not 0 < int(port) < 65536:
        raise Invalid(f"cannot listen on {address!r}", hint="write HOST:PORT, such as 127.0.0.1:8200")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - ":PORT" asks for every address, as in Vault


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(slots=True)
class Config:
    """Settings of one server. TTLs in seconds.

    mode: "configured" (by a file), "local" (this user's own store) or "development".
    storage: "sqlite" or "memory"; path: the store's folder. seal: "shamir" (opened by people), "keyfile" (opened by the
    file `key_file`) or "passphrase" (read from the file `passphrase_file`). open_to_shares: which of "rekey"
    and "generate-root" need no token beside the key shares (Vault's listeners: disable_unauthed_rekey_endpoints = false).
    backup: those that the server makes by itself; None for none.
    outbound_networks: networks that are not public and that webhooks may nevertheless call.
    """

    mode: str = "configured"
    storage: str = "sqlite"
    path: Path | None = None
    listeners: list[Listener] = field(default_factory=lambda: [Listener()])
    seal: str = "shamir"
    key_file: Path | None = None
    passphrase_file: Path | None = None
    anchor_file: Path | None = None
    open_to_shares: list[str] = field(default_factory=list)
    default_lease_ttl: int = DEFAULT_TTL
    max_lease_ttl: int = DEFAULT_TTL
    log_level: str = "info"
    cluster_name: str = ""
    outbound_networks: list[str] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)
    backup: BackupSettings | None = None
    ignored: list[str] = field(default_factory=list)
    storage_type: str = "sqlite"


def load(file: Path) -> Config:
    """Read a configuration file. Raises `Invalid` that names the file and what is wrong with it."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise Invalid(
            f"cannot read {file}: {error.strerror}",
            hint="--config names a file that this user may read, ours (TOML) or one of Vault's (HCL, JSON)",
        ) from None
    except UnicodeDecodeError:
        raise Invalid(
            f"cannot read {file}: it is not UTF-8 text", hint="save it as UTF-8, or name another file"
        ) from None
    try:
        return read(parse(text, file.suffix))
    except Invalid as error:
        raise Invalid(f"{file}: {error.message}", hint=error.hint or _EVERY_SETTING) from None


def read(tree: dict[str, Any]) -> Config:
    """A parsed file as settings."""
    config = Config(listeners=[])
    for name, value in tree.items():
        _read_setting(config, name, value)
    config.listeners = config.listeners or [Listener()]
    if config.storage == "sqlite" and config.path is None:
        raise Invalid(
            "there is no storage with a path",
            hint='add a [storage] with type = "sqlite" and path = "/var/lib/ml-secrets"',
        )
    if config.default_lease_ttl > config.max_lease_ttl:
        raise Invalid("default_lease_ttl is above max_lease_ttl", hint="lower the one, or raise the other")
    if config.backup is not None:
        config.backup.check_place(config.path, config.key_file)
    return config


def _read_setting(config: Config, name: str, value: Any) -> None:
    if name in ("storage", "backend"):
        _read_storage(config, value)
    elif name == "listener":
        config.listeners += [
            _read_listener(config, kind, block) for kind, block in _blocks(name, value, default="tcp")
        ]
    elif name == "seal":
        _read_seal(config, value)
    elif name in ("default_lease_ttl", "max_lease_ttl"):
        setattr(config, name, _duration(name, value) or DEFAULT_TTL)
    elif name in _PLAIN:
        setattr(config, name, _PLAIN[name](value))
    elif name == "audit":
        config.audit += [{"kind": kind, **block} for kind, block in _blocks(name, value, default="file")]
    elif name == "backup":
        config.backup = config_backup.read(_blocks(name, value, default=""))
    elif name in _HARMLESS:
        config.ignored.append(name)
    else:
        raise Invalid(f"unknown setting {name!r}", hint=_EVERY_SETTING)


def _read_storage(config: Config, value: Any) -> None:
    blocks = list(_blocks("storage", value, default=""))
    if len(blocks) != 1:
        raise Invalid("there is more than one storage, or none", hint="name exactly one")
    kind, block = blocks[0]
    if kind in ("inmem", "memory"):
        config.storage, config.storage_type = "memory", "inmem"
    elif kind in ("sqlite", "file", "raft"):
        if not block.get("path"):
            raise Invalid(f"storage {kind!r} needs a path", hint='such as path = "/var/lib/ml-secrets"')
        config.storage, config.path, config.storage_type = "sqlite", _path("path", block["path"]), kind
        config.ignored += [f"storage.{name}" for name in block if name not in ("path", "type")]
    else:
        raise Invalid(
            f"storage {kind!r} is not available",
            hint="use sqlite (file and raft are taken as sqlite in that folder) or inmem",
        )


def _read_listener(config: Config, kind: str, block: dict[str, Any]) -> Listener:
    if kind != "tcp":
        raise Invalid(f"listener {kind!r} is not available", hint="use tcp")
    listener = Listener(address=str(block.get("address", "127.0.0.1:8200")))
    for name, value in block.items():
        _read_listener_setting(config, listener, name, value)
    if _truth("tls_disable", block.get("tls_disable", False)):
        listener.tls_cert_file = listener.tls_key_file = None
    else:
        _check_tls_settings(listener, named="tls_disable" in block)
    return listener


def _check_tls_settings(listener: Listener, *, named: bool) -> None:
    """Nobody who asks for TLS, or for client certificates, gets less. `named`: the file says tls_disable = false."""
    asks_clients = listener.tls_require_client_cert or listener.tls_client_ca_file is not None
    if (listener.tls_cert_file is None) != (listener.tls_key_file is None):
        raise Invalid("tls_cert_file and tls_key_file go together", hint="name both, or neither")
    if listener.tls_cert_file is None and (named or asks_clients):
        raise Invalid("the listener has no tls_cert_file", hint="name one, or say tls_disable = true")
    if listener.tls_require_client_cert and listener.tls_client_ca_file is None:
        raise Invalid(
            "tls_require_and_verify_client_cert needs tls_client_ca_file",
            hint="name a file with the authorities to trust",
        )


def _read_listener_setting(config: Config, listener: Listener, name: str, value: Any) -> None:
    if name in ("tls_cert_file", "tls_key_file", "tls_client_ca_file"):
        setattr(listener, name, _path(name, value) if value else None)
    elif name == "tls_require_and_verify_client_cert":
        listener.tls_require_client_cert = _truth(name, value)
    elif name == "max_request_size":
        listener.max_request_size = _size(value)
    elif name == "max_request_duration":
        listener.max_request_duration = _duration(name, value) or listener.max_request_duration
    elif name in _LISTENER_HARMLESS:
        config.ignored.append(f"listener.{name}")
    elif name in _LISTENER_SHARES:
        config.open_to_shares += [] if _truth(name, value) else [_LISTENER_SHARES[name]]
    elif name not in ("address", "type", "tls_disable"):
        raise Invalid(f"unknown listener setting {name!r}", hint=_EVERY_SETTING)


def _size(value: Any) -> int:
    """Bytes; 0 stands for the default, as in Vault. There is no way to take bodies of any size."""
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or int(text) > MOST_BYTES:
        raise Invalid(
            f"max_request_size is a number of bytes, at most {MOST_BYTES}", hint="leave it out for the most"
        )
    return int(text) or MOST_BYTES


def _read_open_to_shares(value: Any) -> list[str]:
    known = sorted(_LISTENER_SHARES.values())
    if not isinstance(value, list) or any(name not in known for name in value):
        raise Invalid(
            "open_to_shares is a list of what needs no token beside key shares",
            hint=f"it may hold {', '.join(known)}",
        )
    return [str(name) for name in value]


def _read_outbound_networks(value: Any) -> list[str]:
    """A host address counts as its own network."""
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise Invalid("outbound_networks is a list of texts", hint='such as ["10.0.0.0/8"]')
    read_networks(texts)
    return texts


def _read_seal(config: Config, value: Any) -> None:
    blocks = _blocks("seal", value, default="keyfile")
    if len(blocks) != 1:
        raise Invalid("there is more than one seal, or none", hint="name exactly one")
    kind, block = blocks[0]
    if kind not in ("shamir", "keyfile", "passphrase"):
        raise Invalid(f"seal {kind!r} is not available", hint="use shamir, keyfile or passphrase")
    config.seal = kind
    if kind == "keyfile":
        config.key_file = _needed(block, "seal.keyfile", "path")
    if kind == "passphrase":
        config.passphrase_file = _needed(block, "seal.passphrase", "file")


def _needed(block: dict[str, Any], where: str, name: str) -> Path:
    if not block.get(name):
        raise Invalid(f"{where} needs {name!r}", hint=f'add {name} = "…" to it')
    return _path(name, block[name])


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, str):
        raise Invalid(f"{name} is a text", hint="put it in quotes")
    return Path(value)


def _blocks(name: str, value: Any, *, default: str) -> list[tuple[str, dict[str, Any]]]:
    """(type, settings) of each block: `{tcp: {...}}`, `[{tcp: {...}}]`, or settings with a `type` of their own."""
    found: list[tuple[str, dict[str, Any]]] = []
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            raise Invalid(
                f"{name} is no block of settings",
                hint=f'write [{name}] in TOML, {name} "TYPE" {{ … }} in HCL',
            )
        if "type" in item or (item and all(not isinstance(part, dict | list) for part in item.values())):
            found.append((str(item.get("type", default)), {k: v for k, v in item.items() if k != "type"}))
            continue
        for kind, blocks in item.items():
            for block in blocks if isinstance(blocks, list) else [blocks]:
                if not isinstance(block, dict | None):
                    raise Invalid(
                        f"{name} {kind!r} is no block of settings",
                        hint=f'write [{name}.{kind}] in TOML, {name} "{kind}" {{ … }} in HCL',
                    )
                found.append((kind, block or {}))
    return found


def _duration(name: str, value: Any) -> int:
    try:
        return parse_duration(value)
    except Invalid as error:
        raise Invalid(f"{name}: {error.message}", hint=error.hint) from None


def _truth(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "1"):
        return True
    if str(value).lower() in ("false", "0", ""):
        return False
    raise Invalid(f"{name} is neither true nor false", hint="write one of the two")


_PLAIN: Final[dict[str, Callable[[Any], Any]]] = {
    "log_level": str,
    "cluster_name": str,
    "anchor_file": lambda value: _path("anchor_file", value),
    "open_to_shares": _read_open_to_shares,
    "outbound_networks": _read_outbound_networks,
}
