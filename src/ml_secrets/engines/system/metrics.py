"""Counters of the server, as JSON or for Prometheus. Names and numbers only: no path, name or value of anybody's."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated, Final

from ml_secrets.contract import Context, Help, Response, Shape
from ml_secrets.domain.instant import rfc3339
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid

REQUESTS: Final[Counter[str]] = Counter()
"""Requests served since the process began, by operation and result ("read_ok", "write_refused", …)."""

_STARTED: Final = time.monotonic()


@ENGINE.read("metrics", shape=Shape.BARE)
def metrics(ctx: Context, format: Annotated[str, Help("prometheus for its text format; default JSON.")] = "") -> Response:  # noqa: A002 - the wire's name
    """Show the server's counters."""
    counters = [{"Name": f"ml_secrets.requests.{name}", "Count": count, "Sum": count, "Labels": {}} for name, count in sorted(REQUESTS.items())]
    degraded = len(ctx.access.audit.degraded)
    gauges = [
        {"Name": "ml_secrets.uptime_seconds", "Value": round(time.monotonic() - _STARTED), "Labels": {}},
        {"Name": "ml_secrets.audit.devices_failing", "Value": degraded, "Labels": {}},
        {"Name": "ml_secrets.sealed", "Value": int(ctx.access.seal.sealed), "Labels": {}},
    ]
    if format == "":
        return Response({"Timestamp": rfc3339(ctx.now), "Gauges": gauges, "Points": [], "Counters": counters, "Samples": []})
    if format != "prometheus":
        raise Invalid("format is prometheus or empty")
    lines = ["# TYPE ml_secrets_requests_total counter"]
    lines += [f'ml_secrets_requests_total{{result="{name}"}} {count}' for name, count in sorted(REQUESTS.items())]
    for gauge in gauges:
        name = str(gauge["Name"]).replace(".", "_")
        lines += [f"# TYPE {name} gauge", f"{name} {gauge['Value']}"]
    return Response(content=("text/plain; version=0.0.4", ("\n".join(lines) + "\n").encode()))
