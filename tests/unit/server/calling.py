"""A caller of the edge whose request is answered late, or for as long as it stays."""

import asyncio

from ml_secrets.server.config import Listener
from ml_secrets.testing.programs import ROOT_TOKEN


class Call:
    """One request under way. `gone` makes its client go away."""

    def __init__(self, edge, path, *, token=ROOT_TOKEN, query="", header=()):
        self.gone = asyncio.Event()
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "raw_path": b"/v1/" + path.encode(),
            "query_string": query.encode(),
            "headers": [(b"host", b"here"), (b"x-vault-token", token.encode()), *header],
            "client": ("192.0.2.1", "5"),
        }
        self.task = asyncio.ensure_future(edge.at(Listener())(scope, self.receive, self.send))

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, event):
        raise NotImplementedError
