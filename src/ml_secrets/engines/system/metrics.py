"""Counters of the server, as JSON or for Prometheus. Numbers only: no name or value of anybody's, but for paths of mounts."""

from __future__ import annotations

from typing import Annotated, Any

from ml_secrets.contract import Context, Help, Response, Shape
from ml_secrets.domain.instant import rfc3339
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid


@ENGINE.read("metrics", shape=Shape.BARE)
def metrics(
    ctx: Context, format: Annotated[str, Help("prometheus for its text format; default JSON.")] = ""
) -> Response:
    """Show the server's counters."""
    if format == "":
        return Response(_as_json(ctx))
    if format != "prometheus":
        raise Invalid("format is prometheus or empty")
    return Response(content=("text/plain; version=0.0.4", _as_text(ctx).encode()))


def _gauges(ctx: Context) -> dict[str, int]:
    return {
        "uptime_seconds": round(ctx.now - ctx.access.counters.started),
        "audit_devices_failing": len(ctx.access.audit.degraded),
        "sealed": int(ctx.access.seal.sealed),
        **ctx.access.backups.gauges(),
    }


def _due(ctx: Context) -> list[tuple[str, str, str, int]]:
    """(mount, date, "due" or "overdue", how many): a mount that has any shows all."""
    return [
        (mount, what, how, counted.get((what, how), 0))
        for mount, counted in ctx.access.counters.due.items()
        for what in ("expiry", "rotation")
        for how in ("due", "overdue")
    ]


def _as_json(ctx: Context) -> dict[str, Any]:
    counters = [
        {
            "Name": "ml_secrets.requests",
            "Count": count,
            "Sum": count,
            "Labels": {"operation": verb, "result": result},
        }
        for (verb, result), count in sorted(ctx.access.counters.requests.items())
    ]
    gauges = [
        {"Name": f"ml_secrets.{name}", "Value": value, "Labels": {}} for name, value in _gauges(ctx).items()
    ]
    gauges += [
        {"Name": f"ml_secrets.secrets_{how}", "Value": count, "Labels": {"mount": mount, "date": what}}
        for mount, what, how, count in _due(ctx)
    ]
    return {
        "Timestamp": rfc3339(ctx.now),
        "Gauges": gauges,
        "Points": [],
        "Counters": counters,
        "Samples": [],
    }


def _as_text(ctx: Context) -> str:
    lines = [
        "# HELP ml_secrets_requests_total Requests served since the process began.",
        "# TYPE ml_secrets_requests_total counter",
    ]
    lines += [
        f'ml_secrets_requests_total{{operation="{verb}",result="{result}"}} {count}'
        for (verb, result), count in sorted(ctx.access.counters.requests.items())
    ]
    for name, value in _gauges(ctx).items():
        lines += [f"# TYPE ml_secrets_{name} gauge", f"ml_secrets_{name} {value}"]
    due = _due(ctx)
    for how, help_ in (("due", "come near"), ("overdue", "passed")):
        lines += [
            f"# HELP ml_secrets_secrets_{how} Dates of secrets that have {help_}.",
            f"# TYPE ml_secrets_secrets_{how} gauge",
            *(
                f'ml_secrets_secrets_{how}{{mount="{_quoted(mount)}",date="{what}"}} {count}'
                for mount, what, is_, count in due
                if is_ == how
            ),
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """As the value of a label."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
