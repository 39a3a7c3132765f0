"""What names and describes this server: `Settings` as the contract knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.domain.outbound import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_secrets.server.config import Config

API_LEVEL: Final = "1.14.0"
"""The version of the Vault API that we speak. Clients parse `version` as SemVer and switch features on by it."""

BUILD_DATE: Final = "2026-11-25T00:00:00Z"


def own_version() -> str:
    """This distribution's version."""
    return metadata.version("ml-secrets")


@dataclass(slots=True)
class ServerSettings:
    """See contract/access.py. TTLs in seconds."""

    cluster_name: str
    default_lease_ttl: int
    max_lease_ttl: int
    storage_type: str
    version: str = field(default_factory=lambda: f"{API_LEVEL}+ml-secrets.{own_version()}")
    build_date: str = BUILD_DATE
    cluster_id: str = ""
    outbound_networks: Sequence[str] = ()
    shown: dict[str, Any] = field(default_factory=dict)


def settings_of(config: Config) -> ServerSettings:
    """The settings that a configuration makes."""
    shown = {
        "storage": {"type": config.storage_type},
        "seals": [{"type": config.seal}],
        "listeners": [
            {"type": "tcp", "config": {"address": one.address, "tls": one.tls_cert_file is not None}}
            for one in config.listeners
        ],
        "default_lease_ttl": config.default_lease_ttl,
        "max_lease_ttl": config.max_lease_ttl,
        "log_level": config.log_level,
        "cluster_name": config.cluster_name,
    }
    return ServerSettings(
        cluster_name=config.cluster_name or "ml-secrets",
        default_lease_ttl=config.default_lease_ttl,
        max_lease_ttl=config.max_lease_ttl,
        storage_type=config.storage_type,
        outbound_networks=[*config.outbound_networks, *([] if config.mode == "configured" else LOOPBACK)],
        shown=shown,
    )
