"""What the proxy shares and what it does not, in front of a server that makes a credential for each who asks."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from ml_secrets import Client
from ml_secrets.agent.resident.http import Asked
from ml_secrets.agent.resident.proxy import Proxy
from ml_secrets.sensitive import Sensitive


@pytest.fixture
def credentials():
    """The address of a server that answers two requests for a credential once both are there, each with its own."""
    both, numbers = threading.Barrier(2, timeout=10), iter(range(100))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            data = {"type": "database"}
            if self.path == "/v1/database/creds/app":
                both.wait()
                data = {"password": next(numbers)}
            body = json.dumps({"data": data}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_is_made_for_each_who_asks_is_not_shared(credentials):
    """Two that ask for a credential at the same time get one each."""
    asked = Asked("GET", "/v1/database/creds/app", (), Sensitive(b""))
    with Client(credentials, "token-for-tests", cache_ttl=0) as client:
        proxy = Proxy(SimpleNamespace(client=client, logged_in=True, current=False, stale=False))
        with ThreadPoolExecutor(2) as pool:
            replies = list(pool.map(lambda _: proxy.answer(asked, own_token=True), range(2)))
    assert [one.status for one in replies] == [200, 200]
    assert {json.loads(one.body.reveal())["data"]["password"] for one in replies} == {0, 1}
