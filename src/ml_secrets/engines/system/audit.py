"""Audit devices, and what lets people check a log: hashes of known values, and the key that verifies its chain."""

from __future__ import annotations

from typing import Annotated

from ml_secrets.contract import Context, Help, Response, Shape, TextMap
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive

_SECRET_HEADERS = frozenset({"x-vault-token", "authorization", "proxy-authorization", "cookie"})


@ENGINE.read("audit", sudo=True, shape=Shape.REPEATED)
def list_devices(ctx: Context) -> Response:
    """List the audit devices."""
    return Response(ctx.access.audit.table(ctx.unit))


@ENGINE.write("audit/{path:path}", sudo=True, plain=("type", "description", "options"))
def enable(
    ctx: Context,
    path: str,
    type_: Annotated[str, Help("file, syslog or socket.", name="type")] = "",
    description: str = "",
    options: TextMap | None = None,
    local: bool = False,
) -> None:
    """Enable an audit device. A test record is written first; a device that cannot write is not enabled."""
    ctx.access.audit.enable(
        ctx.unit, path + "/", kind=type_, description=description, options=dict(options or {}), local=local
    )


@ENGINE.delete("audit/{path:path}", sudo=True)
def disable(ctx: Context, path: str) -> None:
    """Disable an audit device. What it wrote stays."""
    ctx.access.audit.disable(ctx.unit, path + "/")


@ENGINE.write("audit-hash/{path:path}", changes=False)
def audit_hash(
    ctx: Context, path: str, input_: Annotated[Sensitive, Help("The value to hash.", name="input")]
) -> Response:
    """Hash a value as the device does, to find it in that device's log."""
    return Response({"hash": ctx.access.audit.hash(path + "/", input_.reveal())})


@ENGINE.read("audit-verification-key/{path:path}", sudo=True)
def verification_key(ctx: Context, path: str) -> Response:
    """Give the key that verifies a device's chain of records (and could forge it: keep it off the log's machine)."""
    return Response({"key": ctx.access.audit.verification_key(path + "/").hex()})


@ENGINE.read("audit-head/{path:path}", sudo=True, plain_response=("seq", "hash"))
def head(ctx: Context, path: str) -> Response:
    """Give the number and hash of a device's last record. Kept elsewhere, it shows later whether a log's end was cut off."""
    end = ctx.access.audit.head(path + "/")
    return Response({"seq": end.seq, "hash": end.hash})


# ── request headers ─────────────────────────────────────────────────────────────────────────────────────────────────


@ENGINE.read("config/auditing/request-headers", sudo=True, shape=Shape.REPEATED)
def list_headers(ctx: Context) -> Response:
    """List the request headers that are audited."""
    return Response({"headers": ctx.access.audit.headers(ctx.unit)})


@ENGINE.read("config/auditing/request-headers/{header}", sudo=True, folded=("header",), shape=Shape.REPEATED)
def read_header(ctx: Context, header: str) -> Response:
    """Show whether and how a request header is audited."""
    known = ctx.access.audit.headers(ctx.unit)
    if header not in known:
        raise Invalid("Could not find header in config")
    return Response({header: known[header]})


@ENGINE.write("config/auditing/request-headers/{header}", sudo=True, folded=("header",))
def write_header(ctx: Context, header: str, hmac: bool = False) -> None:
    """Audit a request header from now on."""
    audit = ctx.access.audit
    if header in _SECRET_HEADERS and not hmac:
        raise Invalid(f"the header {header!r} carries a secret", hint="send hmac=true")
    audit.set_headers(ctx.unit, {**audit.headers(ctx.unit), header: {"hmac": hmac}})


@ENGINE.delete("config/auditing/request-headers/{header}", sudo=True, folded=("header",))
def delete_header(ctx: Context, header: str) -> None:
    """Audit a request header no more."""
    audit = ctx.access.audit
    headers = audit.headers(ctx.unit)
    headers.pop(header, None)
    audit.set_headers(ctx.unit, headers)
