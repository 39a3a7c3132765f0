"""Is it up, is it open, who leads: asked by load balancers and clients before they log in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_secrets.contract import Context, Response, Shape
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping


@ENGINE.read("health", public=True, while_sealed=True, shape=Shape.BARE)
def health(ctx: Context, activecode: int = 200, sealedcode: int = 503, uninitcode: int = 501) -> Response:
    """Tell whether the server is initialised, unsealed and able to serve.

    200 active, 501 not initialised, 503 sealed or unable to audit; each status can be chosen by a query parameter.
    """
    for code in (activecode, sealedcode, uninitcode):
        if not 200 <= code <= 599:
            raise Invalid("a status code lies between 200 and 599")
    access = ctx.access
    sealed, initialized = access.seal.sealed, access.seal.initialized
    status = uninitcode if not initialized else sealedcode if sealed else activecode
    data: dict[str, Any] = {
        "initialized": initialized,
        "sealed": sealed,
        "standby": False,
        "performance_standby": False,
        "replication_performance_mode": "disabled",
        "replication_dr_mode": "disabled",
        "server_time_utc": int(ctx.now),
        "version": access.settings.version,
    }
    if not sealed:
        data |= {"cluster_name": access.settings.cluster_name, "cluster_id": access.settings.cluster_id}
        if access.audit.failed:
            status = 503
            data["audit_failed"] = access.audit.degraded
    return Response(data, status=status)


@ENGINE.read("seal-status", public=True, while_sealed=True, shape=Shape.BARE)
def seal_status(ctx: Context) -> Response:
    """Tell how far the server is from being unsealed."""
    return Response(seal_status_of(ctx))


def seal_status_of(ctx: Context) -> Mapping[str, Any]:
    """The wire's seal status object."""
    settings = ctx.access.settings
    status = {
        "recovery_seal": False,
        **ctx.access.seal.status(),
        "version": settings.version,
        "build_date": settings.build_date,
        "commit_date": settings.build_date,
        "migration": False,
        "storage_type": settings.storage_type,
    }
    if not status["sealed"]:
        status |= {"cluster_name": settings.cluster_name, "cluster_id": settings.cluster_id}
    return status


@ENGINE.read("leader", public=True, while_sealed=True, shape=Shape.BARE)
def leader(ctx: Context) -> Response:  # noqa: ARG001 - every operation is given its context
    """Tell which node leads. There is one node, so high availability is off."""
    data = {
        "ha_enabled": False,
        "is_self": False,
        "active_time": "0001-01-01T00:00:00Z",
        "leader_address": "",
        "leader_cluster_address": "",
        "performance_standby": False,
        "performance_standby_last_remote_wal": 0,
    }
    return Response(data)


@ENGINE.read("ha-status", shape=Shape.REPEATED)
def ha_status(ctx: Context) -> Response:
    """List the nodes: this one."""
    node = {
        "hostname": ctx.access.settings.cluster_name,
        "api_address": "",
        "cluster_address": "",
        "active_node": True,
        "last_echo": None,
        "version": ctx.access.settings.version,
    }
    return Response({"nodes": [node]})


@ENGINE.read("host-info", sudo=True)
def host_info(ctx: Context) -> Response:
    """Tell the server's time and platform."""
    from ml_secrets.domain.instant import rfc3339  # noqa: PLC0415 - asked for rarely

    return Response({"timestamp": rfc3339(ctx.now), "version": ctx.access.settings.version})
