"""The store as a whole: a backup of it, as sealed as it lies on the disk, and a check of every row.

A backup is restored on the server's machine, not by a request.
"""

from __future__ import annotations

from ml_secrets.contract import Context, Response, Shape
from ml_secrets.engines.system.engine import ENGINE


@ENGINE.read("storage/snapshot", sudo=True, slow=True, shape=Shape.FILE)
@ENGINE.read("storage/raft/snapshot", sudo=True, slow=True, shape=Shape.FILE)
def snapshot(ctx: Context) -> Response:
    """Give a backup of the whole store, for `ml-secrets operator restore`.

    It is the store of one moment; nobody waits while it is made. The file is worth nothing without the keys that open the store.
    """
    return Response(content=("application/octet-stream", ctx.access.seal.snapshot(ctx.unit)))


@ENGINE.write("storage/verify", sudo=True, changes=False, slow=True)
def verify(ctx: Context) -> Response:
    """Check that every row of the store opens, and that none was put back, swapped or taken out.

    It is the store of one moment; nobody waits for it. `intact` tells the result.
    """
    return Response(ctx.access.seal.verify())
