"""The catalogue: what can be mounted. It is what this build has, and nobody can add to it."""

from __future__ import annotations

from typing import Any, Final

from ml_secrets.contract import Context, Response
from ml_secrets.contract.names import named
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.engines.system.mounts import BUILT_IN, offered

_TYPES: Final = ("auth", "database", "secret")


@ENGINE.read("plugins/catalog")
def catalogue(ctx: Context) -> Response:
    """Show what can be mounted, by type."""
    detailed = [
        {"type": kind, "name": name, **BUILT_IN, "builtin": True}
        for kind in _TYPES
        for name in _names(ctx, kind)
    ]
    by_type: dict[str, Any] = {kind: _names(ctx, kind) for kind in _TYPES}
    return Response(by_type | {"detailed": detailed})


@ENGINE.list("plugins/catalog/{kind}", sudo=True)
def list_kind(ctx: Context, kind: str) -> Response | None:
    """List what can be mounted of one type: `auth`, `database` or `secret`."""
    return named(_names(ctx, kind))


@ENGINE.read("plugins/catalog/{kind}/{name}", sudo=True)
def describe(ctx: Context, kind: str, name: str) -> Response | None:
    """Show one of them. None is a program of its own, so there is no command and no checksum."""
    if name not in _names(ctx, kind):
        return None
    program = {"args": None, "command": "", "sha256": "", "oci": False, "declarative": False}
    return Response({"name": name, **BUILT_IN, "builtin": True, **program})


def _names(ctx: Context, kind: str) -> list[str]:
    """There are no database plug-ins."""
    return sorted(offered(ctx, auth=kind == "auth")) if kind in ("auth", "secret") else []
